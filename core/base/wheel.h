/* A timer wheel: every timeout of a thread, at O(1) a start and a stop and without a system
 * call. A hierarchical wheel with 1 ms ticks and a bitmap of occupied slots a level, so that
 * "when must I wake?" is O(levels). Rejected: a uv_timer_t each (a heap operation per request
 * and 150 bytes per connection).
 *
 * The wheel knows no clock: its owner feeds it milliseconds of a monotonic clock, and sleeps
 * until tg_wheel_next(). Owner thread only.
 */
#ifndef TG_BASE_WHEEL_H
#define TG_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum { TG_WHEEL_LEVELS = 6, TG_WHEEL_BITS = 6, TG_WHEEL_SLOTS = 1 << TG_WHEEL_BITS };

#define TG_WHEEL_NEVER UINT64_MAX

struct tg_timer {
	struct tg_link link; /* in a slot, or among those about to fire; self-linked when stopped */
	uint64_t due;        /* ms on the wheel's clock */
	void (*fire)(struct tg_timer *timer);
	uint8_t level, slot; /* where it was placed last, to clear the bitmap */
};

struct tg_wheel {
	uint64_t now; /* ms; the last value given to tg_wheel_advance */
	uint64_t occupied[TG_WHEEL_LEVELS];
	struct tg_link slots[TG_WHEEL_LEVELS][TG_WHEEL_SLOTS];
};

/* An empty wheel whose clock stands at `now` ms. */
void tg_wheel_init(struct tg_wheel *wheel, uint64_t now);

/* Prepare a stopped timer. `fire` is called from tg_wheel_advance with the timer stopped; it
 * may start and stop any timer, itself included, and may free the timer's memory. */
void tg_timer_init(struct tg_timer *timer, void (*fire)(struct tg_timer *));

/* (Re)start: due `delay` ms from the wheel's now. Never fires early; 0 fires at the next
 * advance of the clock (at least 1 ms later). Delays beyond the wheel's span are kept exactly;
 * TG_WHEEL_NEVER, and all that would pass the end of the clock, never fires. */
void tg_timer_start(struct tg_wheel *wheel, struct tg_timer *timer, uint64_t delay);

/* Stop; harmless when stopped. */
void tg_timer_stop(struct tg_wheel *wheel, struct tg_timer *timer);

static inline bool
tg_timer_active(const struct tg_timer *timer)
{
	return tg_link_linked(&timer->link);
}

/* Move the clock to `now` (never backwards: an earlier value is ignored), then fire all that is
 * due, in order of due time and, within one millisecond, of start. Callbacks see the new now, so
 * nothing that they start fires in the same call. Costs O(timers due or cascaded), not the
 * milliseconds that the clock jumps. Not to be called from a callback. */
void tg_wheel_advance(struct tg_wheel *wheel, uint64_t now);

/* The latest time at which tg_wheel_advance must be called so that nothing fires late, in ms
 * on the wheel's clock; TG_WHEEL_NEVER when no timer runs. May be earlier than the first due
 * time (a cascade), never later. */
uint64_t tg_wheel_next(const struct tg_wheel *wheel);

#endif
