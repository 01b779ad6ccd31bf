/* The inside of a context, for the files tls_context*.c. */
#ifndef TG_NET_TLS_CONTEXT_PRIVATE_H
#define TG_NET_TLS_CONTEXT_PRIVATE_H

#include <stdatomic.h>

#include "net/tls_context.h"
#include "net/tls_names.h"
#include "net/tls_sessions.h"

struct tg_tls_context {
	uint32_t magic;
	atomic_uint refs; /* any thread */
	SSL_CTX *ctx;     /* counted */
	enum tg_tls_kind kind;
	enum tg_tls_verify verify;
	int warn_days;
	bool has_digest;
	unsigned char digest[TG_TLS_DIGEST];
	struct tg_tls_names names;
	struct tg_tls_choice standard; /* for whom no other certificate is */
	unsigned char *alpn;           /* as on the wire; NULL: none */
	unsigned alpn_len;

	/* Server */
	bool strict;
	tg_tls_certificate_fn on_certificate; /* NULL: none */
	struct tg_tls_ring *ring;             /* counted; NULL: no tickets */

	/* Client */
	char *name; /* NULL: that of the server */
	struct tg_tls_sessions *sessions;
};

/* A connection, which holds its context; NULL: out of memory. And back again. */
TG_MUST_USE SSL *tg_tls_context_open(struct tg_tls_context *context);
struct tg_tls_context *tg_tls_context_of(const SSL *ssl);

/* What is a server's, or a client's, only. False: loader->error; empty: out of memory. */
TG_MUST_USE bool tg_tls_context_serve(struct tg_tls_loader *loader, struct tg_tls_context *context,
    const struct tg_tls_options *options);
TG_MUST_USE bool tg_tls_context_consume(struct tg_tls_loader *loader,
    struct tg_tls_context *context, const struct tg_tls_options *options);

/* Believe the CAs of options->ca, but not what options->crl has revoked; what was read is in `texts`. */
TG_MUST_USE bool tg_tls_context_trust(struct tg_tls_loader *loader, struct tg_tls_context *context,
    const struct tg_tls_options *options, struct tg_str texts[2]);

#endif
