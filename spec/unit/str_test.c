/* String views compare bytes, all of them, and only up to len. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

static const struct tg_str absent = { NULL, 0 };

static void
a_view_of_a_c_string_has_its_length(void **state)
{
	const char *text = "host";

	(void)state;
	assert_ptr_equal(tg_str_of(text).ptr, text);
	assert_int_equal(tg_str_of(text).len, 4);
	assert_non_null(tg_str_of("").ptr);
	assert_int_equal(tg_str_of("").len, 0);
	assert_null(tg_str_of(NULL).ptr);
	assert_int_equal(tg_str_of(NULL).len, 0);
}

static void
a_literal_keeps_its_embedded_nul(void **state)
{
	(void)state;
	assert_int_equal(TG_STR("a\0b").len, 3);
	assert_int_equal(TG_STR("").len, 0);
}

static void
eq_compares_bytes(void **state)
{
	(void)state;
	assert_true(tg_str_eq(TG_STR("abc"), tg_str_of("abc")));
	assert_false(tg_str_eq(TG_STR("abc"), TG_STR("abC")));
	assert_false(tg_str_eq(TG_STR("abc"), TG_STR("abd")));
	assert_false(tg_str_eq(TG_STR("abc"), TG_STR("ab")));
	assert_false(tg_str_eq(TG_STR("a\0b"), TG_STR("a\0c")));
	assert_true(tg_str_eq(absent, absent));
	assert_true(tg_str_eq(absent, TG_STR("")));
	assert_false(tg_str_eq(absent, TG_STR("a")));
}

static void
ieq_ignores_the_case_of_ascii_letters(void **state)
{
	(void)state;
	assert_true(tg_str_ieq(TG_STR("Content-Length"), TG_STR("cONTENT-lENGTH")));
	assert_true(tg_str_ieq(TG_STR("azAZ"), TG_STR("AZaz")));
	assert_false(tg_str_ieq(TG_STR("chunked"), TG_STR("chunkee")));
	assert_false(tg_str_ieq(TG_STR("chunked"), TG_STR("chunke")));
	assert_true(tg_str_ieq(absent, TG_STR("")));
	assert_false(tg_str_ieq(absent, TG_STR("a")));
}

/* All pairs of bytes: only the 26 pairs of letters are equal though different. */
static void
ieq_ignores_nothing_else(void **state)
{
	int folded = 0;

	(void)state;
	for (int a = 0; a < 256; a++) {
		for (int b = 0; b < 256; b++) {
			char one = (char)a, other = (char)b;
			struct tg_str x = { &one, 1 }, y = { &other, 1 };

			if (a != b && tg_str_ieq(x, y))
				folded++;
		}
	}
	assert_int_equal(folded, 2 * 26);
	assert_false(tg_str_ieq(TG_STR("[{@`"), TG_STR("{[`@")));
}

static void
ieq_looks_behind_a_nul(void **state)
{
	(void)state;
	assert_false(tg_str_ieq(TG_STR("a\0b"), TG_STR("a\0c")));
	assert_true(tg_str_ieq(TG_STR("a\0b"), TG_STR("A\0B")));
}

static void
no_byte_behind_len_counts(void **state)
{
	(void)state;
	assert_true(tg_str_eq((struct tg_str){ "abX", 2 }, (struct tg_str){ "abY", 2 }));
	assert_true(tg_str_ieq((struct tg_str){ "abX", 2 }, (struct tg_str){ "ABY", 2 }));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_view_of_a_c_string_has_its_length),
		cmocka_unit_test(a_literal_keeps_its_embedded_nul),
		cmocka_unit_test(eq_compares_bytes),
		cmocka_unit_test(ieq_ignores_the_case_of_ascii_letters),
		cmocka_unit_test(ieq_ignores_nothing_else),
		cmocka_unit_test(ieq_looks_behind_a_nul),
		cmocka_unit_test(no_byte_behind_len_counts),
	};

	return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
