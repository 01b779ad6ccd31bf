/* Bodies, and streams of messages: the same result wherever the bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/http1.h"

#define M(literal)                                                                                 \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\n"

static const struct tg_http1_limits limits = { 1000, 100, 8 };

/* A reader of a stream, and the protocol of what it saw. */
struct reader {
	bool is_response;
	bool in_body;
	struct tg_blocks blocks;
	struct tg_arena arena;
	struct tg_head head;
	struct tg_http1 http;
	char seen[8192];
	size_t len;
};

static void
note(struct reader *reader, struct tg_str bytes)
{
	assert_true(reader->len + bytes.len < sizeof(reader->seen));
	memcpy(reader->seen + reader->len, bytes.ptr, bytes.len);
	reader->len += bytes.len;
	reader->seen[reader->len] = '\0';
}

static void
note_text(struct reader *reader, const char *text)
{
	note(reader, tg_str_of(text));
}

static void
begin(struct reader *reader)
{
	tg_arena_reset(&reader->arena);
	if (reader->is_response)
		tg_http1_response_init(&reader->http, &limits, &reader->head, TG_METHOD_GET);
	else
		tg_http1_request_init(&reader->http, &limits, &reader->head);
	reader->in_body = false;
}

static void
note_head(struct reader *reader)
{
	const struct tg_head *head = &reader->head;
	char text[64];

	note(reader, reader->is_response ? head->reason : head->method);
	for (size_t i = 0; i < head->count; i++) {
		note_text(reader, i == 0 ? " " : ",");
		note(reader, head->fields[i].name);
		note_text(reader, "=");
		note(reader, head->fields[i].value);
	}
	snprintf(text, sizeof(text), " %d:%d%s{", head->framing, (int)head->length,
	    head->keep_alive ? " keep" : "");
	note_text(reader, text);
}

/* One step with what there is; the bytes used, or -1 after an error. */
static int
step(struct reader *reader, char *data, size_t len)
{
	struct tg_str body;
	size_t used;
	char text[32];
	int result;

	if (!reader->in_body) {
		result = tg_http1_head(&reader->http, data, len, &used);
		if (result == 1) {
			note_head(reader);
			reader->in_body = true;
		}
	} else {
		result = tg_http1_body(&reader->http, data, len, &used, &body);
		if (result >= 0)
			note(reader, body);
		if (result == 1) {
			note_text(reader, "}");
			begin(reader);
		}
	}
	if (result == 0)
		assert_int_equal(used, len);
	if (result >= 0)
		return (int)used;
	snprintf(text, sizeof(text), "!%d", result);
	note_text(reader, text);
	return -1;
}

/* One read from a socket, in memory that is gone afterwards. False after an error. */
static bool
feed(struct reader *reader, const char *data, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);
	size_t at = 0;
	int used = 0;

	memcpy(copy, data, len);
	while (used >= 0 && (at < len || reader->in_body)) {
		used = step(reader, copy + at, len - at);
		if (used > 0)
			at += (size_t)used;
		if (used == 0 && at == len)
			break;
	}
	explicit_bzero(copy, len); /* nothing may point into it any more */
	free(copy);
	return used >= 0;
}

/* What is seen of `stream` when it comes in pieces of `size`, but for a cut at `cut`. */
static const char *
run(struct reader *reader, bool is_response, struct tg_str stream, size_t size, size_t cut)
{
	size_t end;
	bool good = true;

	memset(reader, 0, sizeof(*reader));
	reader->is_response = is_response;
	tg_blocks_init(&reader->blocks, 1024, 2);
	tg_arena_init(&reader->arena, &reader->blocks);
	tg_head_init(&reader->head, &reader->arena);
	begin(reader);
	for (size_t at = 0; good && at < stream.len; at = end) {
		end = stream.len - at < size ? stream.len : at + size;
		if (at < cut && cut < end)
			end = cut;
		good = feed(reader, stream.ptr + at, end - at);
	}
	if (good && tg_http1_complete_at_eof(&reader->http))
		note_text(reader, "$");
	tg_arena_reset(&reader->arena);
	tg_blocks_fini(&reader->blocks);
	return reader->seen;
}

struct row {
	bool is_response;
	struct tg_str stream;
	const char *seen; /* each message as HEAD FRAMING:LENGTH{BODY}; "!" an error; "$" the end
	                     of the stream ends the message */
};

static const struct row rows[] = {
	{ false, M("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "GET Host=a 0:0 keep{}" },
	{ false, M("GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nHEAD / HTTP/1.1\r\nHost:b\r\n\r\n"),
	    "GET Host=a 0:0 keep{}HEAD Host=b 0:0 keep{}" },
	{ false, M("GET / HTTP/1.0\r\nE:\r\nF: \r\nG:g \r\n\r\n"), "GET E=,F=,G=g 0:0{}" },
	{ false, M(POST "Content-Length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n"),
	    "POST Host=a,Content-Length=5 1:5 keep{hello}GET 0:0{}" },
	{ false, M(POST "Content-Length: 5\r\n\r\nhell"),
	    "POST Host=a,Content-Length=5 1:5 keep{hell" },
	{ false, M(POST "Content-Length: 0\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
	    "POST Host=a,Content-Length=0 0:0 keep{}GET 0:0{}" },
	{ false, M(CHUNKED "0\r\n\r\n"), "POST Host=a,Transfer-Encoding=chunked 2:0 keep{}" },
	{ false, M(CHUNKED "5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
	    "POST Host=a,Transfer-Encoding=chunked 2:0 keep{hello}GET 0:0{}" },
	{ false,
	    M(CHUNKED "1\r\nh\r\n0000000000000002\r\nel\r\nA\r\nlo, world \r\n00\r\n\r\n" CHUNKED
	              "1\r\n2\r\n0\r\n\r\n"),
	    "POST Host=a,Transfer-Encoding=chunked 2:0 keep{hello, world }"
	    "POST Host=a,Transfer-Encoding=chunked 2:0 keep{2}" },
	{ false, M(CHUNKED "5;a;b=c;d=\"x;\t\x80\";e\r\nhello\r\n0;l=\"\"\r\n\r\n"),
	    "POST Host=a,Transfer-Encoding=chunked 2:0 keep{hello}" },
	{ false,
	    M(CHUNKED "5 ;\ta\t= b ; c\t;d = \"\\\"\\\\;\\\t\"\t;e\r\nhello\r\n0 \t;l\r\n\r\n"),
	    "POST Host=a,Transfer-Encoding=chunked 2:0 keep{hello}" },
	{ false, M(CHUNKED "5\r\n\r\n0\r\n\r\n0\r\nT: v\r\nContent-Length: 7\r\nE:\r\n\r\n"),
	    "POST Host=a,Transfer-Encoding=chunked 2:0 keep{\r\n0\r\n}" },
	{ false, M(CHUNKED "5\r\nhel"), "POST Host=a,Transfer-Encoding=chunked 2:0 keep{hel" },
	{ false, M(CHUNKED "5\r\nhello\r\n0\r\n"),
	    "POST Host=a,Transfer-Encoding=chunked 2:0 keep{hello" },
	{ false, M("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n"), "!-1" },
	{ false, M("GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n"), "!-1" },
	{ false, M("GET / HTTP/1.1\r\nHost: a\r\nA: b\n\r\n"), "!-1" },
	{ false, M("GET /\r\n\r\n"), "!-1" },
	{ false, M("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "!-1" },
	{ false, M("BREW pot HTTP/1.1\r\nHost: a\r\n\r\n"), "!-1" },
	{ false, M("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), "!-4" },
	{ false, M("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nabc"), "!-5" },
	{ false, M(POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), "!-1" },
	{ false, M("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nGET "),
	    "GET Host=a,Connection=upgrade,Upgrade=x 0:0 keep{}" },
	{ true, M(OK "Content-Length: 2\r\n\r\nok" OK "\r\nto the end"),
	    "OK Content-Length=2 1:2 keep{ok}OK 3:0{to the end$" },
	{ true,
	    M("HTTP/1.1 100 Continue\r\n\r\n" OK "Transfer-Encoding: chunked\r\n\r\n"
	      "3\r\nabc\r\n1\r\nd\r\n0\r\nT:x\r\n\r\n"),
	    "Continue 0:0 keep{}OK Transfer-Encoding=chunked 2:0 keep{abcd}" },
	{ true, M("HTTP/1.1 204 None\r\nContent-Length: 3\r\n\r\n"),
	    "None Content-Length=3 0:0{}" },
	{ true, M("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"),
	    "OK Transfer-Encoding=chunked 2:0 keep{ab" },
	{ true, M("HTTP/1.1 700 OK\r\n\r\n"), "!-1" },
};

static void
assert_seen(const char *seen, const struct row *row, size_t size, size_t cut)
{
	if (strcmp(seen, row->seen) != 0)
		fail_msg("by %zu, cut at %zu, of\n%s\nwas seen\n%s\nbut it is\n%s", size, cut,
		    row->stream.ptr, seen, row->seen);
}

static void
the_result_does_not_depend_on_the_cuts(void **state)
{
	static struct reader reader;

	for (size_t i = 0; i < ROWS(rows); i++) {
		const struct row *row = &rows[i];

		for (size_t cut = 0; cut < row->stream.len; cut++)
			assert_seen(run(&reader, row->is_response, row->stream, 10000, cut), row,
			    10000, cut);
		for (size_t size = 1; size < 8; size++)
			assert_seen(
			    run(&reader, row->is_response, row->stream, size, 0), row, size, 0);
	}
}

/* What stands behind CHUNKED, and is refused at its last byte and not before. */
static const struct tg_str bad_bodies[] = {
	M("\r"),
	M("\n"),
	M(" "),
	M(";"),
	M("x"),
	M("-"),
	M("+"),
	M("0x"),
	M("5 \r"),
	M("5 5"),
	M("5\t\n"),
	M("5 ="),
	M("5\n"),
	M("5\r\r"),
	M("5\rh"),
	M("5\0"),
	M("5g"),
	M("5,"),
	M("5; \r"),
	M("5; ;"),
	M("5;\r"),
	M("5;a \r"),
	M("5;a b"),
	M("5;a\n"),
	M("5;a\r\r"),
	M("5;a\0"),
	M("5;a=\r"),
	M("5;a= \r"),
	M("5;a=b \r"),
	M("5;a=b c"),
	M("5;a=b ="),
	M("5;a=b\n"),
	M("5;a=b="),
	M("5;a=\"\r"),
	M("5;a=\"\n"),
	M("5;a=\"\0"),
	M("5;a=\"\\\r"),
	M("5;a=\"\\\n"),
	M("5;a=\"\\\0"),
	M("5;a=\"b\\\"\r"),
	M("5;a=\"b\"c"),
	M("5;a=\"b\" \r"),
	M("5;a=\"b\"\n"),
	M("5;="),
	M("5;;"),
	M("5;("),
	M("00000000000000001"),

	M("ffffffffffffffff"),
	M("8000000000000000"),
	M("1\r\nab"),
	M("1\r\na\n"),
	M("1\r\na\rx"),
	M("1\r\na "),
	M("1\r\na\r\n\r"),
	M("0\r\n\n"),
	M("0\r\n "),
	M("0\r\n\t"),
	M("0\r\n:"),
	M("0\r\n\r\r"),
	M("0\r\nA\r"),
	M("0\r\nA "),
	M("0\r\nA\n"),
	M("0\r\nA\0"),
	M("0\r\nA: b\n"),
	M("0\r\nA: b\r\r"),
	M("0\r\nA: b\0"),
	M("0\r\nA: b\x7f"),
	M("0\r\nA: b\r\n "),
	M("0\r\nA: b\r\n\n"),
	M("0\r\nA: b\r\n\rx"),
	M("0\n"),
};

static void
bad_chunks_are_refused_at_the_byte(void **state)
{
	static struct reader reader;
	static const struct tg_str start = M(CHUNKED);
	char stream[256];

	memcpy(stream, start.ptr, start.len);
	for (size_t i = 0; i < ROWS(bad_bodies); i++) {
		struct tg_str all = { stream, start.len + bad_bodies[i].len };
		const char *seen;

		memcpy(stream + start.len, bad_bodies[i].ptr, bad_bodies[i].len);
		for (size_t size = 1; size < 200; size += 198) {
			seen = run(&reader, false, all, size, 0);
			if (strstr(seen, "!-1") == NULL)
				fail_msg("row %zu by %zu: %s", i, size, seen);
		}
		all.len--;
		if (strchr(run(&reader, false, all, 1, 0), '!') != NULL)
			fail_msg("row %zu is refused early", i);
	}
}

/* `count` times `part` between `before` and `after`, behind the head of a chunked request. */
static const char *
run_repeated(const char *before, const char *part, size_t count, const char *after, size_t size)
{
	static struct reader reader;
	static char stream[16384];
	char *at = stream;

	at += sprintf(at, "%s%s", CHUNKED, before);
	while (count-- > 0)
		at += sprintf(at, "%s", part);
	at += sprintf(at, "%s", after);
	run(&reader, false, (struct tg_str){ stream, (size_t)(at - stream) }, size, 0);
	return strchr(reader.seen, '{');
}

/* With the limits of this file: 1000 bytes of head, 8 fields. */
static void
what_a_chunked_body_hides_is_limited(void **state)
{
	static const size_t sizes[] = { 1, 64, 20000 };

	for (size_t i = 0; i < ROWS(sizes); i++) {
		size_t size = sizes[i];

		assert_string_equal(run_repeated("0;", "a", 999, "\r\n\r\n", size), "{}");
		assert_string_equal(run_repeated("0;", "a", 1001, "\r\n\r\n", size), "{!-1");
		assert_string_equal(run_repeated("0\r\nA:", "a", 900, "\r\n\r\n", size), "{}");
		assert_string_equal(run_repeated("0\r\nA:", "a", 1001, "", size), "{!-3");
		assert_string_equal(run_repeated("0\r\n", "A:b\r\n", 8, "\r\n", size), "{}");
		assert_string_equal(run_repeated("0\r\n", "A:b\r\n", 9, "\r\n", size), "{!-3");
		/* many chunks, each with an extension longer than its data */
		assert_non_null(strstr(
		    run_repeated("", "1;aaaaaaaaaa\r\nx\r\n", 200, "0\r\n\r\n", size), "!-1"));
		/* and not longer */
		assert_non_null(
		    strstr(run_repeated("", "4;aaa\r\nxxxx\r\n", 600, "0\r\n\r\n", size), "x}"));
	}
}

static void
a_body_is_decoded_where_it_lies(void **state)
{
	struct tg_str head = M(CHUNKED), body;
	char data[] = "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nrest";
	static struct reader reader;
	size_t used;

	memset(&reader, 0, sizeof(reader));
	tg_blocks_init(&reader.blocks, 1024, 2);
	tg_arena_init(&reader.arena, &reader.blocks);
	tg_head_init(&reader.head, &reader.arena);
	begin(&reader);
	assert_int_equal(tg_http1_head(&reader.http, head.ptr, head.len, &used), 1);
	assert_int_equal(tg_http1_body(&reader.http, data, sizeof(data) - 1, &used, &body), 1);
	assert_ptr_equal(body.ptr, data + 3);
	assert_memory_equal(body.ptr, "abcde", 5);
	assert_int_equal(body.len, 5);
	assert_string_equal(data + used, "rest");
	assert_int_equal(tg_http1_body(&reader.http, data + used, 4, &used, &body), 1);
	assert_int_equal(used, 0);
	assert_int_equal(body.len, 0);
	tg_arena_reset(&reader.arena);
	tg_blocks_fini(&reader.blocks);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_result_does_not_depend_on_the_cuts),
		cmocka_unit_test(bad_chunks_are_refused_at_the_byte),
		cmocka_unit_test(what_a_chunked_body_hides_is_limited),
		cmocka_unit_test(a_body_is_decoded_where_it_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
