/* A number that may not exceed a limit, counted over all threads: connections of the process and of
 * a listener, requests of a server. The limit itself is given by who asks: a reload may change it.
 *
 * This is the one counter that workers share and change by an atomic read-modify-write; nothing on
 * the path of a request without a limit touches one.
 */
#ifndef TG_PROXY_LIMIT_H
#define TG_PROXY_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>

struct tg_limit {
	atomic_int used;    /* any thread */
	atomic_bool wanted; /* any thread: somebody found it full and wants to be told of room */
};

/* Take one unless `most` (0: no limit) are taken. */
static inline bool
tg_limit_take(struct tg_limit *limit, int most)
{
	int used = atomic_load(&limit->used);

	do {
		if (most > 0 && used >= most)
			return false;
	} while (!atomic_compare_exchange_weak(&limit->used, &used, used + 1));
	return true;
}

/* The same, and who is refused will be told: the next tg_limit_give says so to its caller. */
static inline bool
tg_limit_want(struct tg_limit *limit, int most)
{
	if (tg_limit_take(limit, most))
		return true;
	atomic_store(&limit->wanted, true);
	return tg_limit_take(limit, most); /* room that was made before we said so */
}

/* Give one back. True: somebody wants to be told, and the caller must do it. */
static inline bool
tg_limit_give(struct tg_limit *limit)
{
	atomic_fetch_sub(&limit->used, 1);
	return atomic_load(&limit->wanted) && atomic_exchange(&limit->wanted, false);
}

static inline int
tg_limit_used(const struct tg_limit *limit)
{
	return atomic_load_explicit(&limit->used, memory_order_relaxed);
}

#endif
