/* The handshake, which may wait for a certificate. */
#include <openssl/err.h>
#include <stdlib.h>

#include "net/socket.h"
#include "net/tls_private.h"

void
tg_tls_shake_failed(struct tg_tls *tls, const char *reason, int status)
{
	struct tg_conn *conn = tls->conn;

	tg_tls_fail(tls, reason);
	tg_socket_read(conn, false);
	conn->ops->on_connect(conn, status);
}

static void
handshake_done(struct tg_tls *tls)
{
	struct tg_conn *conn = tls->conn;

	tls->open = true;
	conn->ops->on_connect(conn, 0);
	if (conn->closing)
		return;
	if (tls->in_len > 0)
		tg_tls_read(tls);
	if (!conn->closing && conn->paused)
		tg_socket_read(conn, false);
}

/* It goes on when there is an answer. What has come behind the hello is held until then. */
static void
await_certificate(struct tg_tls *tls)
{
	struct tg_conn *conn = tls->conn;
	const char *name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);

	tg_socket_read(conn, false);
	if (tls->in_len > 0) {
		tls->held = malloc(tls->in_len);
		if (tls->held == NULL) {
			tg_tls_shake_failed(tls, "out of memory", UV_ENOMEM);
			return;
		}
		memcpy(tls->held, tls->in, tls->in_len);
		tls->held_len = tls->in_len;
		tls->in_len = 0;
	}
	tls->asked = TG_TLS_ASKED;
	conn->ops->on_certificate(conn, name);
}

void
tg_tls_shake(struct tg_tls *tls)
{
	int done, error, err;

	ERR_clear_error();
	done = SSL_do_handshake(tls->ssl);
	error = SSL_get_error(tls->ssl, done);
	err = tg_tls_flush(tls);
	if (err != 0)
		tg_tls_shake_failed(tls, uv_strerror(err), err);
	else if (done == 1)
		handshake_done(tls);
	else if (error == SSL_ERROR_WANT_X509_LOOKUP)
		await_certificate(tls);
	else if (error != SSL_ERROR_WANT_READ)
		tg_tls_shake_failed(tls, NULL, UV_EPROTO);
}

enum tg_tls_answer
tg_tls_ask_certificate(SSL *ssl, const char *name)
{
	struct tg_tls *tls = SSL_get_app_data(ssl);

	(void)name;
	return tls->asked == TG_TLS_ANSWERED ? TG_TLS_GO_ON : TG_TLS_SUSPENDED;
}

void
tg_tls_certified(struct tg_conn *conn, const struct tg_tls_certificate *certificate)
{
	struct tg_tls *tls = conn->tls;

	if (tls == NULL || tls->asked != TG_TLS_ASKED)
		return;
	tls->asked = TG_TLS_ANSWERED;
	if (certificate != NULL) {
		/* Or the default, if its key is of another kind, stays. */
		SSL_certs_clear(tls->ssl);
		if (!tg_tls_certificate_use(tls->ssl, certificate))
			tls->write_error = UV_ENOMEM; /* the handshake finds it */
	}
	tg_loop_defer(conn->loop, &tls->later);
}
