#include "net/tls.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "net/carrier.h"
#include "net/socket.h"
#include "net/tls_private.h"

enum { UNASKED_MAX = 16 * 1024 };

/* --- ends --------------------------------------------------------------------------------- */

/* Unless the consumer has to take something first, or does not want to know. */
static void
tell_end(struct tg_tls *tls)
{
	struct tg_conn *conn = tls->conn;

	if (!conn->paused && conn->kept == NULL)
		tg_conn_end(conn, tls->end_status);
}

/* No more comes. */
static void
end(struct tg_tls *tls, int status)
{
	tls->ending = true;
	tls->end_status = status;
	tg_socket_read(tls->conn, false);
	tell_end(tls);
}

/* There is a certificate, or an end to tell, or the handshake with a server to begin. */
static void
on_later(struct tg_deferred *later)
{
	struct tg_tls *tls = tg_container_of(later, struct tg_tls, later);
	struct tg_conn *conn = tls->conn;
	char *held = tls->held;

	if (tls->ending) {
		tell_end(tls);
		return;
	}
	if (tls->open || tls->failed)
		return;
	tls->in = held;
	tls->in_len = tls->held_len;
	tls->held = NULL;
	tg_socket_read(conn, true);
	tg_tls_shake(tls);
	if (!conn->closing)
		tls->in_len = 0;
	free(held);
}

/* --- reading ------------------------------------------------------------------------------ */

/* OpenSSL's answer to the peer's own business. A peer that wants new keys on and on (RFC 8446 §4.6.3), or to
 * negotiate anew, and takes no answer, would have us keep them all. False: it does. */
static bool
answer(struct tg_tls *tls)
{
	size_t len = tg_tls_buffers_of(tls)->out_len;

	(void)!tg_tls_flush(tls); /* writing will tell */
	if (tg_conn_drained(tls->conn))
		tls->unasked = 0;
	else
		tls->unasked += (uint32_t)len;
	return tls->unasked <= UNASKED_MAX;
}

/* Decrypt all that is there. Until all of it was offered: the rest of a read cannot stay in the
 * thread's buffer. */
void
tg_tls_read(struct tg_tls *tls)
{
	struct tg_conn *conn = tls->conn;
	char *plain = tg_tls_buffers_of(tls)->plain;
	int error = SSL_ERROR_NONE;

	ERR_clear_error();
	while (error == SSL_ERROR_NONE) {
		size_t total = 0, len = 0;

		while (total < TG_READ_BULK && error == SSL_ERROR_NONE) {
			int ok = SSL_read_ex(tls->ssl, plain + total, TG_READ_BULK - total, &len);

			if (ok == 1)
				total += len;
			else
				error = SSL_get_error(tls->ssl, ok);
		}
		if (!answer(tls))
			error = SSL_ERROR_SSL;
		if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ &&
		    error != SSL_ERROR_ZERO_RETURN)
			tg_tls_fail(tls, NULL);
		if (total > 0)
			tg_conn_offer(conn, plain, total);
		if (conn->closing)
			return;
	}
	if (error == SSL_ERROR_ZERO_RETURN)
		end(tls, 0);
	else if (error != SSL_ERROR_WANT_READ)
		end(tls, UV_EPROTO);
}

static void
received(struct tg_conn *conn, char *data, size_t len)
{
	struct tg_tls *tls = conn->tls;

	tls->in = data;
	tls->in_len = len;
	if (!tls->open)
		tg_tls_shake(tls);
	else
		tg_tls_read(tls);
	if (!conn->closing)
		tls->in_len = 0; /* of a connection that has failed or ended */
}

static void
ended(struct tg_conn *conn, int status)
{
	struct tg_tls *tls = conn->tls;

	if (tls->open)
		end(tls, status != 0 ? status : UV_ECONNABORTED);
	else
		tg_tls_shake_failed(tls,
		    status == 0 ? "the peer closed the connection" : uv_strerror(status),
		    status != 0 ? status : UV_ECONNRESET);
}

static void
read_on(struct tg_conn *conn, bool on)
{
	struct tg_tls *tls = conn->tls;

	if (on && tls->ending)
		tg_loop_defer(conn->loop, &tls->later); /* who resumes does not expect it yet */
	else if (tls->open && !tls->failed)
		tg_socket_read(conn, on);
}

static bool
quiet(const struct tg_conn *conn)
{
	return !conn->tls->ending && SSL_has_pending(conn->tls->ssl) == 0 && tg_socket_quiet(conn);
}

/* --- writing ------------------------------------------------------------------------------ */

static bool
encrypt(struct tg_tls *tls, const char *from, size_t len)
{
	size_t written;

	return len == 0 || (SSL_write_ex(tls->ssl, from, len, &written) == 1 && written == len);
}

/* Small parts become one record, a long one is not copied. */
static bool
encrypt_all(struct tg_tls *tls, const struct tg_str *parts, unsigned count)
{
	char *gathered = tg_tls_buffers_of(tls)->gathered;
	size_t len = 0;

	for (unsigned i = 0; i < count; i++) {
		struct tg_str left = parts[i];

		while (left.len > 0) {
			size_t n = left.len < TG_TLS_RECORD - len ? left.len : TG_TLS_RECORD - len;

			if (len == 0 && (left.len >= TG_TLS_RECORD || i + 1 == count)) {
				if (!encrypt(tls, left.ptr, left.len))
					return false;
				break;
			}
			memcpy(gathered + len, left.ptr, n);
			len += n;
			left.ptr += n;
			left.len -= n;
			if (len < TG_TLS_RECORD)
				continue;
			if (!encrypt(tls, gathered, len))
				return false;
			len = 0;
		}
	}
	return encrypt(tls, gathered, len);
}

static int
write_parts(struct tg_conn *conn, const struct tg_str *parts, unsigned count)
{
	struct tg_tls *tls = conn->tls;
	bool encrypted;
	int err;

	if (!tls->open || tls->failed || conn->shut)
		return UV_EPIPE;
	ERR_clear_error();
	encrypted = encrypt_all(tls, parts, count);
	if (!encrypted)
		tg_tls_fail(tls, NULL);
	err = tg_tls_flush(tls);
	return err == 0 && !encrypted ? UV_EPROTO : err;
}

/* Say that no more comes from us (RFC 8446 §6.1). */
static void
notify(struct tg_tls *tls)
{
	if (!tls->open || tls->failed)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(tls->ssl);
	(void)!tg_tls_flush(tls);
	ERR_clear_error();
}

static void
shut(struct tg_conn *conn)
{
	notify(conn->tls);
	if (tg_conn_drained(conn))
		tg_socket_shutdown(conn);
	else
		conn->tls->fin_later = true;
}

static void
drained(struct tg_conn *conn)
{
	if (conn->tls->fin_later)
		tg_socket_shutdown(conn);
	conn->tls->fin_later = false;
	if (conn->tls->open)
		conn->ops->on_drain(conn);
}

/* --- open and close ----------------------------------------------------------------------- */

static void
close_tls(struct tg_conn *conn, bool reset)
{
	struct tg_tls *tls = conn->tls;

	/* Who is told that this is the end must have got all that was before it. */
	if (!reset && !conn->shut && tg_conn_drained(conn))
		notify(tls);
	SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN); /* or the session could not be resumed */
	tg_deferred_cancel(&tls->later);
	SSL_free(tls->ssl);
	free(tls->held);
	free(tls);
	conn->tls = NULL;
	tg_socket_close(conn, reset);
}

static const struct tg_carrier carrier = {
	.read = read_on,
	.quiet = quiet,
	.gone = tg_socket_gone,
	.write = write_parts,
	.untaken = tg_socket_untaken,
	.shutdown = shut,
	.close = close_tls,
	.received = received,
	.ended = ended,
	.drained = drained,
};

int
tg_tls_start(struct tg_conn *conn, SSL *ssl)
{
	struct tg_tls *tls = calloc(1, sizeof(*tls));
	BIO *bio = tls != NULL && tg_tls_make_buffers(conn->loop) ? tg_tls_bio(tls) : NULL;

	tg_assert(conn->tls == NULL);
	if (bio == NULL || !tg_conn_take_kept(conn, &tls->held, &tls->held_len)) {
		BIO_free(bio);
		free(tls);
		SSL_free(ssl);
		return UV_ENOMEM;
	}
	tls->ssl = ssl;
	tls->conn = conn;
	tg_deferred_init(&tls->later, on_later);
	SSL_set_app_data(ssl, tls);
	SSL_set_bio(ssl, bio, bio);
	conn->tls = tls;
	conn->carrier = &carrier;
	if (SSL_is_server(ssl))
		tg_socket_read(conn, true);
	if (!SSL_is_server(ssl) || tls->held != NULL)
		tg_loop_defer(conn->loop, &tls->later);
	return 0;
}

SSL *
tg_tls_ssl(const struct tg_conn *conn)
{
	return conn->tls->ssl;
}

const char *
tg_tls_failure(const struct tg_conn *conn)
{
	return conn->tls->reason;
}

bool
tg_tls_heard_http(const struct tg_conn *conn)
{
	return ERR_GET_REASON(conn->tls->code) == SSL_R_HTTP_REQUEST;
}

void
tg_tls_say(struct tg_conn *conn, struct tg_str text)
{
	(void)!tg_socket_write(conn, &text, 1);
}
