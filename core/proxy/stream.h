/* A stream of HTTP/2 as a client: its conn (net/conn.h) is carried by the stream. So what is done for a
 * request, its steps, timers, limits and its log, is done without knowing which protocol it came by; only
 * these differ: its head comes whole, an answer's head is given as it is, and the end of a body is said
 * beside its bytes. A stream is of one request: then it closes.
 */
#ifndef TG_PROXY_STREAM_H
#define TG_PROXY_STREAM_H

#include "proxy/client.h"
#include "proxy/session.h"

struct tg_stream {
	struct tg_http2_stream h2;
	struct tg_link link;        /* in session->streams */
	struct tg_session *session; /* NULL: the connection is gone */
	bool end_waits; /* the peer's end is to be told, behind what was not taken yet */
	struct tg_deferred closed;
	struct tg_client client;
};

/* For a request that begins; NULL: out of memory. */
TG_MUST_USE struct tg_http2_stream *tg_stream_new(struct tg_session *session);
void tg_stream_free(struct tg_stream *stream);

/* What the codec tells (http2.h). */
void tg_stream_on_head(struct tg_http2_stream *h2, struct tg_head *head, int error);
void tg_stream_on_data(struct tg_http2_stream *h2, char *data, size_t len);
void tg_stream_on_end(struct tg_http2_stream *h2, int error);
void tg_stream_on_reset(struct tg_http2_stream *h2);
void tg_stream_on_drained(struct tg_http2_stream *h2);

/* Send the head of an answer (NULL: it was sent), and bytes of its body; `last`: no more follow. 0 or negative:
 * out of memory. */
TG_MUST_USE int tg_stream_answer(
    struct tg_stream *stream, const struct tg_head *head, struct tg_str body, bool last);

#endif
