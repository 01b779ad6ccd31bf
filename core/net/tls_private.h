/* The inside of a connection of TLS, for the files tls.c, tls_handshake.c and tls_bio.c. */
#ifndef TG_NET_TLS_PRIVATE_H
#define TG_NET_TLS_PRIVATE_H

#include "net/tls.h"

enum {
	TG_TLS_RECORD = 16 * 1024, /* plain bytes of one, at most (RFC 8446 §5.1) */
	TG_TLS_OUT_ROOM = 72 * 1024,
	TG_TLS_REASON = 160,
};

/* Of one thread, made when its first connection of TLS comes. Each is in use during one call only. */
struct tg_tls_buffers {
	char plain[TG_READ_BULK];     /* decrypted, until the consumer has taken it */
	char gathered[TG_TLS_RECORD]; /* small parts of a write, to become one record */
	char out[TG_TLS_OUT_ROOM];    /* encrypted, until it goes to the socket */
	size_t out_len;
};

enum tg_tls_asked { TG_TLS_NOT_ASKED, TG_TLS_ASKED, TG_TLS_ANSWERED };

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
	uint8_t asked;      /* enum tg_tls_asked: for a certificate */
	int end_status;     /* as of on_end */
	int write_error;    /* of the socket, since the last flush */
	uint32_t unasked;   /* bytes that OpenSSL wrote by itself since all was taken */
	unsigned long code; /* OpenSSL's, of the failure */
	struct tg_deferred later;
	char reason[TG_TLS_REASON];
};

/* False: out of memory. */
TG_MUST_USE bool tg_tls_make_buffers(struct tg_loop *loop);
struct tg_tls_buffers *tg_tls_buffers_of(const struct tg_tls *tls);

/* What OpenSSL reads from and writes to. NULL: out of memory. */
TG_MUST_USE BIO *tg_tls_bio(struct tg_tls *tls);

/* What was encrypted goes to the socket. Before anybody else is called: the buffer is the thread's. */
TG_MUST_USE int tg_tls_flush(struct tg_tls *tls);

/* Take down why OpenSSL gave up; NULL: it knows. */
void tg_tls_fail(struct tg_tls *tls, const char *reason);

/* Go on with the handshake; it has failed. */
void tg_tls_shake(struct tg_tls *tls);
void tg_tls_shake_failed(struct tg_tls *tls, const char *reason, int status);

/* Decrypt all that is there, and offer it. */
void tg_tls_read(struct tg_tls *tls);

#endif
