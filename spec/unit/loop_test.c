/* Deferred work: once, in order, after the callback that asked for it and before the loop waits again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "net/loop.h"

enum { A, B, C, NEVER = 1000000 };

static struct tg_loop loop;
static struct tg_deferred work[3];
static char log_text[64];
static uv_timer_t timer;

static void
note(const char *text)
{
	size_t len = strlen(log_text);

	snprintf(log_text + len, sizeof(log_text) - len, "%s", text);
}

static void
on_work(struct tg_deferred *deferred)
{
	note(deferred == &work[A] ? "a" : "b");
	if (deferred == &work[A])
		tg_loop_defer(&loop, &work[C]);
}

static void
on_last(struct tg_deferred *deferred)
{
	(void)deferred;
	note("c");
	uv_close((uv_handle_t *)&timer, NULL);
}

static void
on_timer(uv_timer_t *handle)
{
	(void)handle;
	tg_loop_defer(&loop, &work[A]);
	tg_loop_defer(&loop, &work[B]);
	tg_loop_defer(&loop, &work[A]);
	note("timer ");
}

static int
set_up(void **state)
{
	(void)state;
	log_text[0] = '\0';
	assert_int_equal(tg_loop_init(&loop), 0);
	tg_deferred_init(&work[A], on_work);
	tg_deferred_init(&work[B], on_work);
	tg_deferred_init(&work[C], on_last);
	/* It fires once, and keeps the loop alive: without the deferred work nothing would end this. */
	uv_timer_init(&loop.uv, &timer);
	uv_timer_start(&timer, on_timer, 0, NEVER);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	tg_loop_fini(&loop);
	return 0;
}

static void
runs_once_in_order_after_the_callback_that_asked(void **state)
{
	(void)state;
	tg_loop_run(&loop);
	assert_string_equal(log_text, "timer abc");
	assert_false(tg_link_linked(&work[A].link));
}

static void
does_not_run_when_it_was_cancelled(void **state)
{
	(void)state;
	uv_timer_start(&timer, on_timer, NEVER, 0);
	tg_loop_defer(&loop, &work[B]);
	tg_deferred_cancel(&work[B]);
	tg_loop_defer(&loop, &work[C]);
	tg_loop_run(&loop);
	assert_string_equal(log_text, "c");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    runs_once_in_order_after_the_callback_that_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    does_not_run_when_it_was_cancelled, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
