/* A connection as a byte stream with back-pressure, whatever carries it (carrier.h): a TCP or UNIX
 * socket, TLS. Owner thread only.
 *
 * Reading: bytes are offered from the thread's one read buffer. The consumer says how many it
 * took; the rest is kept here and reading stops until tg_conn_resume. So a consumer never
 * buffers, and an idle connection holds no buffer.
 * Writing: tried at once; what the kernel does not take is copied and queued, and on_drain says
 * when the queue is empty. Who feeds a connection stops while it is not drained: that bounds
 * the queue to one read. Rejected: queueing the caller's memory, which would have to live.
 * Closing: marks; on_closed comes last, from the loop. Nothing is freed under a caller.
 */
#ifndef TG_NET_CONN_H
#define TG_NET_CONN_H

#include <stdbool.h>

#include "base/str.h"
#include "net/addr.h"
#include "net/loop.h"

struct tg_carrier;
struct tg_conn;
struct tg_conn_block;
struct tg_tls;

struct tg_conn_ops {
	/* The connection that tg_conn_connect began is there (0) or failed (negative). With TLS (tls.h),
	 * also an accepted one: its handshake is done. */
	void (*on_connect)(struct tg_conn *conn, int status);
	/* Bytes came; returns how many were taken. `data` may be changed in place. It may close
	 * the connection; the return value is then ignored. */
	size_t (*on_data)(struct tg_conn *conn, char *data, size_t len);
	/* The peer ended its side (0) or the connection broke (negative). Comes once, after all
	 * bytes were taken; again, negative, when a queued write fails after the peer had ended its
	 * side. */
	void (*on_end)(struct tg_conn *conn, int status);
	/* Everything queued has been written. */
	void (*on_drain)(struct tg_conn *conn);
	/* A queued write failed while reading is paused. What the peer had sent before can still be
	 * read, then comes on_end. False, or NULL: it is not wanted, on_end comes at once. (Not
	 * paused, the reader meets the failure by itself.) */
	bool (*on_write_failed)(struct tg_conn *conn);
	/* A client of TLS asks for a name (NULL: for none) that has no certificate: tg_tls_certified
	 * gives the answer, from within or later. Comes once, before on_connect. */
	void (*on_certificate)(struct tg_conn *conn, const char *name);
	/* The last call: the memory may be freed. */
	void (*on_closed)(struct tg_conn *conn);
};

struct tg_conn {
	uint32_t magic;
	bool is_pipe;    /* which member of uv is in use */
	bool paused;     /* not reading, by the consumer's wish or because of `kept` */
	bool reading;    /* the socket is being read */
	bool bulk;       /* the last read of it filled its buffer */
	bool delivering; /* on_data runs */
	bool resumed;    /* tg_conn_resume was called since on_data began */
	bool ended;      /* on_end was called */
	bool broken;     /* and told that it is broken, which it does once */
	bool shut;       /* our side was ended */
	bool closing;
	uint32_t queued; /* bytes that wait to be written */
	const struct tg_conn_ops *ops;
	const struct tg_carrier *carrier;
	struct tg_loop *loop;
	struct tg_tls *tls;         /* NULL: none (tls.h) */
	struct tg_conn_block *kept; /* bytes that the consumer did not take yet, oldest first */
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
};

/* Wrap an accepted, non-blocking descriptor, which the conn owns from now on; TCP_NODELAY it has from its
 * listener. Reading starts with tg_conn_resume. On a failure (negative) the conn is being closed: on_closed will come. */
TG_MUST_USE int tg_conn_accept(struct tg_conn *conn, struct tg_loop *loop,
    const struct tg_conn_ops *ops, int fd, bool is_unix);

/* Begin to connect; on_connect will come, never from within this call. On a failure (negative)
 * the conn is being closed: on_closed will come, on_connect will not. */
TG_MUST_USE int tg_conn_connect(struct tg_conn *conn, struct tg_loop *loop,
    const struct tg_conn_ops *ops, const struct tg_addr *to);

/* Offer what was kept, then read on. From within on_data: takes effect when that returns. */
void tg_conn_resume(struct tg_conn *conn);

/* Stop reading until tg_conn_resume. What arrives meanwhile stays in the kernel. */
void tg_conn_pause(struct tg_conn *conn);

/* Write all parts, in order: 0, or a negative code when the connection is broken (it is not
 * closed by that, and reading may still give what the peer had sent). */
TG_MUST_USE int tg_conn_write(struct tg_conn *conn, const struct tg_str *parts, unsigned count);

static inline bool
tg_conn_drained(const struct tg_conn *conn)
{
	return conn->queued == 0;
}

/* Is it one of TLS? */
static inline bool
tg_conn_secure(const struct tg_conn *conn)
{
	return conn->tls != NULL;
}

/* The bytes that the peer has not taken yet: queued here, or in the kernel. One system call. */
uint64_t tg_conn_untaken(const struct tg_conn *conn);

/* End our side; the queue must be drained. The peer may still send. Safe twice. */
void tg_conn_shutdown(struct tg_conn *conn);

/* Is there nothing for us to read: no bytes, here or in the kernel, and no end? One system call. */
bool tg_conn_quiet(const struct tg_conn *conn);

/* Has the peer ended its side, or is the connection broken, even if there are bytes before that
 * which nobody has read? One system call; for a connection that is not being read. */
bool tg_conn_gone(const struct tg_conn *conn);

/* Safe twice, and from any callback. What is queued is lost. */
void tg_conn_close(struct tg_conn *conn);

/* Close with a reset, so that the peer can tell that what it got is not whole. */
void tg_conn_reset(struct tg_conn *conn);

#endif
