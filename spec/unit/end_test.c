/* The table of endings agrees with itself, since logs, counters and answers all come from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "http/head.h"
#include "proxy/end.h"

static void
there_is_nothing_in_the_row_of_the_living(void **state)
{
	const struct tg_end_row *row = tg_end_row(TG_END_NONE);

	assert_int_equal(row->name.len, 0);
	assert_int_equal(row->status, 0);
	assert_int_equal(row->code.len, 0);
	assert_int_equal(row->text.len, 0);
}

static void
every_name_is_a_word_of_its_own(void **state)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";

	for (int i = 1; i < TG_END_COUNT; i++) {
		struct tg_str name = tg_end_row((enum tg_end)i)->name;

		assert_int_equal(strlen(name.ptr), name.len);
		assert_true(name.len > 0);
		assert_int_equal(strspn(name.ptr, letters), name.len);
		for (int j = 1; j < i; j++)
			assert_false(tg_str_eq(name, tg_end_row((enum tg_end)j)->name));
	}
}

/* Who: the client C c (timeout), the server S s, its checks D, the proxy P, a script I, resources R,
 * a stop K, the proxy's own answer L. When: reading the request R, connecting C, waiting H, data D. */
static void
every_code_is_two_known_characters(void **state)
{
	for (int i = 1; i < TG_END_COUNT; i++) {
		struct tg_str code = tg_end_row((enum tg_end)i)->code;

		assert_int_equal(code.len, 2);
		if (i == TG_END_OK || i == TG_END_TUNNEL_CLOSED) {
			assert_string_equal(code.ptr, "--");
			continue;
		}
		assert_non_null(strchr("CcSsDPIRKL", code.ptr[0]));
		assert_non_null(strchr("RQCHD", code.ptr[1]));
	}
}

static void
an_answer_of_our_own_has_an_error_status_and_a_sentence(void **state)
{
	for (int i = 1; i < TG_END_COUNT; i++) {
		const struct tg_end_row *row = tg_end_row((enum tg_end)i);

		if (row->status == 0) {
			assert_int_equal(row->text.len, 0);
			continue;
		}
		assert_in_range(row->status, 400, 599);
		assert_true(tg_reason(row->status).len > 0);
		assert_int_equal(strlen(row->text.ptr), row->text.len);
		assert_in_range(row->text.ptr[0], 'A', 'Z');
		assert_int_equal(row->text.ptr[row->text.len - 1], '.');
	}
}

/* Whose fault it was, in the code and in the status. */
static void
codes_and_statuses_blame_the_same(void **state)
{
	for (int i = 1; i < TG_END_COUNT; i++) {
		const struct tg_end_row *row = tg_end_row((enum tg_end)i);
		char who = row->code.ptr[0];

		if (row->status == 408)
			assert_int_equal(who, 'c');
		if (row->status == 504)
			assert_int_equal(who, 's');
		if (row->status == 500)
			assert_int_equal(who, 'I');
		if (row->status >= 400 && row->status < 500)
			assert_non_null(strchr("cP", who));
		if (who == 'C')
			assert_int_equal(row->status, 0); /* nobody is there to read it */
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_is_nothing_in_the_row_of_the_living),
		cmocka_unit_test(every_name_is_a_word_of_its_own),
		cmocka_unit_test(every_code_is_two_known_characters),
		cmocka_unit_test(an_answer_of_our_own_has_an_error_status_and_a_sentence),
		cmocka_unit_test(codes_and_statuses_blame_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
