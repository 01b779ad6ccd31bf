/* Memory that our own allocators hold free is poisoned under the address sanitizer, so that
 * a use after put or past the end of an allocation is found as if it had come from malloc.
 * Without the sanitizer these are no-ops.
 */
#ifndef TG_BASE_POISON_H
#define TG_BASE_POISON_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define TG_POISON_ON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TG_POISON_ON 1
#endif
#endif

#ifdef TG_POISON_ON
#include <sanitizer/asan_interface.h>

/* Bytes left poisoned behind an allocation that has neighbours; a multiple of 8. */
enum { TG_POISON_GAP = 8 };

/* Nobody may touch [start, start + size) until it is unpoisoned. `start` is aligned to 8. */
static inline void
tg_poison(void *start, size_t size)
{
	__asan_poison_memory_region(start, size);
}

static inline void
tg_unpoison(void *start, size_t size)
{
	__asan_unpoison_memory_region(start, size);
}

/* For specs: could a touch of this byte pass unseen? Always false without the sanitizer. */
static inline bool
tg_poison_missing(const void *address)
{
	return __asan_address_is_poisoned(address) == 0;
}

#else

enum { TG_POISON_GAP = 0 };

static inline void
tg_poison(void *start, size_t size)
{
	(void)start;
	(void)size;
}

static inline void
tg_unpoison(void *start, size_t size)
{
	(void)start;
	(void)size;
}

static inline bool
tg_poison_missing(const void *address)
{
	(void)address;
	return false;
}

#endif
#endif
