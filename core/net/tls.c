#include "net/tls.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/carrier.h"
#include "net/socket.h"

enum {
	RECORD = 16 * 1024, /* plain bytes of one, at most (RFC 8446 §5.1) */
	OUT_ROOM = 72 * 1024,
	UNASKED_MAX = 16 * 1024,
	REASON = 160,
};

/* Of one thread, made when its first connection of TLS comes. Each is in use during one call only. */
struct tg_tls_buffers {
	char plain[TG_READ_SIZE]; /* decrypted, until the consumer has taken it */
	char gathered[RECORD];    /* small parts of a write, to become one record */
	char out[OUT_ROOM];       /* encrypted, until it goes to the socket */
	size_t out_len;
};

enum asked { NOT_ASKED, ASKED, ANSWERED };

struct tg_tls {
	SSL *ssl;
	struct tg_conn *conn;
	const char *in; /* read and not decrypted yet; empty but during a call */
	size_t in_len;
	char *held; /* the same, while the handshake waits for a certificate; malloc'd or NULL */
	size_t held_len;
	bool open;          /* the handshake is done */
	bool failed;        /* OpenSSL has given it up */
	bool ending;        /* an end is to be told, once all before it was taken: */
	bool fin_later;     /* behind what is queued */
	uint8_t asked;      /* enum asked: for a certificate */
	int end_status;     /* as of on_end */
	int write_error;    /* of the socket, since the last flush */
	uint32_t unasked;   /* bytes that OpenSSL wrote by itself since all was taken */
	unsigned long code; /* OpenSSL's, of the failure */
	struct tg_deferred later;
	char reason[REASON];
};

/* --- OpenSSL's side ----------------------------------------------------------------------- */

static struct tg_tls_buffers *
buffers_of(const struct tg_tls *tls)
{
	return tls->conn->loop->tls_buffers;
}

static int
bio_read(BIO *bio, char *to, size_t room, size_t *len)
{
	struct tg_tls *tls = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*len = tls->in_len < room ? tls->in_len : room;
	if (*len == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	memcpy(to, tls->in, *len);
	tls->in += *len;
	tls->in_len -= *len;
	return 1;
}

/* What was encrypted goes to the socket. Before anybody else is called: the buffer is the thread's. */
static int
flush(struct tg_tls *tls)
{
	struct tg_tls_buffers *buffers = buffers_of(tls);
	struct tg_str out = { buffers->out, buffers->out_len };
	int err = tls->write_error;

	buffers->out_len = 0;
	tls->write_error = 0;
	if (err == 0 && out.len > 0)
		err = tg_socket_write(tls->conn, &out, 1);
	return err;
}

static int
bio_write(BIO *bio, const char *from, size_t len, size_t *written)
{
	struct tg_tls *tls = BIO_get_data(bio);
	struct tg_tls_buffers *buffers = buffers_of(tls);

	BIO_clear_retry_flags(bio);
	*written = len;
	if (len > OUT_ROOM - buffers->out_len)
		tls->write_error = flush(tls);
	if (len > OUT_ROOM || tls->write_error != 0)
		return 0;
	memcpy(buffers->out + buffers->out_len, from, len);
	buffers->out_len += len;
	return 1;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH; /* we do, when OpenSSL has said it all */
}

static BIO_METHOD *method;

static void
make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tidegate");
	if (method == NULL || BIO_meth_set_read_ex(method, bio_read) != 1 ||
	    BIO_meth_set_write_ex(method, bio_write) != 1 ||
	    BIO_meth_set_ctrl(method, bio_ctrl) != 1)
		method = NULL;
}

static BIO *
new_bio(struct tg_tls *tls)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	BIO *bio;

	pthread_once(&once, make_method);
	bio = method != NULL ? BIO_new(method) : NULL;
	if (bio == NULL)
		return NULL;
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	return bio;
}

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

/* Take down why OpenSSL gave up. */
static void
fail(struct tg_tls *tls, const char *reason)
{
	const char *text;

	tls->failed = true;
	tls->code = ERR_peek_error();
	text = ERR_reason_error_string(tls->code);
	if (ERR_GET_REASON(tls->code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		text = X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl));
	snprintf(tls->reason, sizeof(tls->reason), "%s",
	    reason != NULL     ? reason
	        : text != NULL ? text
	                       : "the connection broke");
	ERR_clear_error();
}

/* --- the handshake ------------------------------------------------------------------------ */

static void read_plain(struct tg_tls *tls);

static void
handshake_failed(struct tg_tls *tls, const char *reason, int status)
{
	struct tg_conn *conn = tls->conn;

	fail(tls, reason);
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
		read_plain(tls);
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
			handshake_failed(tls, "out of memory", UV_ENOMEM);
			return;
		}
		memcpy(tls->held, tls->in, tls->in_len);
		tls->held_len = tls->in_len;
		tls->in_len = 0;
	}
	tls->asked = ASKED;
	conn->ops->on_certificate(conn, name);
}

static void
shake(struct tg_tls *tls)
{
	int done, error, err;

	ERR_clear_error();
	done = SSL_do_handshake(tls->ssl);
	error = SSL_get_error(tls->ssl, done);
	err = flush(tls);
	if (err != 0)
		handshake_failed(tls, uv_strerror(err), err);
	else if (done == 1)
		handshake_done(tls);
	else if (error == SSL_ERROR_WANT_X509_LOOKUP)
		await_certificate(tls);
	else if (error != SSL_ERROR_WANT_READ)
		handshake_failed(tls, NULL, UV_EPROTO);
}

enum tg_tls_answer
tg_tls_ask_certificate(SSL *ssl, const char *name)
{
	struct tg_tls *tls = SSL_get_app_data(ssl);

	(void)name;
	return tls->asked == ANSWERED ? TG_TLS_GO_ON : TG_TLS_SUSPENDED;
}

void
tg_tls_certified(struct tg_conn *conn, const struct tg_tls_certificate *certificate)
{
	struct tg_tls *tls = conn->tls;

	if (tls == NULL || tls->asked != ASKED)
		return;
	tls->asked = ANSWERED;
	if (certificate != NULL) {
		SSL_certs_clear(
		    tls->ssl); /* or the default, if its key is of another kind, stays */
		if (!tg_tls_certificate_use(tls->ssl, certificate))
			tls->write_error = UV_ENOMEM; /* the handshake finds it */
	}
	tg_loop_defer(conn->loop, &tls->later);
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
	shake(tls);
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
	size_t len = buffers_of(tls)->out_len;

	(void)!flush(tls); /* writing will tell */
	if (tg_conn_drained(tls->conn))
		tls->unasked = 0;
	else
		tls->unasked += (uint32_t)len;
	return tls->unasked <= UNASKED_MAX;
}

/* Decrypt all that is there. Until all of it was offered: the rest of a read cannot stay in the
 * thread's buffer. */
static void
read_plain(struct tg_tls *tls)
{
	struct tg_conn *conn = tls->conn;
	char *plain = buffers_of(tls)->plain;
	int error = SSL_ERROR_NONE;

	ERR_clear_error();
	while (error == SSL_ERROR_NONE) {
		size_t total = 0, len = 0;

		while (total < TG_READ_SIZE && error == SSL_ERROR_NONE) {
			int ok = SSL_read_ex(tls->ssl, plain + total, TG_READ_SIZE - total, &len);

			if (ok == 1)
				total += len;
			else
				error = SSL_get_error(tls->ssl, ok);
		}
		if (!answer(tls))
			error = SSL_ERROR_SSL;
		if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ &&
		    error != SSL_ERROR_ZERO_RETURN)
			fail(tls, NULL);
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
		shake(tls);
	else
		read_plain(tls);
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
		handshake_failed(tls,
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
	char *gathered = buffers_of(tls)->gathered;
	size_t len = 0;

	for (unsigned i = 0; i < count; i++) {
		struct tg_str left = parts[i];

		while (left.len > 0) {
			size_t n = left.len < RECORD - len ? left.len : RECORD - len;

			if (len == 0 && (left.len >= RECORD || i + 1 == count)) {
				if (!encrypt(tls, left.ptr, left.len))
					return false;
				break;
			}
			memcpy(gathered + len, left.ptr, n);
			len += n;
			left.ptr += n;
			left.len -= n;
			if (len < RECORD)
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
		fail(tls, NULL);
	err = flush(tls);
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
	(void)!flush(tls);
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

static bool
make_buffers(struct tg_loop *loop)
{
	if (loop->tls_buffers == NULL)
		loop->tls_buffers = calloc(1, sizeof(struct tg_tls_buffers));
	return loop->tls_buffers != NULL;
}

int
tg_tls_start(struct tg_conn *conn, SSL *ssl)
{
	struct tg_tls *tls = calloc(1, sizeof(*tls));
	BIO *bio = tls != NULL && make_buffers(conn->loop) ? new_bio(tls) : NULL;

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
