/* Contexts of listeners: who gets which certificate, what is resumed, whose certificate is asked for. */
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/tls_context_private.h"
#include "net/tls_ocsp.h"
#include "net/tls_pairs.h"

/* --- handshakes, any thread ---------------------------------------------------------------- */

static bool
same_choice(const struct tg_tls_choice *a, const struct tg_tls_choice *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool
use_choice(SSL *ssl, const struct tg_tls_choice *choice)
{
	SSL_certs_clear(ssl);
	for (int kind = 0; kind < TG_TLS_KEYS; kind++)
		if (choice->by_key[kind] != NULL &&
		    !tg_tls_certificate_use(ssl, choice->by_key[kind]))
			return false;
	return true;
}

static bool
is_standard(const struct tg_tls_context *context, const X509 *leaf)
{
	for (int kind = 0; kind < TG_TLS_KEYS; kind++)
		if (context->standard.by_key[kind] != NULL &&
		    context->standard.by_key[kind]->leaf == leaf)
			return true;
	return false;
}

/* SSL_CTX_set_cert_cb: 1 goes on, 0 ends the handshake, negative suspends it. */
static int
on_certificate(SSL *ssl, void *arg)
{
	const struct tg_tls_context *context = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	bool has_default = context->names.certificate_count > 0;
	struct tg_tls_choice choice;

	if (name != NULL && tg_tls_names_find(&context->names, name, &choice))
		return same_choice(&choice, &context->standard) || use_choice(ssl, &choice);
	if (context->on_certificate != NULL && (name != NULL || !has_default)) {
		enum tg_tls_answer answer = context->on_certificate(ssl, name);

		if (answer != TG_TLS_GO_ON)
			return answer;
	}
	if (context->strict && is_standard(context, SSL_get_certificate(ssl)))
		return 0;
	return SSL_get_certificate(ssl) != NULL; /* the default, or what was just given */
}

/* RFC 6066 §3: a name that is accepted is acknowledged, and belongs to the session. */
static int
on_name(SSL *ssl, int *alert, void *arg)
{
	const struct tg_tls_context *context = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct tg_tls_choice choice;

	if (!context->strict || context->on_certificate != NULL)
		return SSL_TLSEXT_ERR_OK;
	if (name != NULL && tg_tls_names_find(&context->names, name, &choice))
		return SSL_TLSEXT_ERR_OK;
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* RFC 7301 §3.2: our order decides; nothing in common is an alert, not another protocol. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *theirs,
    unsigned theirs_len, void *arg)
{
	const struct tg_tls_context *context = arg;
	unsigned char *chosen;

	(void)ssl;
	if (SSL_select_next_proto(&chosen, out_len, context->alpn, context->alpn_len, theirs,
	        theirs_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static int
on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int encrypt)
{
	const struct tg_tls_context *context = tg_tls_context_of(ssl);

	return tg_tls_ring_use(context->ring, name, iv, cipher, mac, encrypt != 0);
}

/* The name in a client's first message, from its bytes (RFC 6066 §3), because OpenSSL has not read it yet when
 * it decrypts the ticket; ptr NULL: none. */
static struct tg_str
asked_name(SSL *ssl)
{
	struct tg_str none = { NULL, 0 };
	const unsigned char *bytes;
	size_t len, name;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &len) != 1 || len < 5 ||
	    bytes[2] != TLSEXT_NAMETYPE_host_name)
		return none;
	name = (size_t)bytes[3] << 8 | bytes[4];
	return name <= len - 5 ? (struct tg_str){ (const char *)bytes + 5, name } : none;
}

/* Before TLS 1.3 a session belongs to the name that it was made for (RFC 6066 §3); a ticket of another
 * name leads to a full handshake. */
static SSL_TICKET_RETURN
on_ticket_read(SSL *ssl, SSL_SESSION *session, const unsigned char *key, size_t len,
    SSL_TICKET_STATUS status, void *arg)
{
	(void)key;
	(void)len;
	(void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (SSL_version(ssl) < TLS1_3_VERSION &&
	    !tg_str_ieq(asked_name(ssl), tg_str_of(SSL_SESSION_get0_hostname(session))))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* Any certificate is taken; what is wrong with it is kept as the result of the verification. */
static int
take_any(int good, X509_STORE_CTX *store)
{
	(void)good;
	(void)store;
	return 1;
}

/* --- building ------------------------------------------------------------------------------ */

static bool
load_tickets(struct tg_tls_loader *loader, struct tg_tls_context *context,
    const struct tg_tls_options *options)
{
	struct tg_str keys[TG_TLS_TICKET_KEYS];
	int count = options->ticket_file_count;

	if (count > TG_TLS_TICKET_KEYS)
		return tg_tls_load_fail(loader,
		    "there are %d files of ticket keys; %d are the most", count,
		    TG_TLS_TICKET_KEYS);
	for (int i = 0; i < count; i++) {
		const struct tg_str *path = &options->ticket_files[i];

		if (!tg_tls_load_text(loader, *path, "the ticket key", &keys[i]))
			return false;
		if (keys[i].len != TG_TLS_TICKET_BYTES)
			return tg_tls_load_fail(loader,
			    "the ticket key %.*s has %zu bytes, but must have %d; make one with: "
			    "openssl "
			    "rand -out %.*s %d",
			    (int)path->len, path->ptr, keys[i].len, TG_TLS_TICKET_BYTES,
			    (int)path->len, path->ptr, TG_TLS_TICKET_BYTES);
	}
	context->ring = count > 0 ? tg_tls_ring_of(keys, (unsigned)count)
	                          : tg_tls_rings_find(loader->rings, (uint32_t)options->rotate_s,
	                                (uint32_t)options->lifetime_s);
	return context->ring != NULL;
}

static bool
set_sessions(struct tg_tls_loader *loader, struct tg_tls_context *context,
    const struct tg_tls_options *options)
{
	SSL_CTX *ctx = context->ctx;

	SSL_CTX_set_timeout(ctx, options->lifetime_s);
	SSL_CTX_set_max_early_data(ctx, 0); /* it can be replayed (RFC 8446 §8) */
	SSL_CTX_set_recv_max_early_data(ctx, 0);
	SSL_CTX_set_session_cache_mode(
	    ctx, options->cache > 0 ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
	if (options->cache > 0)
		SSL_CTX_sess_set_cache_size(ctx, options->cache);
	if (!options->tickets) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		return options->cache > 0 || SSL_CTX_set_num_tickets(ctx, 0) == 1;
	}
	return load_tickets(loader, context, options) &&
	    SSL_CTX_set_session_ticket_cb(ctx, NULL, on_ticket_read, NULL) == 1 &&
	    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1;
}

static void
hash_text(EVP_MD_CTX *hash, struct tg_str text)
{
	EVP_DigestUpdate(hash, &text.len, sizeof(text.len));
	EVP_DigestUpdate(hash, text.ptr != NULL ? text.ptr : "", text.len);
}

/* A session is resumed only where the client would have been looked at in the same way: two listeners,
 * or two machines, may have the same keys of tickets, but not the same CAs. */
static bool
set_session_context(struct tg_tls_context *context, const struct tg_tls_options *options,
    const struct tg_str texts[2])
{
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;
	bool good = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;

	if (good) {
		EVP_DigestUpdate(hash, &options->verify, sizeof(options->verify));
		EVP_DigestUpdate(hash, &options->depth, sizeof(options->depth));
		hash_text(hash, texts[0]);
		hash_text(hash, texts[1]);
		good = EVP_DigestFinal_ex(hash, digest, &len) == 1 &&
		    SSL_CTX_set_session_id_context(context->ctx, digest, SSL_MAX_SID_CTX_LENGTH) ==
		        1;
	}
	EVP_MD_CTX_free(hash);
	return good;
}

static bool
set_clients(struct tg_tls_loader *loader, struct tg_tls_context *context,
    const struct tg_tls_options *options)
{
	struct tg_str texts[2] = { { NULL, 0 }, { NULL, 0 } };

	if (options->ca.ptr != NULL && !tg_tls_context_trust(loader, context, options, texts))
		return false;
	if (options->verify == TG_TLS_VERIFY_REQUEST)
		SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, take_any);
	if (options->verify == TG_TLS_VERIFY_OPTIONAL)
		SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
	if (options->verify == TG_TLS_VERIFY_REQUIRED)
		SSL_CTX_set_verify(
		    context->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return set_session_context(context, options, texts);
}

bool
tg_tls_context_serve(struct tg_tls_loader *loader, struct tg_tls_context *context,
    const struct tg_tls_options *options)
{
	SSL_CTX *ctx = context->ctx;

	context->strict = options->strict != 0;
	if (options->has_certificate)
		context->on_certificate = loader->on_certificate;
	if (context->names.certificate_count == 0 && !options->has_certificate)
		return tg_tls_load_fail(loader, "there is no certificate");
	if (options->prefer)
		SSL_CTX_set_options(
		    ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_cert_cb(ctx, on_certificate, context);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, context);
	SSL_CTX_set_tlsext_status_cb(ctx, tg_tls_ocsp_staple);
	if (context->alpn_len > 0)
		SSL_CTX_set_alpn_select_cb(ctx, on_alpn, context);
	return set_clients(loader, context, options) && set_sessions(loader, context, options);
}

SSL *
tg_tls_context_accept(struct tg_tls_context *context)
{
	SSL *ssl = tg_tls_context_open(context);

	if (ssl != NULL)
		SSL_set_accept_state(ssl);
	return ssl;
}
