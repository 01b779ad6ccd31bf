/* Reading heads: what each message means, what is refused and how, and where a head ends. */
#include "http1_fixture.h"

static uint8_t lenient; /* more lenient_flags for llhttp */

static int
read_request(struct tg_str message, size_t *used)
{
	tg_http1_request_init(&http, &limits, &head);
	http.parser.lenient_flags |= lenient;
	return feed(message, used);
}

static int
read_response(struct tg_str message, enum tg_method method)
{
	size_t used;

	tg_http1_response_init(&http, &limits, &head, method);
	http.parser.lenient_flags |= lenient;
	return feed(message, &used);
}

static const char *
framing_name(void)
{
	static char text[32];

	switch (head.framing) {
	case TG_FRAMING_NONE:
		return head.has_length ? "none+length" : "none";
	case TG_FRAMING_LENGTH:
		snprintf(text, sizeof(text), "length=%llu", (unsigned long long)head.length);
		return text;
	case TG_FRAMING_CHUNKED:
		return "chunked";
	default:
		return "close";
	}
}

/* The end-to-end fields, each as " Name=value"; the others as " (Name)". */
static int
append_fields(char *out, size_t cap)
{
	int len = 0;

	for (size_t i = 0; i < head.count; i++) {
		const struct tg_field *field = &head.fields[i];

		if (field->id == TG_FIELD_HOST)
			continue;
		if (field->flags & TG_FIELD_HOP)
			len += snprintf(out + len, cap - (size_t)len, " (%.*s)",
			    (int)field->name.len, field->name.ptr);
		else
			len += snprintf(out + len, cap - (size_t)len, " %.*s=%.*s",
			    (int)field->name.len, field->name.ptr, (int)field->value.len,
			    field->value.ptr);
	}
	return len;
}

/* METHOD host path[?query] framing keep|end [expect] fields */
static const char *
request_summary(void)
{
	static char text[1024];
	int len;

	len = snprintf(text, sizeof(text), "%.*s [%.*s] %.*s%s%.*s %s %s%s", (int)head.method.len,
	    head.method.ptr, (int)head.host.len, head.host.ptr, (int)head.path.len, head.path.ptr,
	    head.query.ptr != NULL ? "?" : "", (int)head.query.len,
	    head.query.ptr != NULL ? head.query.ptr : "", framing_name(),
	    head.keep_alive ? "keep" : "end", head.expect_continue ? " expect" : "");
	append_fields(text + len, sizeof(text) - (size_t)len);
	return text;
}

static const char *
response_summary(void)
{
	static char text[1024];
	int len;

	len = snprintf(text, sizeof(text), "%d [%.*s] %s %s", head.status, (int)head.reason.len,
	    head.reason.ptr, framing_name(), head.keep_alive ? "keep" : "end");
	append_fields(text + len, sizeof(text) - (size_t)len);
	return text;
}

struct meaning {
	struct tg_str message;
	const char *summary;
};

static const struct meaning requests[] = {
	{ M("GET / HTTP/1.1\r\n" HOST "\r\n"), "GET [a] / none keep" },
	{ M("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), "GET [a] / none keep" },
	{ M("GET /p/a?q=r?s HTTP/1.1\r\nHost:a:8080\t\r\n\r\n"),
	    "GET [a:8080] /p/a?q=r?s none keep" },
	{ M("GET /? HTTP/1.1\r\n" HOST "\r\n"), "GET [a] /? none keep" },
	{ M("GET //b/ HTTP/1.1\r\n" HOST "\r\n"), "GET [a] //b/ none keep" },
	{ M("GET /\"<>\\^`{|} HTTP/1.1\r\n" HOST "\r\n"), "GET [a] /\"<>\\^`{|} none keep" },
	{ M("GET / HTTP/1.0\r\n\r\n"), "GET [] / none end" },
	{ M("GET / HTTP/1.0\r\n" HOST "Connection: Keep-Alive\r\n\r\n"),
	    "GET [a] / none keep (Connection)" },
	{ M("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"),
	    "GET [] / none end (Connection)" },
	{ M("GET / HTTP/1.1\r\n" HOST "Connection: CLOSE\r\n\r\n"),
	    "GET [a] / none end (Connection)" },
	{ M("GET / HTTP/1.1\r\n" HOST "Connection: x\r\nConnection: , close\r\n\r\n"),
	    "GET [a] / none end (Connection) (Connection)" },
	{ M("GET / HTTP/1.9\r\n" HOST "\r\n"), "GET [a] / none keep" },
	{ M("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "GET [] / none keep" },
	{ M("GET / HTTP/1.1\r\n" HOST "Empty:\r\nE2: \t \r\nE3:x\r\n\r\n"),
	    "GET [a] / none keep Empty= E2= E3=x" },
	{ M("GET / HTTP/1.1\r\n" HOST "V: a \t b\x80\xff \t\r\n\r\n"),
	    "GET [a] / none keep V=a \t b\x80\xff" },
	{ M("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"),
	    "POST [a] / length=5 keep (Content-Length)" },
	{ M("POST / HTTP/1.1\r\n" HOST "Content-Length:\t 5 \t\r\n\r\n"),
	    "POST [a] / length=5 keep (Content-Length)" },
	{ M("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"),
	    "POST [a] / none+length keep (Content-Length)" },
	{ M("POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775807\r\n\r\n"),
	    "POST [a] / length=9223372036854775807 keep (Content-Length)" },
	{ M("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"),
	    "POST [a] / chunked keep (Transfer-Encoding)" },
	{ M("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n"),
	    "POST [a] / length=1 keep expect (Content-Length) Expect=100-Continue" },
	{ M("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"),
	    "POST [] / length=1 end (Content-Length) (Expect)" },
	{ M("GET http://b.c/p?q HTTP/1.1\r\nHost: B.C\r\n\r\n"), "GET [b.c] /p?q none keep" },
	{ M("GET http://b.c HTTP/1.1\r\nHost: b.c:80\r\n\r\n"), "GET [b.c] / none keep" },
	{ M("GET HTTPS://b.c:443?q HTTP/1.1\r\nHost: b.c\r\n\r\n"), "GET [b.c:443] /?q none keep" },
	{ M("GET http://b/ HTTP/1.1\r\n" HOST "\r\n"), "GET [b] / none keep" },
	{ M("GET https://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n"), "GET [a] / none keep" },
	{ M("GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n"), "GET [a] / none keep" },
	{ M("GET http://[::1]:81/ HTTP/1.0\r\n\r\n"), "GET [[::1]:81] / none end" },
	{ M("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), "OPTIONS [a] * none keep" },
	{ M("OPTIONS http://a HTTP/1.1\r\n" HOST "\r\n"), "OPTIONS [a] * none keep" },
	{ M("OPTIONS http://a?q HTTP/1.1\r\n" HOST "\r\n"), "OPTIONS [a] /?q none keep" },
	{ M("M-SEARCH / HTTP/1.1\r\n" HOST "\r\n"), "M-SEARCH [a] / none keep" },
	/* whether a method exists is the server's business (RFC 9110 §9.1) */
	{ M("BREW / HTTP/1.1\r\n" HOST "\r\n"), "BREW [a] / none keep" },
	{ M("get / HTTP/1.1\r\n" HOST "\r\n"), "get [a] / none keep" },
	{ M("GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
	    "GET [a] / none keep (Upgrade) (Connection)" },
	{ M("GET / HTTP/1.1\r\n" HOST "TE: trailers\r\nTrailer: x\r\nKeep-Alive: 5\r\n"
	    "Proxy-Connection: x\r\nHTTP2-Settings: x\r\nProxy-Authorization: x\r\n\r\n"),
	    "GET [a] / none keep (TE) (Trailer) (Keep-Alive) (Proxy-Connection) (HTTP2-Settings)"
	    " Proxy-Authorization=x" },
	{ M("GET / HTTP/1.1\r\n" HOST
	    "X-A: 1\r\nx-b: 2\r\nConnection: x-a , X-B,\r\nX-C: 3\r\n\r\n"),
	    "GET [a] / none keep (X-A) (x-b) (Connection) X-C=3" },
	{ M("GET / HTTP/1.1\r\n" HOST "Cookie: 1\r\nAuthorization: 2\r\n"
	    "Connection: cookie, x-forwarded-for, AUTHORIZATION\r\nX-A: 1\r\n\r\n"),
	    "GET [a] / none keep (Cookie) (Authorization) (Connection) X-A=1" },
	{ M("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nConnection: content-length\r\n\r\n"),
	    "POST [a] / length=5 keep (Content-Length) (Connection)" },
};

static void
requests_mean_what_they_say(void **state)
{
	size_t used;

	for (size_t i = 0; i < ROWS(requests); i++) {
		int result = read_request(requests[i].message, &used);

		if (result != 1)
			fail_msg("row %zu, %s: %d", i, requests[i].summary, result);
		assert_string_equal(request_summary(), requests[i].summary);
		assert_int_equal(used, requests[i].message.len);
	}
}

struct refusal {
	int error;
	struct tg_str message;
};

static const struct refusal refused_requests[] = {
	/* bytes that must not be there */
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\nHost: a\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A: \rB: c\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A:\rB: c\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "\r\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "\rX") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A: b\0c\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A\0: b\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET /\0 HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A: \x7f\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A: \x0b\r\n\r\n") },
	{ TG_HTTP_BAD, M("\nGET / HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("\rGET / HTTP/1.1\r\n" HOST "\r\n") },
	/* field lines */
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A\t: b\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A:\r\n\tc\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A: b\r\n \r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n " HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A b: c\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A\x80: c\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "A(: c\r\n\r\n") },
	/* the request line */
	{ TG_HTTP_BAD, M(" GET / HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M(" / HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET  HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET  / HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET\t/ HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET /  HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1 \r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET / x HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET /\x80 HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET /\x7f HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET /#f HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET p HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET ?q HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET * HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("OPTIONS *?q HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET a:80 HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("\x16\x03\x01\x02") }, /* TLS */
	{ TG_HTTP_BAD, M("G\xc3\x89T / HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("G@T / HTTP/1.1\r\n" HOST "\r\n") },
	/* versions and methods */
	{ TG_HTTP_BAD, M("GET /\r\n") },
	{ TG_HTTP_BAD, M("GET / \r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/0.9\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.10\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/01.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET / http/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET / RTSP/1.0\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/a.1\r\n" HOST "\r\n") },
	{ TG_HTTP_VERSION, M("GET / HTTP/2.0\r\n" HOST "\r\n") },
	{ TG_HTTP_VERSION, M("GET / HTTP/3.7\r\n\r\n") },
	{ TG_HTTP_BAD, M("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") },
	{ TG_HTTP_BAD, M("BREW / COFFEE\r\n\r\n") },
	{ TG_HTTP_BAD, M("BREW pot HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_NOT_IMPLEMENTED, M("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n") },
	/* Host */
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.0\r\n" HOST HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\nHost: a b\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET / HTTP/1.0\r\nHost: a, b:x\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET http://b/ HTTP/1.1\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET http://b/ HTTP/1.1\r\nHost: b c\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET http:///p HTTP/1.1\r\nHost:\r\n\r\n") },
	{ TG_HTTP_BAD, M("GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET http://b@a/ HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET http://a:x/ HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET http:/a/ HTTP/1.1\r\n" HOST "\r\n") },
	{ TG_HTTP_BAD, M("GET http://a\\b/ HTTP/1.1\r\n" HOST "\r\n") },
	/* Connection must not take away what others are to see */
	{ TG_HTTP_BAD, M("GET / HTTP/1.1\r\n" HOST "Connection: Host\r\n\r\n") },
	{ TG_HTTP_BAD,
	    M("GET / HTTP/1.1\r\n" HOST
	      "Connection: x-forwarded-for\r\nX-Forwarded-For: 1\r\n\r\n") },
	{ TG_HTTP_BAD,
	    M("GET / HTTP/1.1\r\n" HOST "X-Real-IP: 1\r\nConnection: X-Real-IP\r\n\r\n") },
	{ TG_HTTP_BAD,
	    M("GET / HTTP/1.1\r\n" HOST "Via: 1\r\nConnection: a\r\nConnection: via\r\n\r\n") },
	{ TG_HTTP_BAD,
	    M("GET / HTTP/1.1\r\n" HOST "Forwarded: 1\r\nConnection: forwarded\r\n\r\n") },
	{ TG_HTTP_BAD,
	    M("OPTIONS / HTTP/1.1\r\n" HOST
	      "Max-Forwards: 1\r\nConnection: max-forwards\r\n\r\n") },
	{ TG_HTTP_BAD,
	    M("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nExpect: 100-continue\r\n"
	      "Connection: expect\r\n\r\n") },
	/* TRACE has no content */
	{ TG_HTTP_BAD, M("TRACE / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n") },
	{ TG_HTTP_BAD, M("TRACE / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n") },
/* framing */
#define POST "POST / HTTP/1.1\r\n" HOST
	{ TG_HTTP_BAD, M(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Content-Length: 5, 5\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Content-Length: +5\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Content-Length: -5\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Content-Length: 0x5\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Content-Length: 5 5\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Content-Length: 5a\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Content-Length: 5.0\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Content-Length:\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Content-Length: 9223372036854775808\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Content-Length: 18446744073709551621\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: chunked, chunked\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: chunked, gzip\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: gzip\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: identity\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: xchunked\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: chunkedx\r\n\r\n") },
	{ TG_HTTP_BAD,
	    M(POST "Transfer-Encoding: \x0b"
	           "chunked\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: \"chunked\"\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: chunked;a=b\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding:\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: chunked,\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: , chunked\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: gzip,, chunked\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n") },
	{ TG_HTTP_BAD, M(POST "Transfer-Encoding\r\n : chunked\r\n\r\n") },
	{ TG_HTTP_BAD, M("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") },
	{ TG_HTTP_NOT_IMPLEMENTED, M(POST "Transfer-Encoding: gzip, chunked\r\n\r\n") },
	{ TG_HTTP_NOT_IMPLEMENTED,
	    M(POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n") },
	{ TG_HTTP_BAD, M("POST p HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n") },
};

static void
bad_requests_are_refused(void **state)
{
	size_t used;

	for (size_t i = 0; i < ROWS(refused_requests); i++) {
		const struct refusal *row = &refused_requests[i];
		int result = read_request(row->message, &used);

		if (result != row->error)
			fail_msg("row %zu gives %d:\n%s", i, result, row->message.ptr);
		assert_int_equal(tg_http1_head(&http, "x", 1, &used), row->error);
		assert_false(tg_http1_complete_at_eof(&http));
	}
}

struct response {
	struct tg_str message;
	enum tg_method method;
	const char *summary; /* NULL: refused with TG_HTTP_BAD */
};

static const struct response responses[] = {
	{ M("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), TG_METHOD_GET,
	    "200 [OK] length=3 keep (Content-Length)" },
	{ M("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), TG_METHOD_GET,
	    "200 [OK] none+length keep (Content-Length)" },
	{ M("HTTP/1.1 404 Not\tF\xc3\xb6nd \r\nContent-Length: 3\r\n\r\n"), TG_METHOD_GET,
	    "404 [Not\tF\xc3\xb6nd ] length=3 keep (Content-Length)" },
	{ M("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"), TG_METHOD_GET,
	    "200 [] chunked keep (Transfer-Encoding)" },
	{ M("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n"), TG_METHOD_GET,
	    "200 [] chunked keep (Transfer-Encoding)" },
	{ M("HTTP/1.1 200 OK\r\n\r\n"), TG_METHOD_GET, "200 [OK] close end" },
	{ M("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"), TG_METHOD_GET,
	    "200 [OK] close end (Connection)" },
	{ M("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n"),
	    TG_METHOD_GET, "200 [OK] length=1 keep (Connection) (Content-Length)" },
	{ M("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"), TG_METHOD_GET,
	    "200 [OK] length=1 end (Content-Length)" },
	{ M("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), TG_METHOD_HEAD,
	    "200 [OK] none+length keep (Content-Length)" },
	{ M("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), TG_METHOD_HEAD,
	    "200 [OK] none keep (Transfer-Encoding)" },
	{ M("HTTP/1.1 200 OK\r\n\r\n"), TG_METHOD_HEAD, "200 [OK] none keep" },
	{ M("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n"), TG_METHOD_GET,
	    "304 [Not Modified] none+length keep (Content-Length)" },
	{ M("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n"), TG_METHOD_GET,
	    "204 [No Content] none end (Content-Length)" },
	{ M("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), TG_METHOD_GET,
	    "204 [No Content] none keep (Content-Length)" },
	{ M("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"), TG_METHOD_GET,
	    "204 [No Content] none end (Transfer-Encoding)" },
	{ M("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nSet-Cookie: a\r\nVia: b\r\n"
	    "Connection: set-cookie, Via\r\n\r\n"),
	    TG_METHOD_GET,
	    "200 [OK] length=1 keep (Content-Length) (Set-Cookie) (Via) (Connection)" },
	{ M("HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n"), TG_METHOD_GET,
	    "100 [Continue] none keep (Content-Length)" },
	{ M("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
	    TG_METHOD_GET, "101 [Switching Protocols] none keep (Upgrade) (Connection)" },
	{ M("HTTP/1.1 599 X\r\nContent-Length: 1\r\n\r\n"), TG_METHOD_GET,
	    "599 [X] length=1 keep (Content-Length)" },
	{ M("\r\nHTTP/1.1 200 OK\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 99 X\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 099 X\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 600 X\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 2000 X\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 20x X\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1  200 X\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 200\tX\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 200 O\0K\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 200 O\rK\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 200 OK\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 200 OK\r\nA: b\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 200 OK\r\nA : b\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/0.9 200 OK\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("ICY 200 OK\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("<html>"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
	    TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n"), TG_METHOD_GET,
	    NULL },
	{ M("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), TG_METHOD_GET, NULL },
	{ M("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), TG_METHOD_HEAD, NULL },
};

static void
responses_mean_what_they_say(void **state)
{
	for (size_t i = 0; i < ROWS(responses); i++) {
		const struct response *row = &responses[i];
		int result = read_response(row->message, row->method);

		if (result != (row->summary != NULL ? 1 : TG_HTTP_BAD))
			fail_msg("row %zu gives %d:\n%s", i, result, row->message.ptr);
		if (row->summary != NULL)
			assert_string_equal(response_summary(), row->summary);
	}
}

/* The rules are ours: they hold also where llhttp is told, or some other version is used, to let
 * through what it can. */
static void
what_llhttp_lets_through_is_refused(void **state)
{
	lenient = 0xFF;
	bad_requests_are_refused(state);
	requests_mean_what_they_say(state);
	responses_mean_what_they_say(state);
	lenient = 0;
}

static void
the_version_of_a_response_is_judged(void **state)
{
	assert_int_equal(read_response((struct tg_str)M("HTTP/2.0 200 OK\r\n\r\n"), TG_METHOD_GET),
	    TG_HTTP_VERSION);
	assert_int_equal(read_response((struct tg_str)M("HTTP/1.1 200 OK\r\n"
	                                                "Transfer-Encoding: gzip, chunked\r\n\r\n"),
	                     TG_METHOD_GET),
	    TG_HTTP_NOT_IMPLEMENTED);
}

static void
used_ends_with_the_head(void **state)
{
	struct tg_str two = M("\r\nPOST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n\r\nxGET ");
	size_t used;

	assert_int_equal(read_request(two, &used), 1);
	assert_int_equal(used, two.len - strlen("\r\nxGET "));
}

/* The views of a refused head are for the log: they must not point into the caller's buffer,
 * which feed() has freed. */
static void
what_was_refused_can_still_be_read(void **state)
{
	size_t used;

	assert_int_equal(
	    read_request(
	        (struct tg_str)M("GET /p HTTP/1.1\r\nA: b\r\nB: c\r\nD : e\r\n\r\n"), &used),
	    TG_HTTP_BAD);
	assert_true(tg_str_eq(head.method, TG_STR("GET")));
	assert_true(tg_str_eq(head.target, TG_STR("/p")));
	assert_true(tg_str_eq(head.fields[1].name, TG_STR("B")));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_mean_what_they_say),
		TEST(bad_requests_are_refused),
		TEST(responses_mean_what_they_say),
		TEST(what_llhttp_lets_through_is_refused),
		TEST(the_version_of_a_response_is_judged),
		TEST(used_ends_with_the_head),
		TEST(what_was_refused_can_still_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
