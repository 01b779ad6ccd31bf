/* The registry knows a server by its three names, however many there are, and forgets those that
 * nobody uses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "proxy/registry.h"

enum { MANY = 5000 };

static struct tg_registry registry;

static int
begin(void **state)
{
	(void)state;
	tg_registry_init(&registry, 1);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	tg_registry_fini(&registry);
	return 0;
}

static struct tg_server *
find(const char *backend, const char *name, const char *address)
{
	struct tg_server *server =
	    tg_registry_server(&registry, tg_str_of(backend), tg_str_of(name), tg_str_of(address));

	assert_non_null(server);
	return server;
}

static struct tg_server *
numbered(int i)
{
	char name[16];

	snprintf(name, sizeof(name), "s%d", i);
	return find("web", name, "127.0.0.1:80");
}

static void
the_same_names_are_the_same_server(void **state)
{
	struct tg_server *one = find("web", "a", "127.0.0.1:80");
	struct tg_server *two = find("web", "a", "127.0.0.1:80");

	(void)state;
	assert_ptr_equal(one, two);
	assert_int_equal(atomic_load(&one->refs), 3);
	tg_server_put(one);
	tg_server_put(two);
}

/* Also where the texts in a row are the same. */
static void
each_of_the_names_makes_another(void **state)
{
	struct tg_server *servers[] = {
		find("web", "a", "127.0.0.1:80"),
		find("web2", "a", "127.0.0.1:80"),
		find("web", "a2", "127.0.0.1:80"),
		find("web", "a", "127.0.0.1:8"),
		find("we", "ba", "127.0.0.1:80"),
		find("web", "a1", "27.0.0.1:80"),
	};
	enum { COUNT = sizeof(servers) / sizeof(servers[0]) };

	(void)state;
	for (int i = 0; i < COUNT; i++)
		for (int j = 0; j < i; j++)
			assert_ptr_not_equal(servers[i], servers[j]);
	for (int i = 0; i < COUNT; i++)
		tg_server_put(servers[i]);
	assert_int_equal(registry.server_count, COUNT);
}

static void
thousands_are_found_again_also_when_half_of_them_are_gone(void **state)
{
	static struct tg_server *servers[MANY];

	(void)state;
	for (int i = 0; i < MANY; i++)
		servers[i] = numbered(i);
	assert_int_equal(registry.server_count, MANY);
	for (int i = 0; i < MANY; i++) {
		struct tg_server *again = numbered(i);

		assert_ptr_equal(again, servers[i]);
		tg_server_put(again);
	}
	for (int i = 0; i < MANY; i += 2)
		tg_server_put(servers[i]);
	tg_registry_sweep(&registry);
	assert_int_equal(registry.server_count, MANY / 2);
	for (int i = 1; i < MANY; i += 2) {
		struct tg_server *again = numbered(i);

		assert_ptr_equal(again, servers[i]);
		tg_server_put(again);
		tg_server_put(servers[i]);
	}
	assert_int_equal(registry.server_count, MANY / 2);
}

/* What is known of its health goes with it. */
static void
a_server_that_is_gone_begins_anew(void **state)
{
	struct tg_server *server = find("web", "a", "127.0.0.1:80");

	(void)state;
	tg_health_begin(server, true, 0);
	assert_int_equal(tg_health_record(server, false, 7, TG_STR("refused")), -1);
	assert_true(tg_health_turn(server, false));
	tg_server_put(server);
	tg_registry_sweep(&registry);
	server = find("web", "a", "127.0.0.1:80");
	assert_true(atomic_load(&server->up));
	assert_int_equal(server->health.checks, 0);
	tg_server_put(server);
}

static void
results_in_a_row_are_counted_and_the_credit_only_before_the_first_other(void **state)
{
	struct tg_server *server = find("web", "a", "127.0.0.1:80");

	(void)state;
	tg_health_begin(server, true, -2);
	tg_health_begin(server, false, 5); /* it has begun already */
	assert_true(atomic_load(&server->up));
	assert_int_equal(tg_health_record(server, false, 1, TG_STR("a")), -3);
	assert_int_equal(server->health.row, -1);
	assert_int_equal(tg_health_record(server, false, 1, TG_STR("b")), -4);
	assert_string_equal(server->health.reason, "b");
	assert_int_equal(tg_health_record(server, true, 1, TG_STR("")), 1);
	assert_null(server->health.reason);
	assert_int_equal(tg_health_record(server, false, 1, TG_STR("c")), -1);
	assert_int_equal(server->health.checks, 4);
	assert_int_equal(server->health.failures, 3);
	tg_server_put(server);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_same_names_are_the_same_server, begin, end),
		cmocka_unit_test_setup_teardown(each_of_the_names_makes_another, begin, end),
		cmocka_unit_test_setup_teardown(
		    thousands_are_found_again_also_when_half_of_them_are_gone, begin, end),
		cmocka_unit_test_setup_teardown(a_server_that_is_gone_begins_anew, begin, end),
		cmocka_unit_test_setup_teardown(
		    results_in_a_row_are_counted_and_the_credit_only_before_the_first_other, begin,
		    end),
	};

	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
