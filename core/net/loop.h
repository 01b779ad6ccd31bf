/* What every thread with sockets owns: a libuv loop, a timer wheel on it, pools of blocks, and
 * the one buffer that all reads of the thread go into. Owner thread only.
 */
#ifndef TG_NET_LOOP_H
#define TG_NET_LOOP_H

#include <uv.h>

#include "base/blocks.h"
#include "base/list.h"
#include "base/wheel.h"

enum {
	TG_READ_SIZE = 80 * 1024,   /* one read at most: a page of 64 KiB and its head */
	TG_READ_BULK = 63 * 1024,   /* the next, when that was not all: dearer if larger */
	TG_SMALL_BLOCK = 2 * 1024,  /* arenas of requests */
	TG_LARGE_BLOCK = 16 * 1024, /* bytes that wait to be written or to be taken */
};

/* Work put off until the callback that is running has returned. Embedded in who does it. */
struct tg_deferred {
	struct tg_link link; /* in the loop's list, until it runs */
	void (*run)(struct tg_deferred *deferred);
};

struct tg_loop {
	uint32_t magic;
	uv_loop_t uv;
	uv_prepare_t before_wait; /* both run what was deferred: */
	uv_check_t after_wait;
	uint64_t turn; /* counts them; while one lasts, what epoll has reported is worked through */
	struct tg_link deferred;
	struct tg_wheel wheel;
	uv_timer_t tick; /* wakes the loop for the wheel */
	uint64_t armed;  /* uv_now() at which tick fires; TG_WHEEL_NEVER: stopped */
	struct tg_blocks small;
	struct tg_blocks large;
	char *read_buffer; /* TG_READ_SIZE bytes; content is valid during one callback */
	void *tls_buffers; /* those of tls.c, malloc'd; NULL: not needed yet */
};

/* 0 or a negative libuv code. */
TG_MUST_USE int tg_loop_init(struct tg_loop *loop);

/* Run until nothing is active but the wheel's own timer, or uv_stop() was called. */
void tg_loop_run(struct tg_loop *loop);

/* All handles must be closed already; asserts that nothing was left behind. */
void tg_loop_fini(struct tg_loop *loop);

/* Milliseconds of a monotonic clock, as of this turn of the loop. */
static inline uint64_t
tg_loop_now(const struct tg_loop *loop)
{
	return uv_now(&loop->uv);
}

/* (Re)start `timer`, due `delay` ms from now. */
void tg_loop_timer_start(struct tg_loop *loop, struct tg_timer *timer, uint64_t delay);

/* Run `deferred` once, before the loop next waits for events; the order is that of the calls. Already
 * deferred: nothing changes. */
void tg_loop_defer(struct tg_loop *loop, struct tg_deferred *deferred);

static inline void
tg_deferred_init(struct tg_deferred *deferred, void (*run)(struct tg_deferred *))
{
	tg_link_init(&deferred->link);
	deferred->run = run;
}

/* It is not wanted any more. */
static inline void
tg_deferred_cancel(struct tg_deferred *deferred)
{
	tg_link_remove(&deferred->link);
}

static inline void
tg_loop_timer_stop(struct tg_loop *loop, struct tg_timer *timer)
{
	tg_timer_stop(&loop->wheel, timer);
}

#endif
