/* A client's connection that speaks HTTP/2: bytes to the codec and back, and what is a matter of the connection,
 * not of a request: its timers, its end. Requests are its streams (stream.h), each a client like any other.
 *
 * What streams write goes out once a turn of the loop, in one write (tg_loop_defer). All is done in there, too, that
 * must not be done while the codec is at work: the connection ends there.
 */
#ifndef TG_PROXY_SESSION_H
#define TG_PROXY_SESSION_H

#include "http/http2.h"
#include "net/loop.h"

struct tg_client;

struct tg_session {
	struct tg_http2 h2;
	struct tg_client *client; /* whose connection it is, and whose timer */
	struct tg_deferred flush;
	struct tg_link streams; /* tg_stream.link: those that are not freed yet */
	uint8_t awaits;         /* what the timer is about */
	bool failed; /* the peer is beyond help: it hears so, and nothing of it is read */
};

/* The client speaks HTTP/2 from the next byte on. False: out of memory. */
TG_MUST_USE bool tg_session_begin(struct tg_client *client);

/* Bytes of the connection; all are taken. */
void tg_session_receive(struct tg_session *session, char *data, size_t len);

/* No more streams are taken than there are; it ends with the last. Also when the timer of its client has fired. */
void tg_session_goaway(struct tg_session *session);

/* Is there a stream whose request has not ended? */
bool tg_session_busy(const struct tg_session *session);

/* Set or stop that timer, for what the peer is expected to do now. */
void tg_session_watch(struct tg_session *session);

/* A stream of it was freed. */
void tg_session_stream_gone(struct tg_session *session);

/* Take no more streams than those on their way, and end with the last (RFC 9113 §6.8). */
void tg_session_drain(struct tg_session *session);

/* Write what there is, as far as it goes. The session may be gone after it. */
void tg_session_flush(struct tg_session *session);

/* The connection is about to be closed: so are its streams, now or, from within the codec, in tg_session_free. */
void tg_session_close(struct tg_session *session);

/* The connection is gone: so are its streams. */
void tg_session_free(struct tg_session *session);

#endif
