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

/* The end of the same for trailers. 0 or TG_HTTP_BAD. */
TG_MUST_USE int tg_http2_trailers_judge(const struct tg_http2 *h2, bool ended);

/* The same of an answer. */
TG_MUST_USE int tg_http2_answer_judge(struct tg_http2 *h2, bool ended, bool no_body);

/* A stream that has an id, and bytes to read. */
void tg_http2_stream_begin(struct tg_http2 *h2, struct tg_http2_stream *stream, int32_t id);

/* It is over: nothing of it reaches the peer any more. */
void tg_http2_detach(struct tg_http2_stream *stream);

/* The head of an answer is complete. */
void tg_http2_on_answer(struct tg_http2_stream *stream, bool ended);

/* The peer has ended its side: with what it had promised? */
void tg_http2_end_stream(struct tg_http2_stream *stream, int error);

/* A request as fields for nghttp2, like tg_http2_head_pack. Trailers, too. */
TG_MUST_USE int tg_http2_request_pack(
    const struct tg_head *head, struct tg_str host, bool https, nghttp2_nv **fields);
TG_MUST_USE int tg_http2_trailers_pack(const struct tg_head *trailers, nghttp2_nv **fields);

/* How much of a stream goes into a DATA frame. */
ssize_t tg_http2_on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
    uint32_t *flags, nghttp2_data_source *source, void *data);

/* Say what we want of the other side. */
TG_MUST_USE int tg_http2_introduce(struct tg_http2 *h2);

/* Let what is asked of the stream go out, as far as it may. */
TG_MUST_USE int tg_http2_push(struct tg_http2_stream *stream);

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

/* Of an answer. `ended`: nothing follows it. */
TG_MUST_USE int tg_http2_judge_response(struct tg_head *head, bool ended, bool no_body);

#endif
