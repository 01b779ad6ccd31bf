/* What every thread with sockets owns: a libuv loop, a timer wheel on it, pools of blocks, and
 * the one buffer that all reads of the thread go into. Owner thread only.
 */
#ifndef TG_NET_LOOP_H
#define TG_NET_LOOP_H

#include <uv.h>

#include "base/blocks.h"
#include "base/wheel.h"

enum {
	TG_READ_SIZE = 63 * 1024,   /* one read: with framing, under 64 KiB may be buffered */
	TG_SMALL_BLOCK = 4 * 1024,  /* arenas of requests */
	TG_LARGE_BLOCK = 16 * 1024, /* bytes that wait to be written or to be taken */
};

struct tg_loop {
	uint32_t magic;
	uv_loop_t uv;
	struct tg_wheel wheel;
	uv_timer_t tick; /* wakes the loop for the wheel */
	uint64_t armed;  /* uv_now() at which tick fires; TG_WHEEL_NEVER: stopped */
	struct tg_blocks small;
	struct tg_blocks large;
	char *read_buffer; /* TG_READ_SIZE bytes; content is valid during one callback */
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

static inline void
tg_loop_timer_stop(struct tg_loop *loop, struct tg_timer *timer)
{
	tg_timer_stop(&loop->wheel, timer);
}

#endif
