/* What carries the bytes of a connection (conn.h), for those who carry: a socket (socket.h), TLS above one
 * (tls.h), a stream of HTTP/2. Nobody else includes this.
 */
#ifndef TG_NET_CARRIER_H
#define TG_NET_CARRIER_H

#include "net/conn.h"

struct tg_carrier {
	/* What the consumer's side asks for; see the function of that name in conn.h. `conn` is not closing. */
	void (*read)(struct tg_conn *conn, bool on); /* again what is the case already: nothing */
	void (*taken)(
	    struct tg_conn *conn, size_t len); /* the consumer took so many; NULL: no matter */
	bool (*quiet)(const struct tg_conn *conn);
	bool (*gone)(const struct tg_conn *conn);
	int (*write)(struct tg_conn *conn, const struct tg_str *parts, unsigned count);
	uint64_t (*untaken)(const struct tg_conn *conn);
	void (*shutdown)(struct tg_conn *conn); /* comes once */
	/* Comes once. tg_conn_closed follows, never from within this call. */
	void (*close)(struct tg_conn *conn, bool reset);

	/* What the socket below tells (NULL where there is none): */
	void (*connected)(struct tg_conn *conn, int status);
	void (*received)(struct tg_conn *conn, char *data, size_t len);
	void (*ended)(struct tg_conn *conn, int status);
	void (*drained)(struct tg_conn *conn);
};

/* A connection that is open, and not being read. */
void tg_conn_init(struct tg_conn *conn, struct tg_loop *loop, const struct tg_conn_ops *ops,
    const struct tg_carrier *carrier);

/* Bytes for the consumer. What it does not take is kept, and reading is turned off. When the consumer has given
 * the connection another carrier, the rest is for that. The conn may be closing after it. */
void tg_conn_offer(struct tg_conn *conn, char *data, size_t len);

/* What the consumer did not take is another's: all of it in malloc'd memory, *data NULL: there is none.
 * False: out of memory. */
TG_MUST_USE bool tg_conn_take_kept(struct tg_conn *conn, char **data, size_t *len);

/* No more comes: the peer has ended its side (0), or the connection is broken (negative). */
void tg_conn_end(struct tg_conn *conn, int status);

/* What was queued could not be written, and nobody reads. */
void tg_conn_write_failed(struct tg_conn *conn, int status);

/* The last word: the consumer may free the connection. */
void tg_conn_closed(struct tg_conn *conn);

#endif
