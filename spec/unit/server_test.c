/* When a server counts as silent, and who may try it then. Times are the caller's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/server.h"

enum { WORKERS = 2 };

static int
setup(void **state)
{
	struct tg_server *server =
	    tg_server_new(WORKERS, TG_STR("web"), TG_STR("a"), TG_STR("127.0.0.1:1"));

	*state = server;
	return server == NULL;
}

static int
teardown(void **state)
{
	tg_server_put(*state);
	return 0;
}

static void
it_falls_silent_once_and_ends_it_with_a_byte(void **state)
{
	struct tg_server *server = *state;

	assert_false(tg_server_silent(server));
	assert_true(tg_server_unheard(server, 500, 1000));
	assert_true(tg_server_silent(server));
	assert_false(tg_server_unheard(server, 600, 1100));

	assert_true(tg_server_heard(server, 1, 1200));
	assert_false(tg_server_silent(server));
	assert_false(tg_server_heard(server, 0, 1300));
}

static void
a_word_to_any_worker_while_one_waited_is_enough(void **state)
{
	struct tg_server *server = *state;

	assert_false(tg_server_heard(server, 1, 700));
	assert_false(tg_server_unheard(server, 500, 1000));
	assert_false(tg_server_unheard(server, 700, 1200));
	assert_true(tg_server_unheard(server, 701, 1201));
}

static void
one_that_is_not_silent_need_not_be_tried(void **state)
{
	assert_false(tg_server_try(*state, true, 100000));
}

static void
it_is_tried_once_a_second(void **state)
{
	struct tg_server *server = *state;

	assert_true(tg_server_unheard(server, 500, 1000));
	assert_false(tg_server_try(server, true, 1999));
	assert_true(tg_server_try(server, true, 2000));
	assert_false(tg_server_try(server, true, 2000));
	assert_false(tg_server_try(server, true, 2999));
	assert_true(tg_server_try(server, true, 3500));
	assert_true(tg_server_silent(server));
}

static void
what_may_do_harm_tries_it_when_nothing_else_has_for_long(void **state)
{
	struct tg_server *server = *state;

	assert_true(tg_server_unheard(server, 500, 1000));
	assert_false(tg_server_try(server, false, 11999));
	assert_true(tg_server_try(server, true, 11999));
	assert_false(tg_server_try(server, false, 12000));
	assert_false(tg_server_try(server, false, 22998));
	assert_true(tg_server_try(server, false, 22999));
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(it_falls_silent_once_and_ends_it_with_a_byte),
		TEST(a_word_to_any_worker_while_one_waited_is_enough),
		TEST(one_that_is_not_silent_need_not_be_tried),
		TEST(it_is_tried_once_a_second),
		TEST(what_may_do_harm_tries_it_when_nothing_else_has_for_long),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
