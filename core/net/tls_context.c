#include "net/tls_context.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/tls_context_private.h"
#include "net/tls_ocsp.h"
#include "net/tls_pairs.h"
#include "net/tls_trust.h"

enum { CONTEXT_MAGIC = 0x715c, DAY_S = 24 * 60 * 60, TEXT_MAX = 1024 };

/* Mozilla's recommendations, version 5 (wiki.mozilla.org/Security/Server_Side_TLS), but for the ciphers with
 * DHE: no client that is left needs them, and they let anybody have us do costly work (CVE-2002-20001). */
static const char intermediate_ciphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
/* Theirs, too, where OpenSSL would begin with 256 bits. */
static const char default_ciphersuites[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char default_groups[] = "X25519:P-256:P-384";

static int context_index; /* of SSL's extra data; constant after: */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
free_context(struct tg_tls_context *context)
{
	SSL_CTX_free(context->ctx);
	tg_tls_names_fini(&context->names);
	if (context->ring != NULL)
		tg_tls_ring_put(context->ring);
	if (context->sessions != NULL)
		tg_tls_sessions_free(context->sessions);
	free(context->alpn);
	free(context->name);
	context->magic = 0;
	free(context);
}

struct tg_tls_context *
tg_tls_context_get(struct tg_tls_context *context)
{
	TG_CHECK(context, CONTEXT_MAGIC);
	atomic_fetch_add(&context->refs, 1);
	return context;
}

void
tg_tls_context_put(struct tg_tls_context *context)
{
	TG_CHECK(context, CONTEXT_MAGIC);
	if (atomic_fetch_sub(&context->refs, 1) == 1)
		free_context(context);
}

/* --- its connections ------------------------------------------------------------------------ */

/* The SSL is freed, and with it its reference. */
static void
on_ssl_freed(void *ssl, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	(void)ssl;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	if (ptr != NULL)
		tg_tls_context_put(ptr);
}

static void
make_index(void)
{
	context_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_ssl_freed);
	tg_assert(context_index >= 0);
}

struct tg_tls_context *
tg_tls_context_of(const SSL *ssl)
{
	return SSL_get_ex_data(ssl, context_index);
}

SSL *
tg_tls_context_open(struct tg_tls_context *context)
{
	SSL *ssl = SSL_new(context->ctx);

	if (ssl == NULL)
		return NULL;
	if (SSL_set_ex_data(ssl, context_index, tg_tls_context_get(context)) == 1)
		return ssl;
	tg_tls_context_put(context);
	SSL_free(ssl);
	return NULL;
}

/* --- what both kinds have ------------------------------------------------------------------ */

/* A copy that ends in NUL; NULL: not given, or out of memory. */
static char *
copy_of(struct tg_str text)
{
	return text.ptr != NULL ? strndup(text.ptr, text.len) : NULL;
}

/* Is one item of a list known? OpenSSL takes a list when it knows any of them. "!" and the like are for
 * taking ciphers away, "@" begins a command. */
static bool
is_known(char *item, int (*set)(SSL_CTX *, const char *))
{
	SSL_CTX *trial = SSL_CTX_new(TLS_method());
	bool known;

	item += strspn(item, "!-+");
	known = trial != NULL && (*item == '@' || set(trial, item) == 1);
	SSL_CTX_free(trial);
	(void)tg_tls_reason();
	return known;
}

static bool
check_list(struct tg_tls_loader *loader, const char *option, struct tg_str given,
    int (*set)(SSL_CTX *, const char *))
{
	char *text = copy_of(given), *rest = NULL;
	bool good = text != NULL;

	for (char *item = text; good && (item = strtok_r(item, ":, ", &rest)) != NULL; item = NULL)
		if (!is_known(item, set))
			good = tg_tls_load_fail(loader,
			    "option \"%s\": OpenSSL does not know \"%s\"; what it knows tells: "
			    "openssl %s",
			    option, item,
			    strcmp(option, "groups") == 0 ? "ecparam -list_curves"
			                                  : "ciphers -v ALL");
	free(text);
	return good;
}

/* Set one of OpenSSL's lists of names: the option's, else ours (NULL: OpenSSL's). */
static bool
set_list(struct tg_tls_loader *loader, SSL_CTX *ctx, const char *option, struct tg_str given,
    const char *ours, int (*set)(SSL_CTX *, const char *))
{
	char *text;
	bool good;

	if (given.ptr == NULL)
		return ours == NULL || set(ctx, ours) == 1;
	if (!check_list(loader, option, given, set))
		return false;
	text = copy_of(given);
	good = text != NULL && set(ctx, text) == 1;
	if (!good)
		tg_tls_load_fail(
		    loader, "option \"%s\": nothing is left of it: %s", option, tg_tls_reason());
	free(text);
	return good;
}

static int
set_groups(SSL_CTX *ctx, const char *text)
{
	return (int)SSL_CTX_set1_groups_list(ctx, text);
}

static int
set_ciphersuites(SSL_CTX *ctx, const char *text)
{
	/* Unknown ones alone leave an empty list, which is no error to OpenSSL. */
	const SSL_CIPHER *first;

	if (SSL_CTX_set_ciphersuites(ctx, text) != 1)
		return 0;
	first = sk_SSL_CIPHER_value(SSL_CTX_get_ciphers(ctx), 0);
	return first != NULL && strcmp(SSL_CIPHER_get_version(first), "TLSv1.3") == 0;
}

static bool
set_ciphers(struct tg_tls_loader *loader, SSL_CTX *ctx, const struct tg_tls_options *options)
{
	int min = options->min_version == 13 ? TLS1_3_VERSION : TLS1_2_VERSION;

	if (SSL_CTX_set_min_proto_version(ctx, min) != 1)
		return tg_tls_load_fail(loader, "OpenSSL: %s", tg_tls_reason());
	if (options->ciphers.ptr != NULL)
		SSL_CTX_set_dh_auto(ctx, 1);
	return set_list(loader, ctx, "ciphers", options->ciphers, intermediate_ciphers,
	           SSL_CTX_set_cipher_list) &&
	    set_list(loader, ctx, "ciphersuites", options->ciphersuites, default_ciphersuites,
	        set_ciphersuites) &&
	    set_list(loader, ctx, "groups", options->groups, default_groups, set_groups);
}

static void
set_modes(SSL_CTX *ctx)
{
	SSL_CTX_clear_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* Not ..._ENABLE_PARTIAL_WRITE: one call shall write all its records (net/tls.c). */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
}

static bool
set_crl(struct tg_tls_loader *loader, X509_STORE *store, const struct tg_tls_options *options,
    struct tg_str *text)
{
	time_t expires;
	char *path;
	bool good;

	if (options->crl.ptr == NULL)
		return true;
	if (!tg_tls_load_text(loader, options->crl, "the list of revoked certificates", text))
		return false;
	path = copy_of(options->crl);
	good = path != NULL &&
	    tg_tls_trust_revoke(store, *text, path, &expires, loader->error, sizeof(loader->error));
	if (good && expires >= 0 && expires <= time(NULL))
		tg_tls_load_warn(loader,
		    "%s: it has expired, so every certificate of this CA is refused; fetch a new "
		    "one",
		    path);
	free(path);
	return good;
}

/* Whom we believe. What was read is given back, for the session's context. */
static bool
set_trust(struct tg_tls_loader *loader, struct tg_tls_context *context,
    const struct tg_tls_options *options, struct tg_str texts[2])
{
	X509_STORE *store = SSL_CTX_get_cert_store(context->ctx);
	STACK_OF(X509_NAME) *names = NULL;
	char *path = copy_of(options->ca);
	bool good;

	if (options->kind == TG_TLS_SERVER)
		names = sk_X509_NAME_new_null();
	good = (options->kind == TG_TLS_CLIENT || names != NULL) && path != NULL &&
	    tg_tls_load_text(loader, options->ca, "the CA file", &texts[0]) &&
	    tg_tls_trust_add(store, names, texts[0], path, loader->error, sizeof(loader->error)) &&
	    set_crl(loader, store, options, &texts[1]);
	if (good && names != NULL)
		SSL_CTX_set_client_CA_list(context->ctx, names); /* takes them over */
	else
		sk_X509_NAME_pop_free(names, X509_NAME_free);
	if (options->depth >= 0)
		SSL_CTX_set_verify_depth(context->ctx, options->depth);
	free(path);
	return good;
}

/* Is OpenSSL content with it (its key is long enough, say)? */
static bool
check_certificates(struct tg_tls_loader *loader, const struct tg_tls_context *context)
{
	SSL *trial = SSL_new(context->ctx);
	bool good = trial != NULL;

	for (unsigned i = 0; good && i < context->names.certificate_count; i++) {
		const struct tg_tls_certificate *certificate = context->names.certificates[i];

		good = tg_tls_certificate_use(trial, certificate);
		if (!good)
			tg_tls_load_fail(loader,
			    "%s: OpenSSL refuses the certificate: %s; get a new one",
			    certificate->origin, tg_tls_reason());
	}
	SSL_free(trial);
	return good;
}

static bool
set_certificates(struct tg_tls_loader *loader, struct tg_tls_context *context,
    const struct tg_tls_options *options)
{
	for (int i = 0; i < options->pair_count; i++)
		if (!tg_tls_load_pair(loader, &options->pairs[i], &context->names))
			return false;
	if (!check_certificates(loader, context))
		return false;
	if (!tg_tls_names_sort(&context->names))
		return tg_tls_load_fail(loader, "out of memory");
	context->standard = tg_tls_names_default(&context->names);
	for (int kind = 0; kind < TG_TLS_KEYS; kind++) {
		const struct tg_tls_certificate *certificate = context->standard.by_key[kind];

		if (certificate != NULL &&
		    SSL_CTX_use_cert_and_key(context->ctx, certificate->leaf, certificate->key,
		        certificate->chain, 1) != 1)
			return tg_tls_load_fail(
			    loader, "%s: %s", certificate->origin, tg_tls_reason());
	}
	return true;
}

static struct tg_tls_context *
begin(const struct tg_tls_options *options)
{
	struct tg_tls_context *context = calloc(1, sizeof(*context));

	pthread_once(&once, make_index);
	if (context == NULL)
		return NULL;
	context->magic = CONTEXT_MAGIC;
	atomic_init(&context->refs, 1);
	context->kind = (enum tg_tls_kind)options->kind;
	context->verify = (enum tg_tls_verify)options->verify;
	context->warn_days = options->warn_days;
	context->alpn_len = (unsigned)options->alpn.len;
	context->alpn = (unsigned char *)copy_of(options->alpn);
	context->name = copy_of(options->name);
	context->ctx =
	    SSL_CTX_new(options->kind == TG_TLS_SERVER ? TLS_server_method() : TLS_client_method());
	if (context->ctx == NULL) {
		free_context(context);
		return NULL;
	}
	return context;
}

/* The known one that is just the same, counted; else the context itself. What was known keeps its sessions. */
static struct tg_tls_context *
known_or(struct tg_tls_loader *loader, struct tg_tls_context *context)
{
	for (unsigned i = 0; context->has_digest && i < loader->known_count; i++) {
		struct tg_tls_context *known = loader->known[i];

		if (known->has_digest &&
		    memcmp(known->digest, context->digest, sizeof(known->digest)) == 0) {
			tg_tls_context_put(context);
			return tg_tls_context_get(known);
		}
	}
	return context;
}

struct tg_tls_context *
tg_tls_context_new(struct tg_tls_loader *loader, const struct tg_tls_options *options)
{
	struct tg_tls_context *context = begin(options);
	bool good;

	loader->error[0] = '\0';
	if (context == NULL) {
		tg_tls_load_fail(loader, "out of memory");
		return NULL;
	}
	tg_tls_digest_begin(&loader->digest, options);
	set_modes(context->ctx);
	good = set_ciphers(loader, context->ctx, options) &&
	    set_certificates(loader, context, options) &&
	    (options->kind == TG_TLS_SERVER ? tg_tls_context_serve(loader, context, options)
	                                    : tg_tls_context_consume(loader, context, options));
	context->has_digest = tg_tls_digest_end(&loader->digest, context->digest);
	if (good) {
		tg_tls_context_warn(context, time(NULL), loader->on_warning, loader->arg);
		return known_or(loader, context);
	}
	if (loader->error[0] == '\0')
		tg_tls_load_fail(loader, "out of memory");
	tg_tls_context_put(context);
	return NULL;
}

bool
tg_tls_context_trust(struct tg_tls_loader *loader, struct tg_tls_context *context,
    const struct tg_tls_options *options, struct tg_str texts[2])
{
	return set_trust(loader, context, options, texts);
}

/* --- what is asked of one ------------------------------------------------------------------ */

unsigned
tg_tls_context_certificates(const struct tg_tls_context *context)
{
	return context->names.certificate_count;
}

const struct tg_tls_certificate *
tg_tls_context_certificate(const struct tg_tls_context *context, unsigned index)
{
	tg_assert(index < context->names.certificate_count);
	return context->names.certificates[index];
}

bool
tg_tls_context_verifies(const struct tg_tls_context *context)
{
	return context->verify != TG_TLS_VERIFY_NONE;
}

void
tg_tls_context_warn(const struct tg_tls_context *context, time_t now,
    void (*warn)(void *arg, const char *text), void *arg)
{
	char text[TEXT_MAX];

	for (unsigned i = 0; warn != NULL && i < context->names.certificate_count; i++) {
		const struct tg_tls_certificate *certificate = context->names.certificates[i];
		long days = (long)((certificate->not_after - now) / DAY_S);

		if (certificate->not_after <= now)
			snprintf(text, sizeof(text),
			    "the certificate %s has expired; get a new one", certificate->origin);
		else if (days < context->warn_days)
			snprintf(text, sizeof(text),
			    "the certificate %s expires in %ld days; renew it", certificate->origin,
			    days);
		else
			continue;
		warn(arg, text);
	}
}
