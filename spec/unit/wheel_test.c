/* The wheel against a model too simple to be wrong: an array, searched from end to end. Nothing
 * fires early, late, twice, out of order or after a stop, whatever the callbacks do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/wheel.h"

#define HOUR UINT64_C(3600000)
#define SPAN (UINT64_C(1) << (TG_WHEEL_LEVELS * TG_WHEEL_BITS))

static struct tg_wheel wheel;

/* ---- the model -------------------------------------------------------------------------- */

enum { TIMERS = 100 };

/* What the model knows of one timer. The timer's memory is its own, so that firing may free it
 * and the sanitizer sees who still looks. */
struct entry {
	struct timer *timer; /* NULL: freed */
	uint64_t due;
	uint64_t started; /* a serial number: order within one millisecond */
	bool active;
};

struct timer {
	struct tg_timer base;
	struct entry *entry;
};

static struct entry entries[TIMERS];
static uint64_t serial, fired, random_state;
static bool reckless; /* callbacks start, stop and free timers at random */

/* xorshift64: the same on every machine. */
static uint64_t
random_below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 8) % limit;
}

/* All magnitudes alike: mostly up to some hours, now and then beyond the span. */
static uint64_t
random_delay(void)
{
	uint64_t bits = random_below(100) == 0 ? random_below(40) : random_below(26);

	if (random_below(1000) == 0)
		return TG_WHEEL_NEVER - random_below(3);
	return random_below((UINT64_C(1) << bits) + 1);
}

/* The entry that must fire next, or NULL. */
static struct entry *
model_first(void)
{
	struct entry *first = NULL;

	for (int i = 0; i < TIMERS; i++) {
		struct entry *entry = &entries[i];

		if (!entry->active)
			continue;
		if (first == NULL || entry->due < first->due ||
		    (entry->due == first->due && entry->started < first->started))
			first = entry;
	}
	return first;
}

static void on_fire(struct tg_timer *base);

static void
model_start(struct entry *entry, uint64_t delay)
{
	uint64_t wait = delay == 0 ? 1 : delay;

	if (entry->timer == NULL) {
		entry->timer = malloc(sizeof(*entry->timer));
		assert_non_null(entry->timer);
		entry->timer->entry = entry;
		tg_timer_init(&entry->timer->base, on_fire);
	}
	tg_timer_start(&wheel, &entry->timer->base, delay);
	entry->due = wheel.now + wait < wait ? TG_WHEEL_NEVER : wheel.now + wait;
	entry->started = ++serial;
	entry->active = true;
}

static void
model_stop(struct entry *entry)
{
	if (entry->timer != NULL)
		tg_timer_stop(&wheel, &entry->timer->base);
	entry->active = false;
}

static void
model_free(struct entry *entry)
{
	model_stop(entry);
	free(entry->timer);
	entry->timer = NULL;
}

static struct entry *
random_entry(void)
{
	return &entries[random_below(TIMERS)];
}

static void
random_operation(struct entry *entry)
{
	switch (random_below(5)) {
	case 0:
		model_stop(entry);
		break;
	case 1:
		model_free(entry);
		break;
	default:
		model_start(entry, random_delay());
	}
}

static void
on_fire(struct tg_timer *base)
{
	struct entry *entry = tg_container_of(base, struct timer, base)->entry;

	assert_ptr_equal(entry, model_first());
	assert_true(entry->due <= wheel.now);
	assert_false(tg_timer_active(base));
	entry->active = false;
	fired++;
	if (!reckless)
		return;
	for (uint64_t n = random_below(3); n > 0; n--)
		random_operation(random_below(3) == 0 ? entry : random_entry());
}

/* Between two calls: every timer is where the model has it, nothing is overdue, and the wheel
 * asks to be woken in time, yet not for nothing. */
static void
assert_agrees(void)
{
	const struct entry *first = model_first();
	uint64_t next = tg_wheel_next(&wheel);

	if (first == NULL) {
		assert_true(next == TG_WHEEL_NEVER);
	} else {
		assert_true(first->due > wheel.now);
		assert_true(next > wheel.now);
		assert_true(next <= first->due);
	}
}

static void
model_reset(uint64_t now, uint64_t seed)
{
	for (int i = 0; i < TIMERS; i++)
		entries[i] = (struct entry){ 0 };
	random_state = seed;
	fired = 0;
	tg_wheel_init(&wheel, now);
}

static void
model_fini(void)
{
	for (int i = 0; i < TIMERS; i++)
		model_free(&entries[i]);
	assert_true(tg_wheel_next(&wheel) == TG_WHEEL_NEVER);
	for (int level = 0; level < TG_WHEEL_LEVELS; level++)
		assert_true(wheel.occupied[level] == 0);
}

/* Where the clock begins: at zero, shortly before digits turn over, anywhere. */
static const uint64_t epochs[] = {
	0,
	63,
	64 * 64 - 2,
	SPAN - 1,
	SPAN - 3 * HOUR,
	7 * SPAN - 64,
	UINT64_C(86400123),
	UINT64_C(1700000000000),
};

enum { EPOCHS = sizeof(epochs) / sizeof(epochs[0]), OPERATIONS = 100000 };

/* A clock that moves as it likes: mostly a little, sometimes hours, sometimes backwards. */
static void
random_advance(void)
{
	uint64_t before = wheel.now, now = before + random_below(50);

	switch (random_below(40)) {
	case 0:
		now = before + random_delay() % (1000 * HOUR);
		break;
	case 1:
		now = before - random_below(before + 1);
		break;
	default:
		break;
	}
	tg_wheel_advance(&wheel, now);
	assert_true(wheel.now == (now > before ? now : before));
}

static void
it_agrees_with_the_model_on_any_clock(void **state)
{
	(void)state;
	for (int epoch = 0; epoch < EPOCHS; epoch++) {
		model_reset(epochs[epoch], (uint64_t)epoch + 1);
		for (int i = 0; i < OPERATIONS; i++) {
			reckless = random_below(4) != 0;
			if (random_below(3) == 0)
				random_advance();
			else
				random_operation(random_entry());
			assert_agrees();
		}
		assert_true(fired > OPERATIONS / 20);
		model_fini();
	}
}

/* Who sleeps until tg_wheel_next sees every timer fire in the very millisecond it is due. */
static void
whoever_honours_next_is_never_late(void **state)
{
	(void)state;
	reckless = false;
	for (int epoch = 0; epoch < EPOCHS; epoch++) {
		model_reset(epochs[epoch], (uint64_t)epoch + 100);
		for (int i = 0; i < OPERATIONS; i++) {
			const struct entry *first = model_first();
			uint64_t next = tg_wheel_next(&wheel), before = fired;

			if (first == NULL || random_below(3) != 0) {
				random_operation(random_entry());
				continue;
			}
			if (next == TG_WHEEL_NEVER)
				continue;
			assert_true(next <= first->due);
			tg_wheel_advance(&wheel, next);
			assert_int_equal(fired > before, next == first->due);
		}
		model_fini();
	}
}

/* ---- one behaviour each ----------------------------------------------------------------- */

static int count;
static struct tg_timer one, two, three;

static void
on_count(struct tg_timer *timer)
{
	(void)timer;
	count++;
}

static void
on_stop_all(struct tg_timer *timer)
{
	(void)timer;
	count++;
	tg_timer_stop(&wheel, &one);
	tg_timer_stop(&wheel, &two);
	tg_timer_stop(&wheel, &three);
}

static void
on_again(struct tg_timer *timer)
{
	count++;
	tg_timer_start(&wheel, timer, 10);
}

static void
on_start_two_at_once(struct tg_timer *timer)
{
	(void)timer;
	count++;
	tg_timer_start(&wheel, &two, 0);
}

static void
on_free(struct tg_timer *timer)
{
	count++;
	free(timer);
}

static int
set_up(void **state)
{
	(void)state;
	count = 0;
	tg_wheel_init(&wheel, 1000);
	tg_timer_init(&one, on_count);
	tg_timer_init(&two, on_count);
	tg_timer_init(&three, on_count);
	return 0;
}

static void
a_timer_fires_once_and_not_early(void **state)
{
	(void)state;
	tg_timer_start(&wheel, &one, 100);
	assert_true(tg_timer_active(&one));
	tg_wheel_advance(&wheel, 1099);
	assert_int_equal(count, 0);
	tg_wheel_advance(&wheel, 1100);
	assert_int_equal(count, 1);
	assert_false(tg_timer_active(&one));
	tg_wheel_advance(&wheel, 9999);
	assert_int_equal(count, 1);
}

static void
zero_fires_when_the_clock_next_moves(void **state)
{
	(void)state;
	tg_timer_start(&wheel, &one, 0);
	assert_true(tg_wheel_next(&wheel) == 1001);
	tg_wheel_advance(&wheel, 1000);
	assert_int_equal(count, 0);
	tg_wheel_advance(&wheel, 1001);
	assert_int_equal(count, 1);
}

static void
a_restart_forgets_the_first_start(void **state)
{
	(void)state;
	tg_timer_start(&wheel, &one, 10);
	tg_timer_start(&wheel, &one, 500);
	tg_wheel_advance(&wheel, 1499);
	assert_int_equal(count, 0);
	tg_timer_start(&wheel, &one, 2);
	tg_wheel_advance(&wheel, 1501);
	assert_int_equal(count, 1);
}

static void
a_stopped_timer_leaves_the_wheel_empty(void **state)
{
	(void)state;
	tg_timer_stop(&wheel, &one);
	for (uint64_t delay = 1; delay < 4 * SPAN; delay *= 2) {
		tg_timer_start(&wheel, &one, delay);
		tg_timer_start(&wheel, &two, delay);
		tg_timer_stop(&wheel, &one);
		assert_true(tg_wheel_next(&wheel) <= 1000 + delay);
		tg_timer_stop(&wheel, &two);
		tg_timer_stop(&wheel, &two);
		assert_true(tg_wheel_next(&wheel) == TG_WHEEL_NEVER);
	}
	tg_wheel_advance(&wheel, 5 * SPAN);
	assert_int_equal(count, 0);
}

static void
a_callback_may_stop_its_neighbours_of_the_same_slot(void **state)
{
	(void)state;
	tg_timer_init(&one, on_stop_all);
	tg_timer_init(&two, on_stop_all);
	tg_timer_init(&three, on_stop_all);
	for (int round = 1; round <= 3; round++) {
		tg_timer_start(&wheel, &one, 5);
		tg_timer_start(&wheel, &two, 5);
		tg_timer_start(&wheel, &three, 5);
		tg_wheel_advance(&wheel, wheel.now + 5);
		assert_int_equal(count, round);
		assert_false(tg_timer_active(&two));
		assert_false(tg_timer_active(&three));
		assert_true(tg_wheel_next(&wheel) == TG_WHEEL_NEVER);
	}
}

/* After a stall of 100 periods it fires once, and the next period counts from the new now. */
static void
a_periodic_timer_does_not_catch_up(void **state)
{
	(void)state;
	tg_timer_init(&one, on_again);
	tg_timer_start(&wheel, &one, 10);
	tg_wheel_advance(&wheel, 2000);
	assert_int_equal(count, 1);
	tg_wheel_advance(&wheel, 2009);
	assert_int_equal(count, 1);
	tg_wheel_advance(&wheel, 2010);
	assert_int_equal(count, 2);
	assert_true(tg_timer_active(&one));
}

static void
what_a_callback_starts_waits_for_the_next_advance(void **state)
{
	(void)state;
	tg_timer_init(&one, on_start_two_at_once);
	tg_timer_start(&wheel, &one, 10);
	tg_timer_start(&wheel, &two, 20); /* due as well, but restarted before its turn */
	tg_wheel_advance(&wheel, 1050);
	assert_int_equal(count, 1);
	assert_true(tg_timer_active(&two));
	assert_true(tg_wheel_next(&wheel) == 1051);
	tg_wheel_advance(&wheel, 1051);
	assert_int_equal(count, 2);
}

static void
a_callback_may_free_its_timer(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		struct tg_timer *timer = malloc(sizeof(*timer));

		assert_non_null(timer);
		tg_timer_init(timer, on_free);
		tg_timer_start(&wheel, timer, 5 + (uint64_t)(i / 4) * 500);
	}
	tg_wheel_advance(&wheel, 1005);
	assert_int_equal(count, 4);
	tg_wheel_advance(&wheel, 5000);
	assert_int_equal(count, 10);
}

static void
a_clock_that_runs_backwards_is_ignored(void **state)
{
	(void)state;
	tg_timer_start(&wheel, &one, 100);
	tg_wheel_advance(&wheel, 1050);
	tg_wheel_advance(&wheel, 3);
	assert_true(wheel.now == 1050);
	tg_timer_start(&wheel, &two, 10);
	tg_wheel_advance(&wheel, 1059);
	assert_int_equal(count, 0);
	tg_wheel_advance(&wheel, 1060);
	assert_int_equal(count, 1);
	tg_wheel_advance(&wheel, 1100);
	assert_int_equal(count, 2);
}

/* One tick at a time this would take years; the alarm in main ends it. */
static void
a_jump_of_the_clock_costs_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++) {
		tg_timer_start(&wheel, &one, 1000 * HOUR);
		tg_timer_start(&wheel, &two, 2 * SPAN);
		tg_wheel_advance(&wheel, wheel.now + 1000 * HOUR - 1);
		assert_int_equal(count, 2 * i);
		tg_wheel_advance(&wheel, wheel.now + 1);
		assert_int_equal(count, 2 * i + 1);
		tg_wheel_advance(&wheel, wheel.now + 2 * SPAN);
		assert_int_equal(count, 2 * i + 2);
	}
}

static void
a_timer_wakes_its_owner_at_most_once_a_level(void **state)
{
	(void)state;
	for (uint64_t delay = 1; delay < SPAN; delay = delay * 3 + 1) {
		int before = count, wakes = 0;
		uint64_t due = wheel.now + delay;

		tg_timer_start(&wheel, &one, delay);
		for (; count == before; wakes++)
			tg_wheel_advance(&wheel, tg_wheel_next(&wheel));
		assert_true(wheel.now == due);
		assert_true(wakes <= TG_WHEEL_LEVELS + 1);
	}
}

static void
a_delay_beyond_the_span_is_exact(void **state)
{
	(void)state;
	tg_timer_start(&wheel, &one, 5 * SPAN + 12345);
	while (tg_wheel_next(&wheel) < 1000 + 5 * SPAN + 12345)
		tg_wheel_advance(&wheel, tg_wheel_next(&wheel));
	assert_int_equal(count, 0);
	assert_true(tg_wheel_next(&wheel) == 1000 + 5 * SPAN + 12345);
	tg_wheel_advance(&wheel, tg_wheel_next(&wheel));
	assert_int_equal(count, 1);
}

static void
what_would_pass_the_end_of_the_clock_never_fires(void **state)
{
	(void)state;
	tg_wheel_init(&wheel, TG_WHEEL_NEVER - HOUR);
	tg_timer_start(&wheel, &one, TG_WHEEL_NEVER);
	tg_timer_start(&wheel, &two, HOUR);
	tg_timer_start(&wheel, &three, HOUR - 1);
	tg_wheel_advance(&wheel, TG_WHEEL_NEVER - 1);
	assert_int_equal(count, 1);
	assert_false(tg_timer_active(&three));
	assert_true(tg_wheel_next(&wheel) == TG_WHEEL_NEVER);
	tg_timer_start(&wheel, &three, 0);
	assert_true(tg_wheel_next(&wheel) == TG_WHEEL_NEVER);
	tg_timer_stop(&wheel, &one);
	tg_timer_stop(&wheel, &two);
	tg_timer_stop(&wheel, &three);
}

#define test(name) cmocka_unit_test_setup(name, set_up)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_timer_fires_once_and_not_early),
		test(zero_fires_when_the_clock_next_moves),
		test(a_restart_forgets_the_first_start),
		test(a_stopped_timer_leaves_the_wheel_empty),
		test(a_callback_may_stop_its_neighbours_of_the_same_slot),
		test(a_periodic_timer_does_not_catch_up),
		test(what_a_callback_starts_waits_for_the_next_advance),
		test(a_callback_may_free_its_timer),
		test(a_clock_that_runs_backwards_is_ignored),
		test(a_jump_of_the_clock_costs_nothing),
		test(a_timer_wakes_its_owner_at_most_once_a_level),
		test(a_delay_beyond_the_span_is_exact),
		test(what_would_pass_the_end_of_the_clock_never_fires),
		cmocka_unit_test(it_agrees_with_the_model_on_any_clock),
		cmocka_unit_test(whoever_honours_next_is_never_late),
	};

	alarm(100); /* a wheel that hangs must fail, not wait */
	return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
