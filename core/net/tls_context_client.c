/* Contexts of backends: whom we believe to be the server, and what is resumed. */
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "net/tls_context_private.h"
#include "net/tls_pairs.h"
#include "net/tls_trust.h"

bool
tg_tls_context_consume(struct tg_tls_loader *loader, struct tg_tls_context *context,
    const struct tg_tls_options *options)
{
	struct tg_tls_options whom = *options;
	struct tg_str texts[2];
	SSL_CTX *ctx = context->ctx;

	if (options->verify != TG_TLS_VERIFY_NONE) {
		if (whom.ca.ptr == NULL)
			whom.ca = tg_str_of(tg_tls_trust_system(loader->files));
		if (whom.ca.ptr == NULL)
			return tg_tls_load_fail(loader,
			    "the system has no file of CAs to believe; install the package "
			    "ca-certificates, or name a file of CAs with the option \"ca\"");
		if (!tg_tls_context_trust(loader, context, &whom, texts))
			return false;
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	}
	/* OpenSSL gives 0 for success here, and here only. */
	if (context->alpn_len > 0 &&
	    SSL_CTX_set_alpn_protos(ctx, context->alpn, context->alpn_len) != 0)
		return false;
	context->sessions = tg_tls_sessions_new();
	SSL_CTX_set_session_cache_mode(
	    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(ctx, tg_tls_sessions_on_new);
	return context->sessions != NULL;
}

/* The name is asked for unless it is an address (RFC 6066 §3), and verified in any case. */
static bool
set_name(SSL *ssl, const char *name, bool verify)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1) {
		if (!verify)
			X509_VERIFY_PARAM_set1_ip(param, NULL, 0);
		return true;
	}
	(void)tg_tls_reason();
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(ssl, name) == 1 &&
	    (!verify || SSL_set1_host(ssl, name) == 1);
}

SSL *
tg_tls_context_connect(struct tg_tls_context *context, const char *host, const char *server)
{
	const char *name = context->name != NULL ? context->name : host;
	bool verify = context->verify != TG_TLS_VERIFY_NONE;
	SSL *ssl = tg_tls_context_open(context);

	if (ssl == NULL)
		return NULL;
	SSL_set_connect_state(ssl);
	if (set_name(ssl, name, verify) &&
	    tg_tls_sessions_join(context->sessions, ssl, server, name))
		return ssl;
	SSL_free(ssl);
	return NULL;
}
