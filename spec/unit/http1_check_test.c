/* The checks and judgements behind llhttp, without it: they hold whatever it lets through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/http1_private.h"

#define M(literal)                                                                                 \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct tg_head head;

static int
set_up(void **state)
{
	head = (struct tg_head){ .arena = NULL };
	return 0;
}

/* One field line of a response, with the spans that some llhttp might give for it. */
static const struct {
	struct tg_str line;
	size_t name, name_len, value, value_len;
	bool good;
} lines[] = {
	{ M("A: b\r\n"), 0, 1, 3, 1, true },
	{ M("A:b \t\r\n"), 0, 1, 2, 3, true },
	{ M("A; b\r\n"), 0, 1, 3, 1, false },
	{ M("A : b\r\n"), 0, 1, 4, 1, false },
	{ M("A : b\r\n"), 0, 2, 4, 1, false },
	{ M(" A: b\r\n"), 1, 1, 4, 1, false },
	{ M("A: \rb\r\n"), 0, 1, 4, 1, false },
	{ M("A: \rb\r\n"), 0, 1, 3, 2, false },
	{ M("A: bc\r\n"), 0, 1, 4, 1, false },
	{ M("A: b\r\n c\r\n"), 0, 1, 3, 1, false },
	{ M("A: b\r\n c\r\n"), 0, 1, 3, 5, false },
	{ M("A: b\n"), 0, 1, 3, 1, false },
	{ M("A: b\n\n"), 0, 1, 3, 1, false },
	{ M("A: b\r"), 0, 1, 3, 1, false },
	{ M("A: b"), 0, 1, 3, 1, false },
	{ M("A:"), 0, 1, 2, 0, false },
	{ M("A"), 0, 1, 1, 0, false },
	{ M(": b\r\n"), 0, 0, 2, 1, false },
};

static void
field_lines_are_checked_byte_by_byte(void **state)
{
	static char text[64];
	struct tg_field field;

	for (size_t i = 0; i < ROWS(lines); i++) {
		size_t start = (size_t)sprintf(text, "HTTP/1.1 200\r\n");
		size_t len = start + lines[i].line.len;

		memcpy(text + start, lines[i].line.ptr, lines[i].line.len);
		memcpy(text + len, "\r\n", 2);
		field = (struct tg_field){ { text + start + lines[i].name, lines[i].name_len },
			{ text + start + lines[i].value, lines[i].value_len }, 0, 0 };
		head.fields = &field;
		head.count = 1;
		assert_int_equal(tg_http1_check(&head, true, text, len + 2),
		    lines[i].good ? (int)len + 2 : TG_HTTP_BAD);
	}
}

/* Content-Length, where llhttp is stricter than what we may rely on. */
static void
lengths_are_judged_apart_from_llhttp(void **state)
{
	struct tg_field fields[] = {
		{ TG_STR("content-length"), TG_STR("5"), TG_FIELD_CONTENT_LENGTH, 0 },
		{ TG_STR("content-length"), TG_STR("5"), TG_FIELD_CONTENT_LENGTH, 0 },
	};

	head.major = head.minor = 1;
	head.status = 200;
	head.fields = fields;
	head.count = 1;
	assert_int_equal(tg_http1_judge_response(&head, false), 0);
	head.count = 2;
	assert_int_equal(tg_http1_judge_response(&head, false), TG_HTTP_BAD);
	head.count = 1;
	fields[0].value = TG_STR("");
	assert_int_equal(tg_http1_judge_response(&head, false), TG_HTTP_BAD);
}

static void
status_lines_are_checked_byte_by_byte(void **state)
{
	static const struct tg_str bad[] = { M(""), M("HTTP/1.1"), M("HTTP/1.1 200"),
		M("HTTP/1.1 200\r"), M("HTTP/1.1 20\r\n\r\n"), M("HTTP/1.1 2000\r\n\r\n"),
		M("HTTP/1.1 200OK\r\n\r\n"), M("HTTP/1.1 200 OK"), M("HTTP/1.1 200 OK\r\n"),
		M("HTTP/1.1 200 OK\r\n\r"), M("HTTP/1.1 200 OK\n\n"), M("HTTP/1,1 200 OK\r\n\r\n"),
		M("http/1.1 200 OK\r\n\r\n"), M("HTTP/1.1  200 OK\r\n\r\n") };
	static const struct tg_str good = M("HTTP/1.1 200 OK\r\n\r\n");

	for (size_t i = 0; i < ROWS(bad); i++)
		assert_int_equal(tg_http1_check(&head, true, bad[i].ptr, bad[i].len), TG_HTTP_BAD);
	assert_int_equal(tg_http1_check(&head, true, good.ptr, good.len), good.len);
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(field_lines_are_checked_byte_by_byte),
		TEST(status_lines_are_checked_byte_by_byte),
		TEST(lengths_are_judged_apart_from_llhttp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
