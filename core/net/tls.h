/* TLS above a socket, as the carrier of a connection (conn.h): from tg_tls_start on its consumer sees
 * plain bytes, and conn->queued counts encrypted ones. What is set up before a connection comes,
 * certificates and the like, is tls_context.h.
 *
 * OpenSSL never touches the socket. All that was read is handed to it at once, and all that it
 * decrypts is offered as one piece, in a buffer of the thread; all that one call writes goes out in
 * one system call. Rejected: SSL_set_fd, a system call for every record of 16 KiB. So an idle
 * connection holds the SSL object alone.
 *
 * An end without a close_notify is a broken connection: somebody may have cut it (RFC 8446 §6.1).
 */
#ifndef TG_NET_TLS_H
#define TG_NET_TLS_H

#include <openssl/ssl.h>

#include "net/conn.h"
#include "net/tls_certificate.h"
#include "net/tls_context.h"

/* From now on the bytes of the connection, which is there and drained, are those of `ssl`, which is taken
 * over. The handshake begins, whether or not the consumer reads, but not within this call.
 * ops->on_connect tells when it is done, and nothing else is told before. Called from within on_data,
 * what that leaves is the first of the handshake. Negative: out of memory; the SSL is freed. */
TG_MUST_USE int tg_tls_start(struct tg_conn *conn, SSL *ssl);

/* Of a connection of TLS that is not closing. */
SSL *tg_tls_ssl(const struct tg_conn *conn);

/* Why the handshake failed: a text for the log, valid until the connection is closed. */
const char *tg_tls_failure(const struct tg_conn *conn);

/* The client spoke HTTP where TLS was expected: */
bool tg_tls_heard_http(const struct tg_conn *conn);
/* and is told so, in plain bytes. After the handshake has failed. */
void tg_tls_say(struct tg_conn *conn, struct tg_str text);

/* What a context of a listener whose certificates are looked up is given (tls_context.h): the connection's
 * ops->on_certificate is asked. */
enum tg_tls_answer tg_tls_ask_certificate(SSL *ssl, const char *name);

/* The answer of ops->on_certificate: `certificate` (the caller's), or NULL for the default. The
 * handshake goes on, but never from within this call. Harmless when nobody has asked. */
void tg_tls_certified(struct tg_conn *conn, const struct tg_tls_certificate *certificate);

#endif
