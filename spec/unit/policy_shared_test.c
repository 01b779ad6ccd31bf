/* The tables that all threads share: what is stored is what comes back, once its time is over it
 * is gone, and two threads that count lose nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "policy/shared.h"

static struct tg_shared *shared;
static int table;

static int
setup(void **state)
{
	shared = tg_shared_new();
	table = tg_shared_open(shared, TG_STR("t"));
	return shared == NULL || table != 0;
}

static int
teardown(void **state)
{
	tg_shared_free(shared);
	return 0;
}

static void
assert_value(int in, const char *key, const char *expected)
{
	struct tg_str value;

	assert_int_equal(tg_shared_get(shared, in, tg_str_of(key), &value), 0);
	assert_int_equal(value.len, strlen(expected));
	assert_string_equal(value.ptr, expected);
	free((char *)(uintptr_t)value.ptr);
}

static void
assert_absent(int in, const char *key)
{
	struct tg_str value;

	assert_int_equal(tg_shared_get(shared, in, tg_str_of(key), &value), 1);
}

static void
put(int in, const char *key, const char *value, int64_t ttl_ms)
{
	assert_int_equal(tg_shared_set(shared, in, tg_str_of(key), tg_str_of(value), ttl_ms), 0);
}

/* Let the clock that the tables go by move on. */
static void
pass_ms(uint64_t ms)
{
	for (uint64_t until = tg_clock_us() + (ms + 1) * 1000; tg_clock_us() < until;)
		;
}

static void
what_is_set_comes_back(void **state)
{
	assert_absent(table, "a");
	put(table, "a", "one", 0);
	put(table, "b", "", 0);
	assert_value(table, "a", "one");
	assert_value(table, "b", "");
	put(table, "a", "another", 0);
	assert_value(table, "a", "another");
}

static void
a_copy_is_the_callers(void **state)
{
	struct tg_str value;

	put(table, "a", "one", 0);
	assert_int_equal(tg_shared_get(shared, table, TG_STR("a"), &value), 0);
	put(table, "a", "two", 0);
	tg_shared_delete(shared, table, TG_STR("a"));
	assert_string_equal(value.ptr, "one");
	free((char *)(uintptr_t)value.ptr);
}

static void
keys_and_values_are_bytes(void **state)
{
	struct tg_str value;

	assert_int_equal(tg_shared_set(shared, table, TG_STR("a\0b"), TG_STR("\0\xff\n"), 0), 0);
	assert_absent(table, "a");
	assert_int_equal(tg_shared_get(shared, table, TG_STR("a\0b"), &value), 0);
	assert_int_equal(value.len, 3);
	assert_memory_equal(value.ptr, "\0\xff\n", 4); /* and a NUL behind it */
	free((char *)(uintptr_t)value.ptr);
	put(table, "", "the empty key", 0);
	assert_value(table, "", "the empty key");
}

static void
delete_says_whether_it_was_there(void **state)
{
	put(table, "a", "one", 0);
	assert_int_equal(tg_shared_delete(shared, table, TG_STR("a")), 1);
	assert_int_equal(tg_shared_delete(shared, table, TG_STR("a")), 0);
	assert_absent(table, "a");
}

static void
tables_are_found_by_name_and_are_apart(void **state)
{
	int other = tg_shared_open(shared, TG_STR("other"));

	assert_int_not_equal(other, table);
	assert_int_equal(tg_shared_open(shared, TG_STR("t")), table);
	assert_int_equal(tg_shared_open(shared, TG_STR("other")), other);
	put(table, "a", "here", 0);
	assert_absent(other, "a");
}

static void
there_are_so_many_tables_and_no_more(void **state)
{
	char name[32];

	for (int i = 1; i < TG_SHARED_TABLES; i++) {
		snprintf(name, sizeof(name), "table %d", i);
		assert_int_equal(tg_shared_open(shared, tg_str_of(name)), i);
	}
	assert_int_equal(tg_shared_open(shared, TG_STR("one too many")), -1);
	assert_int_equal(tg_shared_open(shared, TG_STR("table 63")), 63);
}

static void
an_entry_goes_when_its_time_is_over(void **state)
{
	put(table, "short", "x", 2);
	put(table, "long", "y", 60 * 1000);
	put(table, "renewed", "z", 2);
	put(table, "renewed", "z", 0);
	pass_ms(2);
	assert_absent(table, "short");
	assert_int_equal(tg_shared_delete(shared, table, TG_STR("short")), 0);
	assert_value(table, "long", "y");
	assert_value(table, "renewed", "z");
}

static double
add(const char *key, double by, double initial, int64_t ttl_ms)
{
	double result = NAN;

	assert_int_equal(
	    tg_shared_incr(shared, table, tg_str_of(key), by, initial, ttl_ms, &result), 0);
	return result;
}

static void
incr_begins_at_initial_and_adds(void **state)
{
	assert_true(add("n", 1, 10, 0) == 11);
	assert_true(add("n", 1, 10, 0) == 12);
	assert_true(add("n", -2.5, 10, 0) == 9.5);
	assert_value(table, "n", "n9.5");
	put(table, "m", "n7", 0);
	assert_true(add("m", 1, 0, 0) == 8);
}

static void
incr_keeps_the_time_to_live_of_the_first(void **state)
{
	assert_true(add("n", 1, 0, 4) == 1);
	assert_true(add("n", 1, 0, 60 * 1000) == 2);
	pass_ms(4);
	assert_absent(table, "n");
	assert_true(add("n", 1, 0, 4) == 1);
}

static void
incr_refuses_what_is_no_number_and_leaves_it(void **state)
{
	double result;

	put(table, "s", "stext", 0);
	put(table, "x", "n12abc", 0);
	put(table, "e", "", 0);
	assert_int_equal(tg_shared_incr(shared, table, TG_STR("s"), 1, 0, 0, &result), 1);
	assert_int_equal(tg_shared_incr(shared, table, TG_STR("x"), 1, 0, 0, &result), 1);
	assert_int_equal(tg_shared_incr(shared, table, TG_STR("e"), 1, 0, 0, &result), 1);
	assert_value(table, "s", "stext");
}

static void
many_keys_are_all_found_again(void **state)
{
	enum { MANY = 20000 };
	char key[32], value[32];

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < MANY; i++) {
			snprintf(key, sizeof(key), "k%d", i);
			snprintf(value, sizeof(value), "%d", i + round);
			put(table, key, value, 0);
		}
	for (int i = 0; i < MANY; i += 2) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(tg_shared_delete(shared, table, tg_str_of(key)), 1);
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		snprintf(value, sizeof(value), "%d", i + 1);
		if (i % 2 == 0)
			assert_absent(table, key);
		else
			assert_value(table, key, value);
	}
}

static struct tg_str
key_of(const uint32_t *number)
{
	return (struct tg_str){ (const char *)number, sizeof(*number) };
}

static int
put_number(uint32_t number, int64_t ttl_ms)
{
	return tg_shared_set(shared, table, key_of(&number), TG_STR("x"), ttl_ms);
}

static void
a_full_table_refuses_new_keys_only(void **state)
{
	const uint32_t seven = 7;

	for (uint32_t i = 0; i < TG_SHARED_KEYS; i++)
		assert_int_equal(put_number(i, 0), 0);
	assert_int_equal(put_number(TG_SHARED_KEYS, 0), -1);
	assert_int_equal(put_number(0, 0), 0);
	assert_int_equal(tg_shared_delete(shared, table, key_of(&seven)), 1);
	assert_int_equal(put_number(TG_SHARED_KEYS, 0), 0);
}

/* As the counters of a rate limit do: a new key for each client and second, each for a while. */
static void
a_table_full_of_keys_whose_time_is_over_has_room(void **state)
{
	uint32_t number = 0;

	for (uint32_t i = 0; i < TG_SHARED_KEYS; i++)
		assert_int_equal(put_number(number++, 1), 0);
	pass_ms(1);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(put_number(number++, 0), 0);
}

enum { THREADS = 4, ROUNDS = 5000 };

static void *
count(void *arg)
{
	double result;

	for (int i = 0; i < ROUNDS; i++)
		if (tg_shared_incr(shared, table, TG_STR("n"), 1, 0, 0, &result) != 0)
			return NULL;
	return arg;
}

static void
threads_that_count_lose_nothing(void **state)
{
	pthread_t thread[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, count, state), 0);
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(thread[i], &result);
		assert_ptr_equal(result, state);
	}
	assert_true(add("n", 0, 0, 0) == THREADS * ROUNDS);
}

static void
a_bounded_table_lets_go_what_was_set_longest_ago(void **state)
{
	char key[16];

	tg_shared_bound(shared, table, 3);
	put(table, "a", "1", 0);
	put(table, "b", "2", 0);
	put(table, "c", "3", 0);
	put(table, "a", "4", 0); /* is the youngest now */
	put(table, "d", "5", 0);
	assert_absent(table, "b");
	assert_value(table, "a", "4");
	assert_value(table, "c", "3");
	assert_int_equal(tg_shared_delete(shared, table, TG_STR("c")), 1);
	put(table, "e", "6", 0);
	assert_value(table, "a", "4");
	assert_value(table, "d", "5");
	assert_value(table, "e", "6");

	/* A smaller bound holds at once, and a larger one later. */
	tg_shared_bound(shared, table, 1);
	assert_absent(table, "a");
	assert_absent(table, "d");
	assert_value(table, "e", "6");
	tg_shared_bound(shared, table, 1000);
	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		put(table, key, key, 0);
	}
	assert_absent(table, "k3999");
	for (int i = 4000; i < 5000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_value(table, key, key);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_set_comes_back),
		TEST(a_copy_is_the_callers),
		TEST(keys_and_values_are_bytes),
		TEST(delete_says_whether_it_was_there),
		TEST(tables_are_found_by_name_and_are_apart),
		TEST(there_are_so_many_tables_and_no_more),
		TEST(an_entry_goes_when_its_time_is_over),
		TEST(incr_begins_at_initial_and_adds),
		TEST(incr_keeps_the_time_to_live_of_the_first),
		TEST(incr_refuses_what_is_no_number_and_leaves_it),
		TEST(many_keys_are_all_found_again),
		TEST(a_full_table_refuses_new_keys_only),
		TEST(a_table_full_of_keys_whose_time_is_over_has_room),
		TEST(threads_that_count_lose_nothing),
		TEST(a_bounded_table_lets_go_what_was_set_longest_ago),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
