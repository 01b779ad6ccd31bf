/* What the unit tests of the HTTP/2 codec have in common: a connection, and a client of it that says whatever
 * it is told to (nghttp2 without its checks of messages, or bare frames). */
#ifndef TG_UNIT_HTTP2_FIXTURE_H
#define TG_UNIT_HTTP2_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/http2.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

enum { STREAMS = 256, TEXT = 4096 };

/* What an owner saw of a stream, as a text of events. */
struct seen {
	struct tg_http2_stream stream;
	struct tg_arena arena;
	struct tg_head head;
	size_t bytes; /* of the body */
	int error;
	bool keeps; /* it takes none of them */
	char events[64];
};

static struct tg_blocks small, large;
static struct tg_http2 h2;
static struct seen streams[STREAMS];
static unsigned stream_count;
static bool blocked, wants_flush, refuse_streams;

/* The client: what it wants to send, and what it has got. */
static nghttp2_session *client;
static char *to_client;
static size_t to_client_len, written_calls;
static char client_events[TEXT];
static size_t client_bytes;

static struct seen *
seen_of(struct tg_http2_stream *stream)
{
	return tg_container_of(stream, struct seen, stream);
}

static void
note(struct seen *seen, const char *event)
{
	strncat(seen->events, event, sizeof(seen->events) - strlen(seen->events) - 1);
}

static struct tg_http2_stream *
on_stream(struct tg_http2 *of)
{
	assert_ptr_equal(of, &h2);
	if (refuse_streams)
		return NULL;
	assert_true(stream_count < STREAMS);
	return &streams[stream_count++].stream;
}

static void
on_head(struct tg_http2_stream *stream, struct tg_head *head, int error)
{
	struct seen *seen = seen_of(stream);

	memset(seen->events, 0, sizeof(seen->events));
	tg_arena_init(&seen->arena, &small);
	tg_arena_move(&seen->arena, head->arena);
	seen->head = *head;
	seen->head.arena = &seen->arena;
	seen->error = error;
	note(seen, stream->in_ended ? "head." : "head ");
}

static void
on_data(struct tg_http2_stream *stream, char *data, size_t len)
{
	seen_of(stream)->bytes += len;
	assert_true(len > 0 && data != NULL);
	if (!seen_of(stream)->keeps)
		tg_http2_taken(stream, len);
}

static void
on_end(struct tg_http2_stream *stream, int error)
{
	note(seen_of(stream), error == 0 ? "end " : "bad ");
}

static void
on_reset(struct tg_http2_stream *stream)
{
	assert_null(stream->h2);
	note(seen_of(stream), "reset ");
}

static void
on_drained(struct tg_http2_stream *stream)
{
	note(seen_of(stream), "drained ");
}

static int
write_out(struct tg_http2 *of, const struct tg_str *parts, unsigned count)
{
	(void)of;
	written_calls++;
	for (unsigned i = 0; i < count; i++) {
		to_client = realloc(to_client, to_client_len + parts[i].len + 1);
		if (parts[i].len > 0)
			memcpy(to_client + to_client_len, parts[i].ptr, parts[i].len);
		to_client_len += parts[i].len;
	}
	return 0;
}

static bool
writable(struct tg_http2 *of)
{
	(void)of;
	return !blocked;
}

static void
on_wants_flush(struct tg_http2 *of)
{
	(void)of;
	wants_flush = true;
}

static const struct tg_http2_ops ops = { on_stream, on_head, on_data, on_end, on_reset, on_drained,
	write_out, writable, on_wants_flush };

/* --- the client --------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static void
client_note(const char *format, ...)
{
	size_t len = strlen(client_events);
	va_list args;

	va_start(args, format);
	vsnprintf(client_events + len, sizeof(client_events) - len, format, args);
	va_end(args);
}

static int
client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
	(void)session;
	(void)data;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		client_note("goaway(%u) ", frame->goaway.error_code);
	else if (frame->hd.type == NGHTTP2_RST_STREAM)
		client_note("%d:reset(%u) ", frame->hd.stream_id, frame->rst_stream.error_code);
	else if (frame->hd.type <= NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		client_note("%d:end ", frame->hd.stream_id);
	return 0;
}

static int
client_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
    size_t namelen, const uint8_t *value, size_t valuelen, uint8_t flags, void *data)
{
	(void)session;
	(void)flags;
	(void)data;
	client_note("%d:%.*s=%.*s ", frame->hd.stream_id, (int)namelen, (const char *)name,
	    (int)valuelen, (const char *)value);
	return 0;
}

static int
client_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
    void *data)
{
	(void)session;
	(void)flags;
	(void)id;
	(void)bytes;
	(void)data;
	client_bytes += len;
	return 0;
}

static void
client_new(void)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;

	nghttp2_session_callbacks_new(&callbacks);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_frame);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, client_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_chunk);
	nghttp2_option_new(&option);
	nghttp2_option_set_no_http_messaging(option, 1);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_max_send_header_block_length(option, 1 << 24);
	nghttp2_session_client_new2(&client, callbacks, NULL, option);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(client, 0, NULL, 0);
}

/* Let both talk until neither has anything to say. What tg_http2_receive came to. */
static int
talk(void)
{
	int result = 0;
	bool moved = true;

	while (moved) {
		const uint8_t *bytes;
		ssize_t len;

		moved = false;
		while (result == 0 && (len = nghttp2_session_mem_send(client, &bytes)) > 0) {
			char *copy = malloc((size_t)len); /* gone afterwards */

			memcpy(copy, bytes, (size_t)len);
			result = tg_http2_receive(&h2, copy, (size_t)len, 0);
			free(copy);
			moved = true;
		}
		while (wants_flush) {
			wants_flush = false;
			tg_http2_flush(&h2);
		}
		if (to_client_len > 0) {
			moved = true;
			assert_int_equal(
			    nghttp2_session_mem_recv(client, (uint8_t *)to_client, to_client_len),
			    to_client_len);
			to_client_len = 0;
		}
	}
	return result;
}

/* Send bare bytes, past nghttp2. */
static int
send_bytes(const void *bytes, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);
	int result;

	memcpy(copy, bytes, len);
	result = tg_http2_receive(&h2, copy, len, 0);
	free(copy);
	return result;
}

static int
send_frame(uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len)
{
	char frame[9 + 16384] = { (char)(len >> 16), (char)(len >> 8), (char)len, (char)type,
		(char)flags, (char)(id >> 24), (char)(id >> 16), (char)(id >> 8), (char)id };

	assert_true(len <= 16384);
	if (len > 0)
		memcpy(frame + 9, payload, len);
	return send_bytes(frame, 9 + len);
}

/* "name=value" each, NULL at the end. */
static size_t
fields_of(const char *const *texts, nghttp2_nv *out)
{
	size_t n = 0;

	for (; texts[n] != NULL; n++) {
		const char *cut = strchr(texts[n] + 1, '=');

		out[n] =
		    (nghttp2_nv){ (uint8_t *)(uintptr_t)texts[n], (uint8_t *)(uintptr_t)(cut + 1),
			    (size_t)(cut - texts[n]), strlen(cut + 1), NGHTTP2_NV_FLAG_NONE };
	}
	return n;
}

static nghttp2_data_provider never_ending;

static ssize_t
wait_for_ever(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
    nghttp2_data_source *source, void *data)
{
	return NGHTTP2_ERR_DEFERRED;
}

/* Its stream's id; `ended`: no body. */
static int32_t
ask(const char *const *texts, bool ended)
{
	nghttp2_nv fields[1024];
	size_t count = fields_of(texts, fields);

	never_ending.read_callback = wait_for_ever;
	return nghttp2_submit_request(
	    client, NULL, fields, count, ended ? NULL : &never_ending, NULL);
}

static const char *const GET[] = { ":method=GET", ":scheme=http", ":path=/", ":authority=a", NULL };
static const char *const POST[] = { ":method=POST", ":scheme=http", ":path=/", ":authority=a",
	NULL };

/* An answer's head. */
static void
answer(struct seen *seen, int status, int64_t length, bool last)
{
	struct tg_head head;

	tg_head_init(&head, &seen->arena);
	head.status = status;
	head.has_length = length >= 0;
	head.length = length >= 0 ? (uint64_t)length : 0;
	assert_int_equal(tg_http2_answer(&seen->stream, &head, last), 0);
}

static int
set_up(void **state)
{
	static const struct tg_http2_limits limits = { { 16384, 8192, 128 }, 100, true };

	tg_blocks_init(&small, 4096, 4);
	tg_blocks_init(&large, 16384, 4);
	memset(streams, 0, sizeof(streams));
	stream_count = 0;
	blocked = refuse_streams = false;
	to_client_len = written_calls = client_bytes = 0;
	client_events[0] = '\0';
	assert_int_equal(tg_http2_server_init(&h2, &ops, &limits, &small, &large, 0), 0);
	client_new();
	return 0;
}

static int
tear_down(void **state)
{
	if (h2.session != NULL)
		tg_http2_fini(&h2);
	for (unsigned i = 0; i < stream_count; i++) {
		tg_http2_leave(&streams[i].stream, TG_HTTP2_NO_ERROR);
		tg_arena_reset(&streams[i].arena);
	}
	nghttp2_session_del(client);
	free(to_client);
	to_client = NULL;
	tg_blocks_fini(&small);
	tg_blocks_fini(&large);
	return 0;
}

#endif
