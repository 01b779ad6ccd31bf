/* Heads in pieces and at their limits, and several in one stream. */
#include "http1_fixture.h"

static int
read_request(struct tg_str message, size_t *used)
{
	tg_http1_request_init(&http, &limits, &head);
	return feed(message, used);
}

static void
empty_lines_do_not_start_a_request(void **state)
{
	size_t used;

	tg_http1_request_init(&http, &limits, &head);
	assert_false(tg_http1_started(&http));
	assert_int_equal(feed(TG_STR(""), &used), 0);
	assert_int_equal(feed(TG_STR("\r\n\r"), &used), 0);
	assert_int_equal(used, 3);
	assert_false(tg_http1_started(&http));
	assert_int_equal(feed(TG_STR("\nG"), &used), 0);
	assert_true(tg_http1_started(&http));
	assert_false(tg_http1_complete_at_eof(&http));
}

/* A request of exactly `len` bytes, with a target of `uri` bytes and `fields` fields. */
static struct tg_str
request_of(size_t len, size_t uri, size_t fields)
{
	static char text[40000];
	char *at = text;

	at += sprintf(at, "GET /");
	memset(at, 'p', uri - 1);
	at += uri - 1;
	at += sprintf(at, " HTTP/1.1\r\nHost: a\r\n");
	for (size_t i = 2; i < fields; i++)
		at += sprintf(at, "A: b\r\n");
	at += sprintf(at, "Z:");
	while ((size_t)(at - text) + 4 < len)
		*at++ = 'z';
	memcpy(at, "\r\n\r\n", 4);
	return (struct tg_str){ text, (size_t)(at - text) + 4 };
}

static int
in_pieces(struct tg_str message, size_t size)
{
	size_t used = 0, piece;
	int result = 0;

	tg_http1_request_init(&http, &limits, &head);
	for (size_t at = 0; result == 0 && at < message.len; at += used) {
		piece = message.len - at < size ? message.len - at : size;
		result = feed((struct tg_str){ message.ptr + at, piece }, &used);
	}
	return result;
}

static void
limits_hold_to_the_byte_however_it_arrives(void **state)
{
	static const struct {
		size_t len, uri, fields;
		int result;
	} rows[] = {
		{ 0, 1, 2, 1 },
		{ 16384, 1, 2, 1 },
		{ 16385, 1, 2, TG_HTTP_TOO_LARGE },
		{ 30000, 1, 2, TG_HTTP_TOO_LARGE },
		{ 0, 8192, 2, 1 },
		{ 0, 8193, 2, TG_HTTP_URI_TOO_LONG },
		{ 0, 17000, 2, TG_HTTP_URI_TOO_LONG },
		{ 0, 1, 128, 1 },
		{ 0, 1, 129, TG_HTTP_TOO_LARGE },
		{ 0, 1, 1000, TG_HTTP_TOO_LARGE },
	};
	static const size_t sizes[] = { 1, 2, 7, 100, 4096, 16384, 40000 };

	for (size_t i = 0; i < ROWS(rows); i++) {
		struct tg_str message = request_of(rows[i].len, rows[i].uri, rows[i].fields);

		for (size_t k = 0; k < ROWS(sizes); k++) {
			int result = in_pieces(message, sizes[k]);

			if (result != rows[i].result)
				fail_msg("row %zu by %zu gives %d", i, sizes[k], result);
			if (result == 1)
				assert_int_equal(head.count, rows[i].fields);
			assert_true(http.len <= limits.head);
			tg_arena_reset(&arena);
		}
	}
}

/* The wrong byte stands behind the limit: whether it was read together with the bytes before
 * must not matter. */
static void
the_first_error_in_the_stream_wins(void **state)
{
	static const size_t sizes[] = { 1, 10, 8190, 40000 };
	char *text = (char *)request_of(0, 8200, 2).ptr;

	for (size_t k = 0; k < ROWS(sizes); k++) {
		text[4 + 8195] = '\x01';
		assert_int_equal(
		    in_pieces((struct tg_str){ text, 9000 }, sizes[k]), TG_HTTP_URI_TOO_LONG);
		text[4 + 8192] = '\x01';
		assert_int_equal(in_pieces((struct tg_str){ text, 9000 }, sizes[k]), TG_HTTP_BAD);
		text[4 + 8192] = 'p';
	}
	for (size_t k = 0; k < ROWS(sizes); k++) {
		struct tg_str message = request_of(0, 1, 129);

		text = (char *)message.ptr + message.len - 6; /* Z:\r\n\r\n, field 129 */
		text[0] = '(';
		assert_int_equal(in_pieces(message, sizes[k]), TG_HTTP_BAD);
		text[0] = 'Z';
		text[2] = '\x01';
		assert_int_equal(in_pieces(message, sizes[k]), TG_HTTP_TOO_LARGE);
	}
}

static void
a_million_options_of_connection_are_refused(void **state)
{
	static char text[4096];
	size_t used, len = (size_t)sprintf(text, "GET / HTTP/1.1\r\n" HOST "Connection: x0");

	for (int i = 1; i < 256; i++)
		len += (size_t)sprintf(text + len, ",x%d", i);
	sprintf(text + len, "\r\n\r\n");
	assert_int_equal(read_request(tg_str_of(text), &used), 1);
	sprintf(text + len, ",x256\r\n\r\n");
	assert_int_equal(read_request(tg_str_of(text), &used), TG_HTTP_BAD);
}

static void
interim_responses_are_heads_of_their_own(void **state)
{
	struct tg_str stream = M("HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
	size_t first, second;

	tg_http1_response_init(&http, &limits, &head, TG_METHOD_POST);
	assert_int_equal(tg_http1_head(&http, stream.ptr, stream.len, &first), 1);
	assert_int_equal(head.status, 100);
	assert_true(tg_http1_complete_at_eof(&http));
	tg_http1_response_init(&http, &limits, &head, TG_METHOD_POST);
	assert_int_equal(tg_http1_head(&http, stream.ptr + first, stream.len - first, &second), 1);
	assert_int_equal(first + second, stream.len);
	assert_int_equal(head.status, 200);
	assert_int_equal(head.count, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(empty_lines_do_not_start_a_request),
		TEST(limits_hold_to_the_byte_however_it_arrives),
		TEST(the_first_error_in_the_stream_wins),
		TEST(a_million_options_of_connection_are_refused),
		TEST(interim_responses_are_heads_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
