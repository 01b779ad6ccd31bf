/* Exchanges over HTTP/2: a client that says anything, through the real engine, to a server of HTTP/1.1. Whatever it says,
 * each server must read exactly the requests that the engine meant to send (exchange_server.h), and the client must
 * get frames that are well-formed, of streams that it has begun, with answers to what it asked.
 *
 * The input: a byte of flags, then parts. 0xFE begins a part, and its next byte says what it is:
 *   'f'  a frame: its type, its flags and its stream, a byte each, and the payload;
 *   'r'  bytes as they are;
 *   's'  what the server answers to its next request (exchange_fuzz.c).
 * The preface and empty settings come first.
 */
#include <nghttp2/nghttp2.h>

#include "exchange_server.h"
#include "proxy/session.h"

enum flag {
	CLIENT_GOES = 2,  /* when it has sent all */
	CLIENT_BY_7 = 8,  /* seven bytes at a time */
	CLIENT_READS = 4, /* gives back windows */
	CLIENT_MAY_UPGRADE = 16,
	HOOKS_WAIT = 32,
};

enum { FRAME_HEAD = 9, FRAME_MAX = 16384, STREAMS = 512 };

/* What has come on a stream. */
struct seen_stream {
	bool headed, ended;
};

static struct client {
	int fd;
	size_t len, at; /* of `got`; what was judged */
	bool ended;     /* the engine has closed */
	nghttp2_hd_inflater *inflater;
	struct seen_stream streams[STREAMS];
	char got[SEEN_MAX];
} client;

/* --- what the client gets ------------------------------------------------------------------ */

static uint32_t
number(const char *at, unsigned bytes)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value = value << 8 | (unsigned char)at[i];
	return value;
}

static struct seen_stream *
stream_of(uint32_t id)
{
	MUST(id % 2 == 1);
	return id / 2 < STREAMS ? &client.streams[id / 2] : NULL;
}

static bool
is(const uint8_t *text, size_t len, const char *name)
{
	return len == strlen(name) && memcmp(text, name, len) == 0;
}

/* A whole header block. Its status; 0: trailers. */
static int
judge_block(const char *at, size_t len)
{
	int flags = 0, status = 0;
	bool first = true;

	while ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0) {
		nghttp2_nv nv;
		ssize_t n = nghttp2_hd_inflate_hd2(
		    client.inflater, &nv, &flags, (const uint8_t *)at, len, 1);

		MUST(n >= 0);
		at += n;
		len -= (size_t)n;
		if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0)
			continue;
		MUST(nghttp2_check_header_value(nv.value, nv.valuelen));
		if (nv.namelen > 0 && nv.name[0] == ':') {
			MUST(first && is(nv.name, nv.namelen, ":status") && nv.valuelen == 3);
			status = atoi((const char *)nv.value);
		} else {
			MUST(nghttp2_check_header_name(nv.name, nv.namelen));
			MUST(!is(nv.name, nv.namelen, "connection") &&
			    !is(nv.name, nv.namelen, "transfer-encoding") &&
			    !is(nv.name, nv.namelen, "upgrade") &&
			    !is(nv.name, nv.namelen, "keep-alive"));
		}
		first = false;
	}
	nghttp2_hd_inflate_end_headers(client.inflater);
	return status;
}

static void
judge_frame(int type, int flags, uint32_t id, const char *payload, size_t len)
{
	struct seen_stream *stream;
	int status;

	switch (type) {
	case NGHTTP2_HEADERS: /* ours are never longer than a frame, nor padded */
		MUST((flags & NGHTTP2_FLAG_END_HEADERS) != 0);
		status = judge_block(payload, len);
		stream = stream_of(id);
		if (stream == NULL)
			return;
		MUST(!stream->ended && (status == 0) == stream->headed);
		stream->headed = stream->headed || status >= 200;
		stream->ended = (flags & NGHTTP2_FLAG_END_STREAM) != 0;
		MUST(status == 0 || status >= 200 || !stream->ended);
		return;
	case NGHTTP2_DATA:
		stream = stream_of(id);
		if (stream == NULL)
			return;
		MUST(stream->headed && !stream->ended);
		stream->ended = (flags & NGHTTP2_FLAG_END_STREAM) != 0;
		return;
	case NGHTTP2_RST_STREAM:
		stream = stream_of(id);
		MUST(len == 4);
		if (stream != NULL)
			stream->ended = true;
		return;
	case NGHTTP2_SETTINGS:
	case NGHTTP2_PING:
	case NGHTTP2_GOAWAY:
		MUST(id == 0);
		return;
	case NGHTTP2_WINDOW_UPDATE:
		MUST(len == 4 && number(payload, 4) > 0);
		return;
	default:
		MUST(false); /* nothing else is ours to send */
	}
}

static void
judge(void)
{
	while (client.len - client.at >= FRAME_HEAD) {
		const char *head = client.got + client.at;
		uint32_t len = number(head, 3);

		MUST(len <= FRAME_MAX);
		if (client.len - client.at < FRAME_HEAD + len)
			return;
		judge_frame((unsigned char)head[3], (unsigned char)head[4], number(head + 5, 4),
		    head + FRAME_HEAD, len);
		client.at += FRAME_HEAD + len;
	}
}

static void
take(void)
{
	ssize_t n;

	while (!client.ended &&
	    (n = recv(client.fd, client.got + client.len, SEEN_MAX - client.len, 0)) != -1) {
		moved = true;
		client.len += (size_t)n;
		client.ended = n == 0;
		judge();
		/* What was judged is not needed any more. */
		memmove(client.got, client.got + client.at, client.len - client.at);
		client.len -= client.at;
		client.at = 0;
		MUST(client.len < SEEN_MAX);
	}
}

/* --- what it says -------------------------------------------------------------------------- */

static bool
turn(void)
{
	unsigned handles = exchange.engine.open_handles;

	moved = false;
	exchange_turn();
	run_server();
	take();
	moved |= exchange_wake();
	return moved || handles != exchange.engine.open_handles;
}

static void
settle(void)
{
	unsigned turns = 0;

	for (int idle = 0; idle < 2; idle++) {
		if (turn())
			idle = -1;
		MUST(++turns < TURNS_MOST);
	}
	MUST(exchange_all_watched());
}

static void
say(const char *bytes, size_t len, int flags)
{
	size_t piece = (flags & CLIENT_BY_7) != 0 ? 7 : len;

	for (size_t at = 0; at < len && !client.ended;) {
		size_t n = len - at < piece ? len - at : piece;
		ssize_t gone = send(client.fd, bytes + at, n, MSG_NOSIGNAL);

		if (gone > 0)
			at += (size_t)gone;
		else if (errno != EAGAIN)
			break;
		(void)turn();
		if (gone < 0)
			break; /* the engine reads no more */
	}
}

static void
say_frame(int type, int frame_flags, uint32_t id, struct part payload, int flags)
{
	char frame[FRAME_HEAD + 4096];
	size_t len = payload.len < 4096 ? payload.len : 4096;

	frame[0] = 0;
	frame[1] = (char)(len >> 8);
	frame[2] = (char)len;
	frame[3] = (char)type;
	frame[4] = (char)frame_flags;
	frame[5] = frame[6] = 0;
	frame[7] = (char)(id >> 8);
	frame[8] = (char)id;
	if (len > 0)
		memcpy(frame + FRAME_HEAD, payload.at, len);
	say(frame, FRAME_HEAD + len, flags);
}

static void
say_part(const char *at, size_t len, int flags)
{
	if (*at == 'r')
		say(at + 1, len - 1, flags);
	else if (*at == 'f' && len >= 4)
		say_frame((unsigned char)at[1], (unsigned char)at[2], (unsigned char)at[3],
		    (struct part){ at + 4, len - 4 }, flags);
}

/* The parts in their order: answers are taken down before the client speaks. */
static void
each_part(const char *at, const char *end, bool speak, int flags)
{
	while (at < end) {
		const char *mark = memchr(at, 0xFE, (size_t)(end - at)),
		           *stop = mark != NULL ? mark : end;

		if (stop > at && speak)
			say_part(at, (size_t)(stop - at), flags);
		else if (stop > at && *at == 's' && answer_count < PARTS)
			answers[answer_count++] = (struct part){ at + 1, (size_t)(stop - at) - 1 };
		at = stop + 1;
	}
}

static void
run(const char *at, const char *end, int flags)
{
	static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

	memset(&client, 0, offsetof(struct client, got));
	MUST(nghttp2_hd_inflate_new(&client.inflater) == 0);
	client.fd = exchange_connect();
	say(hello, sizeof(hello) - 1, flags);
	each_part(at, end, true, flags);
	if ((flags & CLIENT_READS) != 0)
		say_frame(NGHTTP2_WINDOW_UPDATE, 0, 0, (struct part){ "\0\1\0\0", 4 }, flags);
	if ((flags & CLIENT_GOES) == 0)
		settle();
	close(client.fd);
	client.ended = true;
	settle();
	nghttp2_hd_inflate_del(client.inflater);
}

/* Free blocks are chained through memory that is poisoned. */
const char *
__lsan_default_options(void)
{
	return "use_poisoned=1";
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool open;

	if (!open) {
		exchange_open();
		atexit(exchange_close);
		exchange.generation.plan->listeners[0].options.http2 = 1;
		exchange.generation.plan->listeners[0].options.max_streams = 8;
		open = true;
	}
	if (size < 2)
		return 0;
	snprintf(secret, sizeof(secret), "ABC");
	exchange.park = (data[0] & HOOKS_WAIT) != 0 ? (uint32_t)size * 2654435761u | 1 : 0;
	memset(heads_seen, 0, sizeof(heads_seen));
	memset(sent, 0, sizeof(sent));
	connection_count = answer_count = next_answer = 0;
	exchange.generation.plan->listeners[0].options.upgrade =
	    (data[0] & CLIENT_MAY_UPGRADE) != 0;
	each_part((const char *)data + 1, (const char *)data + size, false, data[0]);
	run((const char *)data + 1, (const char *)data + size, data[0]);
	exchange_clear();
	for (unsigned i = 0; i < connection_count; i++)
		drop(&connections[i]);
	return 0;
}
