/* A stream of HTTP/2 as the connection of an upstream: its conn (net/conn.h) is carried by a stream of a trunk. So
 * timers, back-pressure, retries and ends are those of HTTP/1; only these differ: heads and trailers are given as they
 * are, and the end of a body is said beside its bytes. A call is of one attempt.
 */
#ifndef TG_PROXY_CALL_H
#define TG_PROXY_CALL_H

#include "http/http2.h"
#include "net/loop.h"
#include "proxy/trunk.h"

struct tg_call {
	struct tg_http2_stream h2;
	struct tg_trunk *trunk; /* NULL: closed, or the trunk is gone */
	struct tg_link link;    /* in trunk->calls or trunk->waiting */
	bool end_waits;         /* the server's end is to be told, behind what was not taken yet: */
	int end;                /* 0, or negative: it was reset */
	struct tg_deferred closed;
};

struct tg_upstream;

/* The upstream, whose ops are given, is one on that trunk. */
void tg_call_init(struct tg_upstream *up, struct tg_trunk *trunk, const struct tg_conn_ops *ops);

/* Send the head of the request (NULL: it was sent), and bytes of its body; `last`: no more follow, but `trailers`
 * (NULL: none). 0 or negative. */
TG_MUST_USE int tg_call_send(struct tg_upstream *up, const struct tg_head *head, struct tg_str host,
    struct tg_str body, bool last, const struct tg_head *trailers);

/* The trunk is gone, or has not come about (`failure`). Its call is in no list. */
void tg_call_lost(struct tg_call *call, enum tg_end failure);

/* It has waited `ms` in vain: when nothing at all has come for half of that, its trunk gets no more calls. */
void tg_call_unheard(struct tg_upstream *up, int64_t ms);

/* The trunk is there. */
void tg_call_ready(struct tg_call *call);

/* It is there, but takes no more calls than those that were before this one. It is in no list. */
void tg_call_crowded(struct tg_call *call);

/* What the codec tells (http2.h). */
void tg_call_on_head(struct tg_http2_stream *h2, struct tg_head *head, int error);
void tg_call_on_data(struct tg_http2_stream *h2, char *data, size_t len);
void tg_call_on_end(struct tg_http2_stream *h2, int error);
void tg_call_on_reset(struct tg_http2_stream *h2);
void tg_call_on_drained(struct tg_http2_stream *h2);

#endif
