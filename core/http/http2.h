/* The HTTP/2 codec (RFC 9113): the bytes of one connection to the heads and bodies of its streams, and
 * back. No sockets, no clock: bytes go in by tg_http2_receive, and out by ops->write.
 *
 * nghttp2 splits frames, unpacks heads and keeps the windows. Whether a message is good is decided here
 * (http2_head.c), with the code that judges HTTP/1, so that what goes on to a server means the same
 * whoever reads it; nghttp2's own checks of messages are off, because they drop or reset without
 * saying why, and a refused request is to be answered and logged. What a peer may cost is counted in
 * budgets (http2_budget.h).
 *
 * Windows follow the consumer: bytes of a body are given back to the sender when they were taken
 * (tg_http2_taken). The window of the connection is not held back: what waits is bounded by the windows
 * of the streams, and a slow stream stops nobody else. Towards the peer, a stream takes what it is given
 * and says when it has all gone out (on_drained); who feeds it stops meanwhile.
 */
#ifndef TG_HTTP_HTTP2_H
#define TG_HTTP_HTTP2_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "http/head.h"
#include "http/http1.h"
#include "http/http2_budget.h"

struct tg_http2;
struct tg_http2_block;

/* Why a stream ends before its time (RFC 9113 §7). */
enum tg_http2_reason {
	TG_HTTP2_NO_ERROR = 0, /* the answer is whole, and nobody wants the rest of the request */
	TG_HTTP2_PROTOCOL_ERROR = 1,
	TG_HTTP2_INTERNAL_ERROR = 2,
	TG_HTTP2_REFUSED_STREAM = 7, /* it may be sent again: nothing was done */
	TG_HTTP2_CANCEL = 8,
	TG_HTTP2_ENHANCE_YOUR_CALM = 11,
};

/* One request and its answer. Embedded in its owner, who is found from it; zero at first. */
struct tg_http2_stream { /* private but for being embedded, and what is said to be read */
	struct tg_http2
	    *h2;       /* NULL: it is over, and nothing reaches the peer any more; may be read */
	int32_t id;    /* may be read */
	uint64_t left; /* bytes of the body that are still to come, of those that were promised */
	uint32_t untaken; /* bytes of it that came, and were not taken */
	bool promised;    /* there was a Content-Length, or it cannot have a body */
	bool in_ended;    /* the peer has ended its side; may be read */
	bool no_body;     /* client: the answer to HEAD has none */
	bool headed;      /* client: the final head of the answer has come */
	bool unsent;      /* client: the request cannot be sent, which is due to be told */
	bool refused;     /* client: the server has not looked at it; may be read in on_reset */
	bool out_ended;   /* we have asked to end ours */
	bool begun;       /* the final head was handed to nghttp2 */
	bool head_waits;  /* and it has not been sent yet */
	bool trailing;    /* trailers are on their way */
	bool deferred;    /* nghttp2 waits for tg_http2_write */
	bool writing;     /* its owner is told by the return, not by on_drained */
	const struct tg_str *parts; /* of the write that is going on, before it is copied */
	unsigned count;
	size_t skip;                   /* bytes of the first part that went out */
	struct tg_http2_block *blocks; /* what waits to go out, oldest first */
	struct tg_http2_block *last;
	uint32_t queued; /* bytes in parts and blocks, 1 for a head and 1 for an end; may be read */
	struct tg_link all;             /* in h2->streams */
	struct tg_link drained;         /* in h2->drained: on_drained is due */
	const struct tg_head *trailers; /* the owner's: what our side ends with; NULL: none */
};

struct tg_http2_ops {
	/* A request has come. NULL: there is no memory for it, and it is refused. */
	struct tg_http2_stream *(*on_stream)(struct tg_http2 *h2);
	/* Its head is complete, or refused with enum tg_http_error (of what was read, method and target
	 * are there, for the log). The owner may take head->arena (tg_arena_move); else it goes after the
	 * call. stream->in_ended: no body follows. */
	void (*on_head)(struct tg_http2_stream *stream, struct tg_head *head, int error);
	/* Bytes of a body. Those that are taken are to be told by tg_http2_taken, now or later. */
	void (*on_data)(struct tg_http2_stream *stream, char *data, size_t len);
	/* The peer has ended its side: 0, or TG_HTTP_BAD when what came is not what the head had
	 * promised, or trailers are malformed. */
	void (*on_end)(struct tg_http2_stream *stream, int error);
	/* The peer has given the stream up, or the connection is lost. stream->h2 is NULL already. */
	void (*on_reset)(struct tg_http2_stream *stream);
	/* All that was written has gone out. Never from within tg_http2_write. */
	void (*on_drained)(struct tg_http2_stream *stream);
	/* Bytes for the peer, in order: 0, or negative when the connection is broken. */
	int (*write)(struct tg_http2 *h2, const struct tg_str *parts, unsigned count);
	/* May more be written now? Else tg_http2_flush is to be called when it may. */
	bool (*writable)(struct tg_http2 *h2);
	/* Something waits to go out: tg_http2_flush is wanted, soon but not from here. */
	void (*on_wants_flush)(struct tg_http2 *h2);
};

struct tg_http2_limits {
	struct tg_http1_limits head;
	uint32_t streams; /* at once */
	bool connect;     /* another protocol may be asked for (RFC 8441) */
};

struct tg_http2 { /* private but for being embedded */
	nghttp2_session *session;
	const struct tg_http2_ops *ops;
	struct tg_http2_limits limits;
	struct tg_blocks *blocks; /* large ones, for bytes on their way out */
	uint64_t now;             /* ms, as of the last tg_http2_receive */
	struct tg_http2_budget chatter, resets;
	struct tg_link streams; /* tg_http2_stream.all: those that are not over */
	struct tg_link drained; /* tg_http2_stream.drained */

	/* The head that is being read. There is one at a time (RFC 9113 §4.3). */
	struct tg_arena arena;
	struct tg_head head;
	struct tg_http2_reader {
		struct tg_str scheme, authority, protocol, status; /* ptr NULL: not there */
		size_t bytes;                                      /* as HTTP/1 would count them */
		size_t packed;   /* bytes of the frames that it comes in */
		unsigned frames; /* those that continue it */
		int error;       /* enum tg_http_error: the first thing that is wrong with it */
		bool open;       /* it has begun, and is to end soon */
		bool fields;     /* one came that is no pseudo-field */
		bool trailers;   /* it is no head, but what follows a body */
	} reader;

	char *out; /* a block: what goes out with the next write; NULL: none */
	uint32_t out_len;
	uint32_t payload; /* bytes of the DATA frame that is being read */
	bool receiving, sending;
	bool broken;    /* writing has failed */
	bool abused;    /* a budget is spent, or a head is beyond all bounds */
	bool client;    /* ours is the client's side */
	bool agreed;    /* client: the settings of the server have come; may be read */
	bool leaving;   /* client: it takes no more requests; may be read */
	uint32_t count; /* of streams; may be read */
	bool draining;  /* the first GOAWAY was sent */
	bool final;     /* and the one that names the last stream */
};

/* A server's side of a connection. 0 or negative: out of memory. `small` blocks are for heads. */
TG_MUST_USE int tg_http2_server_init(struct tg_http2 *h2, const struct tg_http2_ops *ops,
    const struct tg_http2_limits *limits, struct tg_blocks *small, struct tg_blocks *large,
    uint64_t now);

/* A client's side; limits.streams: requests at once, whatever the server allows. There is no on_stream, and
 * on_head tells of answers: interim ones, then the final one. Streams that the server promises are refused. */
TG_MUST_USE int tg_http2_client_init(struct tg_http2 *h2, const struct tg_http2_ops *ops,
    const struct tg_http2_limits *limits, struct tg_blocks *small, struct tg_blocks *large,
    uint64_t now);

/* How many more requests may begin now. */
unsigned tg_http2_room(const struct tg_http2 *h2);

/* Within on_end without an error: the trailers, or NULL. They last as a head does in on_head; what only the
 * codec may say is not among them. */
struct tg_head *tg_http2_trailers(struct tg_http2 *h2);

/* Every stream that is not over gets on_reset first. Not from within a callback. */
void tg_http2_fini(struct tg_http2 *h2);

/* Bytes of the peer, from its preface on; bodies may be changed in place. `now` in ms. 0, or negative:
 * the connection is beyond help, and nothing more may be received. What it is told of that goes out
 * with tg_http2_flush. */
TG_MUST_USE int tg_http2_receive(struct tg_http2 *h2, char *data, size_t len, uint64_t now);

/* Write what waits, as far as it may be; then say which streams have drained. No-op from within a
 * callback of this connection. */
void tg_http2_flush(struct tg_http2 *h2);

/* No stream is left and none will come, or writing is over: the connection can be closed. */
bool tg_http2_done(const struct tg_http2 *h2);

/* Is the peer in the middle of a head, which it has to end soon? */
bool tg_http2_in_head(const struct tg_http2 *h2);

/* Begin to end: the peer is told that no stream will be taken from now on, but those that are on their way
 * are (RFC 9113 §6.8). When it has heard that, or with tg_http2_goaway, the last one is named. */
void tg_http2_drain(struct tg_http2 *h2);
void tg_http2_goaway(struct tg_http2 *h2);

/* --- one stream: no-ops when it is over ----------------------------------------------------- */

/* Send the head of an answer: interim ones (status 1xx), then the final one. 101 is told as the 200 that
 * it is here (RFC 8441 §5). Hop-by-hop fields stay behind; the length is told where it is known.
 * `last`: no body follows, and our side ends. 0 or TG_HTTP_MEMORY. */
TG_MUST_USE int tg_http2_answer(
    struct tg_http2_stream *stream, const struct tg_head *head, bool last);

/* Begin a stream with the head of a request for `host`. Fields as above. `last` as above. When the server
 * does not take it (stream->refused in on_reset) it was not looked at, and may be sent again. 0 or TG_HTTP_MEMORY: nothing has
 * begun then. */
TG_MUST_USE int tg_http2_request(struct tg_http2 *h2, struct tg_http2_stream *stream,
    const struct tg_head *head, struct tg_str host, bool https, bool last);

/* Our side will end with these, which last until then, where there is a body. */
static inline void
tg_http2_end_with(struct tg_http2_stream *stream, const struct tg_head *trailers)
{
	stream->trailers = trailers;
}

/* Send bytes of the body, behind the final head. `last`: nothing follows, and our side ends with them.
 * What does not go out at once is copied. 0 or TG_HTTP_MEMORY. */
TG_MUST_USE int tg_http2_write(
    struct tg_http2_stream *stream, const struct tg_str *parts, unsigned count, bool last);

/* So many bytes of the body were taken: the peer may send as many again. */
void tg_http2_taken(struct tg_http2_stream *stream, size_t len);

/* The owner is done with the stream, which is over then. If it was not whole, on both sides, the peer is
 * told why, at once: what is queued is lost. To be called also when it is over already: nothing points at it afterwards. */
void tg_http2_leave(struct tg_http2_stream *stream, enum tg_http2_reason reason);

#endif
