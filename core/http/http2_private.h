/* What the files of the HTTP/2 codec share. */
#ifndef TG_HTTP_HTTP2_PRIVATE_H
#define TG_HTTP_HTTP2_PRIVATE_H

#include "http/http2.h"

/* Begin to read a head, or trailers. */
void tg_http2_head_begin(struct tg_http2 *h2, bool trailers);

/* All that was read of it goes. */
void tg_http2_head_end(struct tg_http2 *h2);

/* A field of it. `name_stays`: the bytes of the name outlive us. False: it is beyond all bounds, and so
 * is the connection. */
TG_MUST_USE bool tg_http2_head_field(
    struct tg_http2 *h2, struct tg_str name, bool name_stays, struct tg_str value);

/* It is complete: what it means, as of a request of HTTP/1.1 that says the same. `ended`: nothing follows
 * it. 0 or enum tg_http_error. */
TG_MUST_USE int tg_http2_head_judge(struct tg_http2 *h2, bool ended);

/* The end of the same for trailers, which are dropped (RFC 9110 §6.5.1). 0 or TG_HTTP_BAD. */
TG_MUST_USE int tg_http2_trailers_judge(const struct tg_http2 *h2, bool ended);

/* An answer as fields for nghttp2, which copies them: how many, in head->arena, or TG_HTTP_MEMORY. */
TG_MUST_USE int tg_http2_head_pack(const struct tg_head *head, nghttp2_nv **fields);

/* NULL: its owner has left. */
static inline struct tg_http2_stream *
tg_http2_stream_of(struct tg_http2 *h2, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h2->session, id);
}

/* Tell the owners of streams from which all has gone out. */
void tg_http2_tell_drained(struct tg_http2 *h2);

/* Forget what waits to go out of a stream. */
void tg_http2_drop(struct tg_http2_stream *stream, struct tg_blocks *blocks);

/* nghttp2 sends a DATA frame of ours now; it has sent a frame; it cannot send one at all. */
int tg_http2_on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
    size_t len, nghttp2_data_source *source, void *data);
int tg_http2_on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *data);
int tg_http2_on_not_sent(
    nghttp2_session *session, const nghttp2_frame *frame, int error, void *data);

/* In http1_judge.c: what fields that were found good one by one mean. None is of the connection, but TE; Host
 * is among them. They mean what they mean in HTTP/1.1, but that the end of a body that has no length is told by
 * its stream (framing: CHUNKED). */
TG_MUST_USE int tg_http2_judge_request(struct tg_head *head, bool ended);

#endif
