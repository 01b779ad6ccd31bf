/* Heads written: byte for byte, and what is never written. */
#include "http1_fixture.h"

static char out[4096];

static void
read_request(struct tg_str message)
{
	size_t used;

	tg_http1_request_init(&http, &limits, &head);
	assert_int_equal(tg_http1_head(&http, message.ptr, message.len, &used), 1);
}

static void
read_response(struct tg_str message, enum tg_method method)
{
	size_t used;

	tg_http1_response_init(&http, &limits, &head, method);
	assert_int_equal(tg_http1_head(&http, message.ptr, message.len, &used), 1);
}

/* Written is exactly `expected`, and no buffer that is shorter will do. */
static void
assert_written(int len, const char *expected)
{
	assert_true(len > 0 && len < (int)sizeof(out));
	out[len] = '\0';
	assert_string_equal(out, expected);
}

static void
assert_request(const char *expected)
{
	size_t len = strlen(expected);

	for (size_t cap = 0; cap < len; cap++)
		assert_int_equal(
		    tg_http1_write_request(&head, head.host, TG_CONNECTION_SILENT, out, cap),
		    TG_HTTP_TOO_LARGE);
	assert_written(
	    tg_http1_write_request(&head, head.host, TG_CONNECTION_SILENT, out, len), expected);
}

static const struct {
	struct tg_str read;
	const char *written;
} requests[] = {
	{ M("GET /p?q HTTP/1.1\r\nA:1\r\nHost: a\r\nB: \r\nC:  3  \r\n\r\n"),
	    "GET /p?q HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: \r\nC: 3\r\n\r\n" },
	{ M("GET / HTTP/1.0\r\nConnection: keep-alive, a\r\nA: 1\r\n\r\n"),
	    "GET / HTTP/1.1\r\nHost: \r\n\r\n" },
	{ M("GET http://b:80/p? HTTP/1.1\r\nHost: b\r\n\r\n"),
	    "GET /p? HTTP/1.1\r\nHost: b:80\r\n\r\n" },
	{ M("GET http://b?q HTTP/1.1\r\nHost: b\r\n\r\n"), "GET /?q HTTP/1.1\r\nHost: b\r\n\r\n" },
	{ M("OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n"), "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n" },
	{ M("OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n"),
	    "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n" },
	{ M("POST / HTTP/1.1\r\nContent-Length: 007\r\nHost: b\r\n\r\n"),
	    "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 7\r\n\r\n" },
	{ M("POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n"),
	    "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n" },
	{ M("POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 9223372036854775807\r\n\r\n"),
	    "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 9223372036854775807\r\n\r\n" },
	{ M("PUT / HTTP/1.1\r\nHost: b\r\ntransfer-encoding: CHUNKED\r\n\r\n"),
	    "PUT / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ M("GET / HTTP/1.1\r\nHost: b\r\nTE: x\r\nUpgrade: y\r\nConnection: TE, upgrade\r\n\r\n"),
	    "GET / HTTP/1.1\r\nHost: b\r\n\r\n" },
};

static void
requests_are_written_for_the_next_hop(void **state)
{
	for (size_t i = 0; i < ROWS(requests); i++) {
		read_request(requests[i].read);
		assert_request(requests[i].written);
	}
}

static void
edits_are_written(void **state)
{
	read_request((struct tg_str)M(
	    "GET http://a/p?q HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\na: 3\r\nC: 4\r\n\r\n"));
	assert_int_equal(tg_head_set(&head, TG_STR("A"), TG_STR("one")), 0);
	assert_int_equal(tg_head_remove(&head, TG_STR("b")), 0);
	assert_int_equal(tg_head_add(&head, TG_STR("D"), TG_STR("")), 0);
	assert_int_equal(tg_head_set_path(&head, TG_STR("/new")), 0);
	assert_int_equal(tg_head_set_query(&head, TG_STR("x=y")), 0);
	assert_int_equal(tg_head_set_host(&head, TG_STR("b:8080")), 0);
	assert_request("GET /new?x=y HTTP/1.1\r\nHost: b:8080\r\nA: one\r\nC: 4\r\nD: \r\n\r\n");
	assert_int_equal(tg_head_set_query(&head, (struct tg_str){ NULL, 0 }), 0);
	assert_request("GET /new HTTP/1.1\r\nHost: b:8080\r\nA: one\r\nC: 4\r\nD: \r\n\r\n");
}

/* A field that Connection named was for us; one that a script sets is for the next hop. */
static void
a_script_may_set_what_connection_named(void **state)
{
	read_request(
	    (struct tg_str)M("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nX: 1\r\n\r\n"));
	assert_request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(tg_head_set(&head, TG_STR("X"), TG_STR("2")), 0);
	assert_request("GET / HTTP/1.1\r\nHost: a\r\nX: 2\r\n\r\n");
}

#define FIELDS "HTTP/1.1 200 Fine\r\nA: 1\r\n"

static const struct {
	struct tg_str read;
	enum tg_method method;
	enum tg_framing framing;
	enum tg_http1_connection connection;
	const char *written;
} responses[] = {
	{ M(FIELDS "Content-Length: 3\r\nConnection: a\r\n\r\n"), TG_METHOD_GET, TG_FRAMING_LENGTH,
	    TG_CONNECTION_SILENT, "HTTP/1.1 200 Fine\r\nContent-Length: 3\r\n\r\n" },
	{ M(FIELDS "Content-Length: 0\r\n\r\n"), TG_METHOD_GET, TG_FRAMING_NONE,
	    TG_CONNECTION_SILENT, FIELDS "Content-Length: 0\r\n\r\n" },
	{ M(FIELDS "Transfer-Encoding: chunked\r\n\r\n"), TG_METHOD_GET, TG_FRAMING_CHUNKED,
	    TG_CONNECTION_CLOSE, FIELDS "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" },
	{ M(FIELDS "Transfer-Encoding: chunked\r\n\r\n"), TG_METHOD_GET, TG_FRAMING_CLOSE,
	    TG_CONNECTION_CLOSE, FIELDS "Connection: close\r\n\r\n" },
	{ M(FIELDS "Content-Length: 3\r\n\r\n"), TG_METHOD_HEAD, TG_FRAMING_NONE,
	    TG_CONNECTION_KEEP_ALIVE,
	    FIELDS "Content-Length: 3\r\nConnection: keep-alive\r\n\r\n" },
	{ M(FIELDS "\r\n"), TG_METHOD_HEAD, TG_FRAMING_NONE, TG_CONNECTION_SILENT, FIELDS "\r\n" },
	{ M("HTTP/1.1 304 X\r\nContent-Length: 3\r\n\r\n"), TG_METHOD_GET, TG_FRAMING_NONE,
	    TG_CONNECTION_SILENT, "HTTP/1.1 304 X\r\nContent-Length: 3\r\n\r\n" },
	{ M("HTTP/1.0 204 X\r\nContent-Length: 3\r\n\r\n"), TG_METHOD_GET, TG_FRAMING_LENGTH,
	    TG_CONNECTION_SILENT, "HTTP/1.1 204 X\r\n\r\n" },
	{ M("HTTP/1.1 103 Early Hints\r\nLink: x\r\nTransfer-Encoding: chunked\r\n\r\n"),
	    TG_METHOD_GET, TG_FRAMING_CHUNKED, TG_CONNECTION_SILENT,
	    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" },
	{ M("HTTP/1.1 404\r\n\r\n"), TG_METHOD_GET, TG_FRAMING_CLOSE, TG_CONNECTION_CLOSE,
	    "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n" },
	{ M("HTTP/1.1 299\r\n\r\n"), TG_METHOD_GET, TG_FRAMING_CLOSE, TG_CONNECTION_CLOSE,
	    "HTTP/1.1 299 \r\nConnection: close\r\n\r\n" },
};

static void
assert_response(enum tg_framing framing, enum tg_http1_connection connection, const char *expected)
{
	size_t len = strlen(expected);

	for (size_t cap = 0; cap < len; cap++)
		assert_int_equal(tg_http1_write_response(&head, framing, connection, out, cap),
		    TG_HTTP_TOO_LARGE);
	assert_written(tg_http1_write_response(&head, framing, connection, out, len), expected);
}

static void
responses_are_written_for_the_client(void **state)
{
	for (size_t i = 0; i < ROWS(responses); i++) {
		read_response(responses[i].read, responses[i].method);
		assert_response(
		    responses[i].framing, responses[i].connection, responses[i].written);
	}
}

static void
a_local_answer_needs_no_peer(void **state)
{
	head.status = 503;
	head.length = 3;
	assert_int_equal(tg_head_set(&head, TG_STR("Retry-After"), TG_STR("1")), 0);
	assert_response(TG_FRAMING_LENGTH, TG_CONNECTION_CLOSE,
	    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 3\r\n"
	    "Connection: close\r\n\r\n");
	head.reason = (struct tg_str)M("No\r\nX: y");
	assert_response(TG_FRAMING_CLOSE, TG_CONNECTION_SILENT,
	    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n");
	head.reason = (struct tg_str)M("Later");
	assert_response(
	    TG_FRAMING_CLOSE, TG_CONNECTION_SILENT, "HTTP/1.1 503 Later\r\nRetry-After: 1\r\n\r\n");
}

static void
chunk_lines_are_hexadecimal(void **state)
{
	static const struct {
		size_t len;
		const char *line;
	} lines[] = { { 1, "1\r\n" }, { 10, "a\r\n" }, { 16, "10\r\n" }, { 65536, "10000\r\n" },
		{ SIZE_MAX, "ffffffffffffffff\r\n" } };

	for (size_t i = 0; i < ROWS(lines); i++) {
		size_t len = tg_http1_chunk_line(lines[i].len, out);

		assert_true(len <= TG_CHUNK_LINE);
		assert_written((int)len, lines[i].line);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_written_for_the_next_hop),
		TEST(edits_are_written),
		TEST(a_script_may_set_what_connection_named),
		TEST(responses_are_written_for_the_client),
		TEST(a_local_answer_needs_no_peer),
		TEST(chunk_lines_are_hexadecimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
