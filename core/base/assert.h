/* Asserts that stay on in release builds: they are only for our own bugs. No byte from a
 * client, a server or a script may reach one; what comes from outside gets an error code.
 */
#ifndef TG_BASE_ASSERT_H
#define TG_BASE_ASSERT_H

#include <stddef.h>

/* Print where and what, then abort. */
_Noreturn void tg_assert_fail(const char *what, const char *file, int line);

#define tg_assert(condition)                                                                       \
	((condition) ? (void)0 : tg_assert_fail(#condition, __FILE__, __LINE__))

/* Every long-lived struct starts with a magic number; each entry point checks it. */
#define TG_CHECK(object, number) tg_assert((object) != NULL && (object)->magic == (number))

#define TG_MUST_USE __attribute__((warn_unused_result))

#define tg_container_of(pointer, type, member)                                                     \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
