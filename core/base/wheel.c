/* A hierarchical timer wheel that keeps one invariant: a timer sits at the level of the highest
 * base-64 digit in which its due time differs from now, in the slot of its own digit there. So
 *
 *   - the slots in use at a level are all ahead of now's digit, and the next thing to do is the
 *     first slot in use of the lowest level in use: no wrap-around, no search;
 *   - timers that are due in the same millisecond are always in the same slot, in order of start.
 *
 * When the clock enters a slot above level 0, its timers are placed anew, lower (a cascade). At
 * the top level, slot 0 cannot be ahead of now; it holds the timers beyond the wheel's span
 * (2^36 ms, two years), which are placed anew when the top level wraps around.
 *
 * The clock first moves to its new value while the timers that fell due are gathered, in order;
 * only then do they fire. So a callback sees the new time, and what it starts counts from there:
 * a periodic timer fires once after a stall, not once for each period that was missed.
 */
#include "base/wheel.h"

#include <stddef.h>

#include "base/assert.h"

enum { TOP = TG_WHEEL_LEVELS - 1 };

static unsigned
digit(uint64_t time, unsigned level)
{
	return (time >> (level * TG_WHEEL_BITS)) & (TG_WHEEL_SLOTS - 1);
}

/* The first millisecond of the slot that holds `time` at `level`; one level above the top, of
 * the whole wheel. */
static uint64_t
slot_start(uint64_t time, unsigned level)
{
	return time & ~((UINT64_C(1) << (level * TG_WHEEL_BITS)) - 1);
}

static struct tg_timer *
timer_of(struct tg_link *link)
{
	return tg_container_of(link, struct tg_timer, link);
}

/* Put the unlinked timer where its due time belongs, seen from now. What is due now goes to
 * level 0, into the slot that advance is about to empty. */
static void
place(struct tg_wheel *wheel, struct tg_timer *timer)
{
	uint64_t differ = (timer->due ^ wheel->now) | 1;
	unsigned level = (unsigned)(63 - __builtin_clzll(differ)) / TG_WHEEL_BITS;
	unsigned slot = 0;

	if (level > TOP)
		level = TOP;
	else
		slot = digit(timer->due, level);
	timer->level = (uint8_t)level;
	timer->slot = (uint8_t)slot;
	tg_list_push_back(&wheel->slots[level][slot], &timer->link);
	wheel->occupied[level] |= UINT64_C(1) << slot;
}

/* Move the content of a slot to the end of `list`. */
static void
empty_slot(struct tg_wheel *wheel, unsigned level, unsigned slot, struct tg_link *list)
{
	tg_list_append(list, &wheel->slots[level][slot]);
	wheel->occupied[level] &= ~(UINT64_C(1) << slot);
}

/* The clock has entered a slot of `level`: place its timers anew. */
static void
cascade(struct tg_wheel *wheel, unsigned level)
{
	struct tg_link list, *link;

	tg_link_init(&list);
	empty_slot(wheel, level, digit(wheel->now, level), &list);
	while ((link = tg_list_pop_front(&list)) != NULL)
		place(wheel, timer_of(link));
}

/* Move the clock to `now`, the start of a slot in use; append to `due` what is due then. */
static void
step(struct tg_wheel *wheel, uint64_t now, struct tg_link *due)
{
	wheel->now = now;
	for (unsigned level = TOP; level > 0; level--)
		if (slot_start(now, level) == now)
			cascade(wheel, level);
	empty_slot(wheel, 0, digit(now, 0), due);
}

void
tg_wheel_init(struct tg_wheel *wheel, uint64_t now)
{
	tg_assert(now < TG_WHEEL_NEVER);
	*wheel = (struct tg_wheel){ .now = now };
	for (unsigned level = 0; level < TG_WHEEL_LEVELS; level++)
		for (unsigned slot = 0; slot < TG_WHEEL_SLOTS; slot++)
			tg_link_init(&wheel->slots[level][slot]);
}

void
tg_timer_init(struct tg_timer *timer, void (*fire)(struct tg_timer *))
{
	*timer = (struct tg_timer){ .fire = fire };
	tg_link_init(&timer->link);
}

void
tg_timer_start(struct tg_wheel *wheel, struct tg_timer *timer, uint64_t delay)
{
	tg_timer_stop(wheel, timer);
	if (delay == 0)
		delay = 1;
	if (delay > TG_WHEEL_NEVER - wheel->now)
		delay = TG_WHEEL_NEVER - wheel->now;
	timer->due = wheel->now + delay;
	place(wheel, timer);
}

/* A timer that advance has gathered is in no slot any more; its level and slot then name one
 * whose bit is right already, or is made right here. */
void
tg_timer_stop(struct tg_wheel *wheel, struct tg_timer *timer)
{
	if (!tg_timer_active(timer))
		return;
	tg_link_remove(&timer->link);
	if (tg_list_empty(&wheel->slots[timer->level][timer->slot]))
		wheel->occupied[timer->level] &= ~(UINT64_C(1) << timer->slot);
}

void
tg_wheel_advance(struct tg_wheel *wheel, uint64_t now)
{
	struct tg_link due, *link;
	uint64_t next;

	tg_assert(now < TG_WHEEL_NEVER);
	if (now <= wheel->now)
		return;
	tg_link_init(&due);
	while ((next = tg_wheel_next(wheel)) <= now)
		step(wheel, next, &due);
	wheel->now = now;
	while ((link = tg_list_pop_front(&due)) != NULL)
		timer_of(link)->fire(timer_of(link));
}

uint64_t
tg_wheel_next(const struct tg_wheel *wheel)
{
	const uint64_t beyond = 1; /* the bit of the top level's slot 0 */

	for (unsigned level = 0; level < TG_WHEEL_LEVELS; level++) {
		uint64_t ahead = wheel->occupied[level] & (level == TOP ? ~beyond : ~UINT64_C(0));
		uint64_t slot;

		if (ahead == 0)
			continue;
		slot = (uint64_t)__builtin_ctzll(ahead);
		return slot_start(wheel->now, level + 1) + (slot << (level * TG_WHEEL_BITS));
	}
	if (wheel->occupied[TOP] & beyond)
		return slot_start(wheel->now, TG_WHEEL_LEVELS) +
		    (UINT64_C(1) << (TG_WHEEL_LEVELS * TG_WHEEL_BITS));
	return TG_WHEEL_NEVER;
}
