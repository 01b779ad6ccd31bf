/* A TCP or UNIX socket, by libuv, as the carrier of a connection; and for carriers that stand above one
 * (TLS), the same functions with the socket's own bytes. tg_conn_accept and tg_conn_connect (conn.h) make it.
 */
#ifndef TG_NET_SOCKET_H
#define TG_NET_SOCKET_H

#include "net/conn.h"

/* Read, or not; what comes goes to conn->carrier->received and ->ended. */
void tg_socket_read(struct tg_conn *conn, bool on);

/* Nothing to read, in the kernel, not even an end? */
bool tg_socket_quiet(const struct tg_conn *conn);

/* Has the peer ended its side, whatever is before that? */
bool tg_socket_gone(const struct tg_conn *conn);

/* Written at once as far as the kernel takes it, else copied and queued: 0 or a negative code. Of these bytes
 * conn->queued counts. Then conn->carrier->drained, once all are out. */
TG_MUST_USE int tg_socket_write(struct tg_conn *conn, const struct tg_str *parts, unsigned count);

uint64_t tg_socket_untaken(const struct tg_conn *conn);
void tg_socket_shutdown(struct tg_conn *conn);
void tg_socket_close(struct tg_conn *conn, bool reset);

#endif
