/* Requests of HTTP/2: what each head means, what is refused and how, bodies that are not what was promised, and
 * what a peer may cost. */
#include "http2_fixture.h"

/* --- heads -------------------------------------------------------------------------------- */

#define GOOD ":method=GET", ":scheme=http", ":path=/", ":authority=a"

struct row {
	const char *fields[12];
	const char *means; /* "METHOD path?query host framing fields", or the error */
};

static const char *
summary(const struct seen *seen)
{
	static const char *const framings[] = { "none", "length", "chunked", "close" };
	static char text[1024];
	const struct tg_head *head = &seen->head;
	int len;

	if (seen->error != 0) {
		snprintf(text, sizeof(text), "%d", seen->error);
		return text;
	}
	len = snprintf(text, sizeof(text), "%.*s %.*s", (int)head->method.len, head->method.ptr,
	    (int)head->path.len, head->path.ptr);
	if (head->query.ptr != NULL)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "?%.*s",
		    (int)head->query.len, head->query.ptr);
	len += snprintf(text + len, sizeof(text) - (size_t)len, " %.*s %s", (int)head->host.len,
	    head->host.ptr, framings[head->framing]);
	for (unsigned i = 0; i < head->count; i++) {
		const struct tg_field *field = &head->fields[i];

		if (field->id != TG_FIELD_HOST && (field->flags & TG_FIELD_HOP) == 0)
			len += snprintf(text + len, sizeof(text) - (size_t)len, " %.*s=%.*s",
			    (int)field->name.len, field->name.ptr, (int)field->value.len,
			    field->value.ptr);
	}
	return text;
}

static void
check_rows(const struct row *rows, size_t count, bool ended)
{
	for (size_t i = 0; i < count; i++) {
		unsigned before = stream_count;

		ask(rows[i].fields, ended);
		assert_int_equal(talk(), 0);
		assert_int_equal(stream_count, before + 1);
		assert_string_equal(summary(&streams[before]), rows[i].means);
	}
}

static void
test_good_heads(void **state)
{
	static const struct row rows[] = {
		{ { GOOD, NULL }, "GET / a none" },
		{ { ":path=/x?y=1", ":authority=b:80", ":scheme=http", ":method=HEAD", NULL },
		    "HEAD /x?y=1 b:80 none" },
		{ { ":method=GET", ":scheme=http", ":path=/", "host=a", NULL }, "GET / a none" },
		{ { GOOD, "host=A", NULL }, "GET / A none" },
		{ { GOOD, "accept=*/*", "x=", NULL }, "GET / a none accept=*/* x=" },
		{ { GOOD, "te=trailers", "trailer=x", NULL }, "GET / a none" },
		{ { GOOD, "cookie=a=1", "x=y", "cookie=b=2", "cookie=c=3", NULL },
		    "GET / a none cookie=a=1; b=2; c=3 x=y" },
		{ { GOOD, "cookie=", "cookie=b=2", "cookie=", "cookie=c=3", "cookie=", NULL },
		    "GET / a none cookie=b=2; c=3" },
		{ { GOOD, "cookie=", "cookie=", NULL }, "GET / a none cookie=" },
		{ { ":method=OPTIONS", ":scheme=http", ":path=*", ":authority=a", NULL },
		    "OPTIONS * a none" },
		{ { GOOD, "content-length=0", NULL }, "GET / a none" },
		{ { GOOD, "expect=100-continue", NULL }, "GET / a none" },
		{ { GOOD, "x-bytes=\x80\xff", NULL }, "GET / a none x-bytes=\x80\xff" },
	};

	check_rows(rows, ROWS(rows), true);
	assert_int_equal(streams[0].head.major, 2);
	assert_true(streams[0].head.keep_alive);
}

static void
test_heads_with_bodies(void **state)
{
	static const struct row rows[] = {
		{ { GOOD, NULL }, "GET / a chunked" },
		{ { GOOD, "content-length=5", NULL }, "GET / a length" },
		{ { GOOD, "content-length=0", NULL }, "GET / a none" },
		{ { GOOD, "expect=100-continue", NULL }, "GET / a chunked expect=100-continue" },
		{ { ":method=TRACE", ":scheme=http", ":path=/", ":authority=a", NULL }, "-1" },
		{ { ":method=CONNECT", ":protocol=websocket", ":scheme=http", ":path=/c",
		      ":authority=a", "sec-websocket-key=x", NULL },
		    "-1" },
		{ { ":method=CONNECT", ":protocol=ip", ":scheme=http", ":path=/c", ":authority=a",
		      NULL },
		    "-5" },
		{ { ":method=GET", ":protocol=websocket", ":scheme=http", ":path=/c",
		      ":authority=a", NULL },
		    "-1" },
	};

	check_rows(rows, ROWS(rows), false);
}

static void
test_bad_heads(void **state)
{
	static const struct row rows[] = {
		{ { ":method=GET", ":scheme=http", ":path=/", NULL }, "-1" },
		{ { ":method=GET", ":scheme=http", ":path=/", "host=", NULL }, "-1" },
		{ { ":method=GET", ":scheme=http", ":path=/", ":authority=", NULL }, "-1" },
		{ { ":method=GET", ":scheme=http", ":path=/", ":authority=u@a", NULL }, "-1" },
		{ { ":method=GET", ":scheme=http", ":authority=a", NULL }, "-1" },
		{ { ":method=GET", ":path=/", ":authority=a", NULL }, "-1" },
		{ { ":scheme=http", ":path=/", ":authority=a", NULL }, "-1" },
		{ { ":method=", ":scheme=http", ":path=/", ":authority=a", NULL }, "-1" },
		{ { ":method=G T", ":scheme=http", ":path=/", ":authority=a", NULL }, "-1" },
		{ { ":method=GET", ":scheme=ftp", ":path=/", ":authority=a", NULL }, "-1" },
		{ { ":method=GET", ":scheme=http", ":path=", ":authority=a", NULL }, "-1" },
		{ { ":method=GET", ":scheme=http", ":path=x", ":authority=a", NULL }, "-1" },
		{ { ":method=GET", ":scheme=http", ":path=*", ":authority=a", NULL }, "-1" },
		{ { ":method=GET", ":scheme=http", ":path=http://b/", ":authority=a", NULL },
		    "-1" },
		{ { ":method=GET", ":scheme=http", ":path=/ HTTP/1.1", ":authority=a", NULL },
		    "-1" },
		{ { ":method=GET", ":scheme=http", ":path=/\r\nx", ":authority=a", NULL }, "-1" },
		{ { ":method=CONNECT", ":authority=a:1", NULL }, "-5" },
		{ { GOOD, ":path=/b", NULL }, "-1" },
		{ { GOOD, ":method=GET", NULL }, "-1" },
		{ { GOOD, ":status=200", NULL }, "-1" },
		{ { GOOD, ":x=y", NULL }, "-1" },
		{ { ":method=GET", ":scheme=http", ":path=/", "x=y", ":authority=a", NULL }, "-1" },
		{ { GOOD, "host=b", NULL }, "-1" },
		{ { GOOD, "host=a", "host=a", NULL }, "-1" },
		{ { GOOD, "x=a\rb", NULL }, "-1" },
		{ { GOOD, "x=a\nb: c", NULL }, "-1" },
		{ { GOOD, "x=\x01", NULL }, "-1" },
		{ { GOOD, "x= a", NULL }, "-1" },
		{ { GOOD, "x=a\t", NULL }, "-1" },
		{ { GOOD, "x y=a", NULL }, "-1" },
		{ { GOOD, "x:y=a", NULL }, "-1" },
		{ { GOOD, "x\r\ny=a", NULL }, "-1" },
		{ { GOOD, "connection=close", NULL }, "-1" },
		{ { GOOD, "keep-alive=1", NULL }, "-1" },
		{ { GOOD, "proxy-connection=close", NULL }, "-1" },
		{ { GOOD, "transfer-encoding=chunked", NULL }, "-1" },
		{ { GOOD, "upgrade=websocket", NULL }, "-1" },
		{ { GOOD, "te=gzip", NULL }, "-1" },
		{ { GOOD, "te=trailers, gzip", NULL }, "-1" },
		{ { GOOD, "content-length=1", NULL }, "-1" }, /* none comes */
		{ { GOOD, "content-length=+0", NULL }, "-1" },
		{ { GOOD, "content-length=0", "content-length=0", NULL }, "-1" },
		{ { GOOD, "content-length=0, 0", NULL }, "-1" },
	};

	check_rows(rows, ROWS(rows), true);
}

/* nghttp2 writes names in lower case, and NUL ends the fixture's texts: these heads are packed by hand. */
static int
send_literal(uint32_t id, const char *name, size_t name_len, const char *value, size_t value_len)
{
	/* :method GET, :scheme http, :path / by their index; :authority a; then the field. */
	char block[64] = { (char)0x82, (char)0x86, (char)0x84, 0x01, 1, 'a' };
	size_t n = 6;

	block[n++] = 0;
	block[n++] = (char)name_len;
	memcpy(block + n, name, name_len);
	n += name_len;
	block[n++] = (char)value_len;
	memcpy(block + n, value, value_len);
	return send_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
	    block, n + value_len);
}

static void
test_bad_bytes(void **state)
{
	assert_int_equal(talk(), 0);
	assert_int_equal(send_literal(1, "x", 1, "y", 1), 0);
	assert_string_equal(summary(&streams[0]), "GET / a none x=y");
	assert_int_equal(send_literal(3, "X", 1, "y", 1), 0);
	assert_int_equal(streams[1].error, TG_HTTP_BAD);
	assert_int_equal(send_literal(5, "x", 1, "a\0b", 3), 0);
	assert_int_equal(streams[2].error, TG_HTTP_BAD);
	assert_int_equal(send_literal(7, "x\0", 2, "a", 1), 0);
	assert_int_equal(streams[3].error, TG_HTTP_BAD);
	assert_int_equal(send_literal(9, "", 0, "a", 1), 0);
	assert_int_equal(streams[4].error, TG_HTTP_BAD);
}

static void
test_websocket(void **state)
{
	static const char *const fields[] = { ":method=CONNECT", ":protocol=websocket",
		":scheme=http", ":path=/chat", ":authority=a", "sec-websocket-version=13", NULL };
	const struct tg_field *key;

	ask(fields, false);
	assert_int_equal(talk(), 0);
	assert_int_equal(streams[0].error, 0);
	assert_memory_equal(streams[0].head.method.ptr, "GET", 3);
	assert_memory_equal(streams[0].head.upgrade.ptr, "websocket", 9);
	assert_int_equal(streams[0].head.framing, TG_FRAMING_NONE);
	key = tg_head_find(&streams[0].head, TG_STR("Sec-WebSocket-Key"), NULL);
	assert_non_null(key);
	assert_int_equal(key->value.len, 24);
	answer(&streams[0], 101, -1, false);
	assert_int_equal(talk(), 0);
	assert_string_equal(client_events, "1::status=200 ");
}

/* --- limits of heads ----------------------------------------------------------------------- */

static void
ask_long(const char *prefix, size_t len, unsigned times)
{
	static const char *fields[200] = { ":method=GET", ":scheme=http", ":authority=a" };
	char *text = malloc(strlen(prefix) + len + 1);
	unsigned n = 3;

	memcpy(text, prefix, strlen(prefix));
	memset(text + strlen(prefix), 'x', len);
	text[strlen(prefix) + len] = '\0';
	if (prefix[0] != ':')
		fields[n++] = ":path=/";
	while (times-- > 0)
		fields[n++] = text;
	fields[n] = NULL;
	ask(fields, true);
	free(text);
}

static void
test_limits(void **state)
{
	ask_long(":path=/", 8191, 1);
	ask_long(":path=/", 8192, 1);
	ask_long("x=", 16000, 1);
	ask_long("x=", 16384, 1);
	ask_long("x=", 1, 127);
	ask_long("x=", 1, 129);
	assert_int_equal(talk(), 0);
	assert_int_equal(streams[0].error, 0);
	assert_int_equal(streams[1].error, TG_HTTP_URI_TOO_LONG);
	assert_int_equal(streams[2].error, 0);
	assert_int_equal(streams[3].error, TG_HTTP_TOO_LARGE);
	assert_memory_equal(streams[3].head.method.ptr, "GET", 3); /* for the log */
	assert_int_equal(streams[4].error, 0);
	assert_int_equal(streams[5].error, TG_HTTP_TOO_LARGE);
}

/* Beyond four times the limit nobody waits for an answer. */
static void
test_head_beyond_all_bounds(void **state)
{
	ask_long("x=", 16000, 5);
	assert_int_equal(talk(), -1);
	assert_int_equal(stream_count, 0);
	assert_string_equal(client_events, "goaway(11) ");
	assert_true(tg_http2_done(&h2));
}

/* One long value into the table of HPACK, and then that again and again by one byte. */
static void
test_head_bomb(void **state)
{
	char block[16384] = { (char)0x82, (char)0x86, (char)0x84, 0x01, 1, 'a', 0x40, 1, 'x', 0x7f,
		(char)(0x80 | ((3000 - 127) & 127)), (3000 - 127) >> 7 };

	assert_int_equal(talk(), 0);
	memset(block + 12, 'v', 3000);
	memset(block + 3012, (char)(0x80 | 62), sizeof(block) - 3012);
	assert_int_equal(
	    send_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block, 16384), -1);
	assert_int_equal(stream_count, 0);
	assert_in_range(small.out, 0, 6); /* no more was kept than a head may have */
}

static void
test_continuation_flood(void **state)
{
	char start[] = { (char)0x82, (char)0x86, (char)0x84, 0x01, 1, 'a' };
	int result = 0, frames = 0;

	assert_int_equal(talk(), 0);
	assert_int_equal(send_frame(NGHTTP2_HEADERS, 0, 1, start, sizeof(start)), 0);
	assert_true(tg_http2_in_head(&h2));
	while (result == 0 && frames++ < 100)
		result = send_frame(NGHTTP2_CONTINUATION, 0, 1, "", 0);
	assert_int_equal(result, -1);
	assert_in_range(frames, 5, 10);
	assert_int_equal(stream_count, 0);
}

/* --- bodies -------------------------------------------------------------------------------- */

static void
post(const char *length)
{
	const char *fields[] = { ":method=POST", ":scheme=http", ":path=/", ":authority=a", length,
		NULL };

	ask(fields, false);
	assert_int_equal(talk(), 0);
}

static void
test_bodies(void **state)
{
	post("content-length=5");
	assert_int_equal(send_frame(NGHTTP2_DATA, 0, 1, "hel", 3), 0);
	assert_int_equal(send_frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "lo", 2), 0);
	assert_string_equal(streams[0].events, "head end ");
	assert_int_equal(streams[0].bytes, 5);
	post(NULL);
	assert_int_equal(send_frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 3, "", 0), 0);
	assert_string_equal(streams[1].events, "head end ");
}

static void
test_bodies_that_are_not_as_promised(void **state)
{
	post("content-length=5");
	assert_int_equal(send_frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "hell", 4), 0);
	assert_string_equal(streams[0].events, "head bad ");
	post("content-length=5");
	assert_int_equal(send_frame(NGHTTP2_DATA, 0, 3, "hello!", 6), 0);
	assert_string_equal(streams[1].events, "head bad ");
	assert_int_equal(streams[1].bytes, 0); /* not a byte of what may be another request */
	post("content-length=0");
	assert_int_equal(send_frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 5, "x", 1), 0);
	assert_string_equal(streams[2].events, "head bad ");
	assert_int_equal(streams[2].bytes, 0);
}

static int
send_trailers(uint32_t id, uint8_t flags, const char *block, size_t len)
{
	return send_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | flags, id, block, len);
}

static void
test_trailers(void **state)
{
	post(NULL);
	assert_int_equal(send_trailers(1, NGHTTP2_FLAG_END_STREAM, "\0\1x\1y", 5), 0);
	assert_string_equal(streams[0].events, "head end ");
	post(NULL); /* in the middle of a body */
	assert_int_equal(send_trailers(3, 0, "\0\1x\1y", 5), 0);
	assert_string_equal(streams[1].events, "head bad ");
	post(NULL); /* :method GET */
	assert_int_equal(send_trailers(5, NGHTTP2_FLAG_END_STREAM, "\x82", 1), 0);
	assert_string_equal(streams[2].events, "head bad ");
	post(NULL);
	assert_int_equal(send_trailers(7, NGHTTP2_FLAG_END_STREAM, "\0\1X\1y", 5), 0);
	assert_string_equal(streams[3].events, "head bad ");
}

/* A slow stream gets no more than its window, and its neighbour gets all. */
static void
test_windows_follow_the_consumer(void **state)
{
	char zeros[16384] = { 0 };
	size_t sent;

	post(NULL);
	post(NULL);
	streams[0].keeps = true;
	for (sent = 0; sent + 16384 < 65536; sent += 16384)
		assert_int_equal(send_frame(NGHTTP2_DATA, 0, 1, zeros, 16384), 0);
	assert_int_equal(talk(), 0);
	assert_int_equal(nghttp2_session_get_stream_remote_window_size(client, 1), 65535);
	for (sent = 0; sent < 4 * 1024 * 1024; sent += 16384) {
		assert_int_equal(send_frame(NGHTTP2_DATA, 0, 3, zeros, 16384), 0);
		assert_int_equal(talk(), 0);
	}
	assert_int_equal(streams[1].bytes, 4 * 1024 * 1024);
	assert_null(strstr(client_events, "goaway"));
	assert_int_equal(send_frame(NGHTTP2_DATA, 0, 1, zeros, 16384), 0); /* beyond the window */
	assert_int_equal(talk(), 0);
	assert_string_equal(streams[0].events, "head reset ");
	assert_int_equal(streams[0].bytes, 3 * 16384);
}

/* --- answers ------------------------------------------------------------------------------- */

static void
test_answers(void **state)
{
	struct tg_str parts[] = { TG_STR("he"), TG_STR(""), TG_STR("llo") };

	ask(GET, true);
	assert_int_equal(talk(), 0);
	answer(&streams[0], 103, -1, false);
	answer(&streams[0], 200, 5, false);
	assert_int_equal(tg_http2_write(&streams[0].stream, parts, 3, true), 0);
	assert_int_equal(streams[0].stream.queued, 0); /* it goes out with the next flush */
	written_calls = 0;
	assert_int_equal(talk(), 0);
	assert_int_equal(written_calls, 1);
	assert_string_equal(client_events, "1::status=103 1::status=200 1:content-length=5 1:end ");
	assert_int_equal(client_bytes, 5);
	assert_null(streams[0].stream.h2); /* over, on both sides */
	assert_string_equal(streams[0].events, "head.");
}

static void
test_answers_without_a_body(void **state)
{
	ask(GET, true);
	assert_int_equal(talk(), 0);
	answer(&streams[0], 204, 0, true);
	assert_int_equal(talk(), 0);
	assert_string_equal(client_events, "1::status=204 1:end ");
}

/* What the windows hold back waits, and its owner is told when it has gone. */
static void
test_windows_of_the_peer(void **state)
{
	static char body[100000];
	struct tg_str part = { body, sizeof(body) };
	nghttp2_settings_entry tiny = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 10 };

	nghttp2_submit_settings(client, 0, &tiny, 1);
	ask(GET, true);
	assert_int_equal(talk(), 0);
	answer(&streams[0], 200, -1, false);
	assert_int_equal(tg_http2_write(&streams[0].stream, &part, 1, true), 0);
	assert_int_equal(streams[0].stream.queued, sizeof(body) - 10 + 1);
	assert_int_equal(talk(), 0);
	assert_int_equal(client_bytes, 10);
	assert_string_equal(streams[0].events, "head.");
	nghttp2_submit_window_update(client, 0, 1, 1000000);
	nghttp2_submit_window_update(client, 0, 0, 1000000);
	assert_int_equal(talk(), 0);
	assert_int_equal(client_bytes, sizeof(body));
	assert_string_equal(streams[0].events, "head.drained ");
}

/* A client that lets us have a few bytes at a time (CVE-2019-9511) costs as much as one that sends nothing else. */
static void
test_tiny_windows(void **state)
{
	static char body[100000];
	struct tg_str part = { body, sizeof(body) };
	unsigned frames = 0;
	int result = 0;

	ask(GET, true);
	assert_int_equal(talk(), 0);
	answer(&streams[0], 200, -1, false);
	assert_int_equal(tg_http2_write(&streams[0].stream, &part, 1, true), 0);
	while (result == 0 && frames++ < 20000)
		result = send_frame(NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\0\1", 4);
	assert_int_equal(result, -1);
}

/* While nothing can be written, nothing is taken from streams. */
static void
test_back_pressure(void **state)
{
	struct tg_str part = TG_STR("hello");

	ask(GET, true);
	assert_int_equal(talk(), 0);
	blocked = true;
	answer(&streams[0], 200, 5, false);
	assert_int_equal(tg_http2_write(&streams[0].stream, &part, 1, true), 0);
	assert_int_equal(streams[0].stream.queued, 5 + 2); /* and a head, and an end */
	assert_int_equal(talk(), 0);
	assert_string_equal(client_events, "");
	blocked = false;
	tg_http2_flush(&h2);
	assert_int_equal(talk(), 0);
	assert_string_equal(client_events, "1::status=200 1:content-length=5 1:end ");
	assert_string_equal(streams[0].events, "head.drained ");
}

/* Whose answer is whole may stop sending; whose answer is not has to know. */
static void
test_leaving(void **state)
{
	struct tg_str part = TG_STR("hello");

	ask(POST, false);
	ask(POST, false);
	assert_int_equal(talk(), 0);
	answer(&streams[0], 200, 0, true);
	assert_int_equal(streams[0].stream.queued, 0);
	tg_http2_leave(&streams[0].stream, TG_HTTP2_NO_ERROR);
	answer(&streams[1], 200, 10, false);
	assert_int_equal(tg_http2_write(&streams[1].stream, &part, 1, false), 0);
	tg_http2_leave(&streams[1].stream, TG_HTTP2_INTERNAL_ERROR);
	assert_int_equal(talk(), 0);
	assert_non_null(strstr(client_events, "1:end 1:reset(0) "));
	assert_non_null(strstr(client_events, "3:reset(2) "));
	assert_int_equal(send_frame(NGHTTP2_DATA, 0, 3, "late", 4), 0); /* harmless */
	assert_string_equal(streams[1].events, "head ");
}

static void
test_no_memory_for_a_stream(void **state)
{
	refuse_streams = true;
	ask(GET, true);
	assert_int_equal(talk(), 0);
	assert_string_equal(client_events, "1:reset(7) ");
}

/* --- the end of a connection ---------------------------------------------------------------- */

static void
test_draining(void **state)
{
	ask(GET, true);
	assert_int_equal(talk(), 0);
	tg_http2_drain(&h2);
	ask(GET, true); /* on its way already */
	assert_int_equal(talk(), 0);
	assert_int_equal(stream_count, 2);
	assert_string_equal(client_events, "goaway(0) goaway(0) ");
	assert_int_equal(
	    nghttp2_session_get_remote_settings(client, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS),
	    100);
	assert_false(tg_http2_done(&h2));
	answer(&streams[0], 204, -1, true);
	answer(&streams[1], 204, -1, true);
	assert_int_equal(talk(), 0);
	assert_true(tg_http2_done(&h2));
}

static void
test_a_lost_connection(void **state)
{
	ask(GET, true);
	assert_int_equal(talk(), 0);
	tg_http2_fini(&h2);
	assert_string_equal(streams[0].events, "head.reset ");
}

/* --- what a peer may cost ------------------------------------------------------------------ */

static int
flood(unsigned most, unsigned *frames, uint8_t type, uint8_t flags, const void *payload, size_t len)
{
	int result = 0;

	assert_int_equal(talk(), 0);
	for (*frames = 0; result == 0 && *frames < most; ++*frames) {
		result = send_frame(type, flags, 0, payload, len);
		tg_http2_flush(&h2);
		to_client_len = 0;
	}
	return result;
}

static void
test_floods(void **state)
{
	static const struct {
		uint8_t type, flags, len;
	} rows[] = {
		{ NGHTTP2_PING, 0, 8 },
		{ NGHTTP2_PING, NGHTTP2_FLAG_ACK, 8 },
		{ NGHTTP2_SETTINGS, 0, 0 },
	};

	for (size_t i = 0; i < ROWS(rows); i++) {
		unsigned frames;

		assert_int_equal(
		    flood(10000, &frames, rows[i].type, rows[i].flags, "12345678", rows[i].len),
		    -1);
		assert_in_range(frames, 1000, 5000);
		tear_down(state);
		set_up(state);
	}
}

/* CVE-2023-44487: each request is dropped as soon as it is asked. */
static void
test_rapid_reset(void **state)
{
	int result = 0;
	unsigned asked = 0;

	while (result == 0 && asked < STREAMS) {
		int32_t id = ask(GET, true);

		asked++;
		result = talk();
		nghttp2_submit_rst_stream(client, 0, id, NGHTTP2_CANCEL);
		if (result == 0)
			result = talk();
	}
	assert_int_equal(result, -1);
	assert_in_range(asked, 150, 210);
	assert_non_null(strstr(client_events, "goaway(11) "));
}

/* The same by having us reset them: a window that overflows. */
static void
test_made_resets(void **state)
{
	static const unsigned char most[4] = { 0x7f, 0xff, 0xff, 0xff };
	int result = 0;
	unsigned asked = 0;

	while (result == 0 && asked < STREAMS) {
		int32_t id = ask(GET, true);

		asked++;
		result = talk();
		if (result == 0)
			result = send_frame(NGHTTP2_WINDOW_UPDATE, 0, (uint32_t)id, most, 4);
		if (result == 0)
			result = talk();
	}
	assert_int_equal(result, -1);
	assert_in_range(asked, 90, 210);
}

static void
test_whole_streams_cost_nothing(void **state)
{
	for (unsigned i = 0; i < 1000; i++) {
		stream_count = 0;
		memset(&streams[0], 0, sizeof(streams[0]));
		ask(GET, true);
		assert_int_equal(talk(), 0);
		answer(&streams[0], 204, -1, true);
		assert_int_equal(talk(), 0);
		tg_arena_reset(&streams[0].arena);
	}
}

static void
test_empty_data(void **state)
{
	int result = 0;
	unsigned frames = 0;

	post(NULL);
	while (result == 0 && frames++ < 10000)
		result = send_frame(NGHTTP2_DATA, 0, 1, "", 0);
	assert_int_equal(result, -1);
}

static void
test_too_many_streams(void **state)
{
	unsigned char block[] = { 0x82, 0x86, 0x84, 0x01, 1, 'a' };
	int result = 0;

	assert_int_equal(talk(), 0);
	for (uint32_t id = 1; id < 400 && result == 0; id += 2)
		result = send_frame(NGHTTP2_HEADERS,
		    NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id, block, sizeof(block));
	assert_int_equal(stream_count, 100);
}

static void
test_no_preface(void **state)
{
	assert_int_equal(send_bytes("GET / HTTP/1.1\r\n\r\n", 18), -1);
	assert_int_equal(stream_count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_good_heads),
		TEST(test_heads_with_bodies),
		TEST(test_bad_heads),
		TEST(test_bad_bytes),
		TEST(test_websocket),
		TEST(test_limits),
		TEST(test_head_beyond_all_bounds),
		TEST(test_head_bomb),
		TEST(test_continuation_flood),
		TEST(test_bodies),
		TEST(test_bodies_that_are_not_as_promised),
		TEST(test_trailers),
		TEST(test_windows_follow_the_consumer),
		TEST(test_answers),
		TEST(test_answers_without_a_body),
		TEST(test_windows_of_the_peer),
		TEST(test_tiny_windows),
		TEST(test_back_pressure),
		TEST(test_leaving),
		TEST(test_no_memory_for_a_stream),
		TEST(test_draining),
		TEST(test_a_lost_connection),
		TEST(test_floods),
		TEST(test_rapid_reset),
		TEST(test_made_resets),
		TEST(test_whole_streams_cost_nothing),
		TEST(test_empty_data),
		TEST(test_too_many_streams),
		TEST(test_no_preface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
