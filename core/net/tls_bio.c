/* Between OpenSSL and the socket: a BIO that reads what was received, and writes into the thread's buffer. */
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/socket.h"
#include "net/tls_private.h"

bool
tg_tls_make_buffers(struct tg_loop *loop)
{
	if (loop->tls_buffers == NULL)
		loop->tls_buffers = calloc(1, sizeof(struct tg_tls_buffers));
	return loop->tls_buffers != NULL;
}

struct tg_tls_buffers *
tg_tls_buffers_of(const struct tg_tls *tls)
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

int
tg_tls_flush(struct tg_tls *tls)
{
	struct tg_tls_buffers *buffers = tg_tls_buffers_of(tls);
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
	struct tg_tls_buffers *buffers = tg_tls_buffers_of(tls);

	BIO_clear_retry_flags(bio);
	*written = len;
	if (len > TG_TLS_OUT_ROOM - buffers->out_len)
		tls->write_error = tg_tls_flush(tls);
	if (len > TG_TLS_OUT_ROOM || tls->write_error != 0)
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

BIO *
tg_tls_bio(struct tg_tls *tls)
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

void
tg_tls_fail(struct tg_tls *tls, const char *reason)
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
