/* Certificates made on the spot, and two ends of a TLS connection that talk through memory. */
#ifndef TLS_FIXTURE_H
#define TLS_FIXTURE_H

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/tls_context.h"
#include "net/tls_facts.h"

enum { DAY = 24 * 60 * 60 };

static char folder[] = "/tmp/tidegate-tls.XXXXXX";

/* --- certificates ------------------------------------------------------------------------- */

struct pair {
	X509 *cert;
	EVP_PKEY *key;
};

static struct pair root; /* the CA */

static X509 *
make_cert(
    EVP_PKEY *key, const struct pair *issuer, const char *cn, const char *sans, int from, int to)
{
	X509 *cert = X509_new();
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	X509_NAME *name = X509_get_subject_name(cert);
	unsigned char bytes[8];
	X509V3_CTX ctx;

	RAND_bytes(bytes, sizeof(bytes));
	bytes[0] = (bytes[0] & 0x7f) | 1;
	ASN1_STRING_set(serial, bytes, sizeof(bytes));
	X509_set_serialNumber(cert, serial);
	ASN1_INTEGER_free(serial);
	X509_set_version(cert, 2);
	X509_gmtime_adj(X509_getm_notBefore(cert), (long)from * DAY);
	X509_gmtime_adj(X509_getm_notAfter(cert), (long)to * DAY);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(cert, issuer != NULL ? X509_get_subject_name(issuer->cert) : name);
	X509V3_set_ctx(&ctx, issuer != NULL ? issuer->cert : cert, cert, NULL, NULL, 0);
	const char *const extensions[][2] = {
		{ "basicConstraints", issuer != NULL ? "CA:FALSE" : "critical,CA:TRUE" },
		{ "subjectAltName", sans },
	};
	for (int i = 0; i < 2; i++) {
		X509_EXTENSION *extension = extensions[i][1] != NULL
		    ? X509V3_EXT_conf(NULL, &ctx, extensions[i][0], extensions[i][1])
		    : NULL;

		if (extension != NULL)
			X509_add_ext(cert, extension, -1);
		X509_EXTENSION_free(extension);
	}
	assert_true(X509_sign(cert, issuer != NULL ? issuer->key : key, EVP_sha256()) > 0);
	return cert;
}

static EVP_PKEY *
make_key(bool rsa)
{
	EVP_PKEY *key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");

	assert_non_null(key);
	return key;
}

static struct pair
make_pair(bool rsa, const char *cn, const char *sans, int from, int to)
{
	struct pair pair = { NULL, make_key(rsa) };

	pair.cert = make_cert(pair.key, &root, cn, sans, from, to);
	return pair;
}

static void
free_pair(struct pair *pair)
{
	X509_free(pair->cert);
	EVP_PKEY_free(pair->key);
}

/* --- files -------------------------------------------------------------------------------- */

/* A path in the test's directory; static memory, a few at once. */
static const char *
at(const char *name)
{
	static char paths[16][128];
	static unsigned next;
	char *path = paths[next++ % 16];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static inline void
write_bytes(const char *name, const void *bytes, size_t len)
{
	FILE *file = fopen(at(name), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

/* The certificate (and the CA's, as its chain, if it is from there), and its key where `key` is. */
static void
write_pair(const char *name, const struct pair *pair, bool key)
{
	FILE *file = fopen(at(name), "w");

	assert_non_null(file);
	if (pair->cert != NULL)
		PEM_write_X509(file, pair->cert);
	if (pair->cert != NULL && X509_check_issued(root.cert, pair->cert) == X509_V_OK)
		PEM_write_X509(file, root.cert);
	if (key)
		PEM_write_PrivateKey(file, pair->key, NULL, NULL, 0, NULL, NULL);
	assert_int_equal(fclose(file), 0);
}

/* --- contexts ----------------------------------------------------------------------------- */

static struct tg_tls_files *files;
static struct tg_tls_rings *rings;
static char warnings[4096]; /* of the last load */
static struct tg_tls_loader loader;

static void
on_warning(void *arg, const char *text)
{
	size_t len = strlen(warnings);

	snprintf(warnings + len, sizeof(warnings) - len, "%s\n", text);
}

static struct tg_tls_options
options_of(int kind)
{
	return (struct tg_tls_options){
		.kind = kind,
		.min_version = 12,
		.depth = -1,
		.warn_days = 14,
		.verify = kind == TG_TLS_CLIENT ? TG_TLS_VERIFY_REQUIRED : TG_TLS_VERIFY_NONE,
		.tickets = 1,
		.cache = 100,
		.lifetime_s = 3600,
		.rotate_s = 3600,
	};
}

/* As a load that is good or not. */
static struct tg_tls_context *
load(const struct tg_tls_options *options)
{
	struct tg_tls_context *context;

	warnings[0] = '\0';
	loader.files = files;
	loader.rings = rings;
	loader.on_warning = on_warning;
	context = tg_tls_context_new(&loader, options);
	if (context != NULL)
		tg_tls_files_keep(files);
	else
		tg_tls_files_drop(files);
	assert_int_equal(ERR_peek_error(), 0); /* nothing is left for others to stumble upon */
	return context;
}

static struct tg_tls_context *
must_load(const struct tg_tls_options *options)
{
	struct tg_tls_context *context = load(options);

	if (context == NULL)
		fail_msg("%s", loader.error);
	return context;
}

static inline struct tg_tls_pair
pair_at(const char *cert, const char *key)
{
	return (struct tg_tls_pair){ tg_str_of(at(cert)),
		key != NULL ? tg_str_of(at(key)) : (struct tg_str){ NULL, 0 }, { NULL, 0 } };
}

/* A listener with these certificates, which lie in files with their keys. */
static struct tg_tls_context *
listener(struct tg_tls_options *options, unsigned count, const char *const *names)
{
	struct tg_tls_pair list[8];

	for (unsigned i = 0; i < count; i++)
		list[i] = pair_at(names[i], NULL);
	options->pairs = list;
	options->pair_count = (int)count;
	return must_load(options);
}

/* --- connections -------------------------------------------------------------------------- */

struct link {
	SSL *server, *client;
	bool good;       /* both ends have ended their handshake */
	int client_code; /* of SSL_get_error, when not good */
	int server_code;
	int client_reason, server_reason; /* of OpenSSL's errors */
};

/* SSL_do_handshake: 1: done, 0: goes on, -1: failed. */
static inline int
step(SSL *ssl, int *code, int *reason)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(ssl);
	*code = SSL_get_error(ssl, result);
	if (result == 1)
		return 1;
	*reason = ERR_GET_REASON(ERR_peek_last_error());
	ERR_clear_error();
	return *code == SSL_ERROR_WANT_READ || *code == SSL_ERROR_WANT_WRITE ||
	        *code == SSL_ERROR_WANT_X509_LOOKUP
	    ? 0
	    : -1;
}

/* Let the two talk until neither has more to say. */
static inline void
talk(struct link *link)
{
	int server = 0, client = 0, result;
	char byte;

	for (int i = 0; i < 50 && (server == 0 || client == 0); i++) {
		if (client == 0)
			client = step(link->client, &link->client_code, &link->client_reason);
		if (server == 0)
			server = step(link->server, &link->server_code, &link->server_reason);
		if (client < 0 && server < 0)
			break;
	}
	link->good = server == 1 && client == 1;
	if (client != 1)
		return;
	/* Tickets of TLS 1.3, or the refusal of a certificate, come behind the handshake. */
	ERR_clear_error();
	result = SSL_read(link->client, &byte, 1);
	if (SSL_get_error(link->client, result) == SSL_ERROR_SSL) {
		link->client_reason = ERR_GET_REASON(ERR_peek_last_error());
		link->good = false;
	}
	ERR_clear_error();
}

static inline struct link
join(SSL *server, SSL *client)
{
	struct link link = { server, client, .good = false };
	BIO *a, *b;

	assert_int_equal(BIO_new_bio_pair(&a, 1 << 17, &b, 1 << 17), 1);
	SSL_set_bio(server, a, a);
	SSL_set_bio(client, b, b);
	talk(&link);
	return link;
}

/* A client that believes anybody, to be made pickier. */
static inline SSL *
any_client(const char *name)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);

	SSL_CTX_free(ctx);
	SSL_set_connect_state(ssl);
	if (name != NULL)
		SSL_set_tlsext_host_name(ssl, name);
	return ssl;
}

static inline void
close_link(struct link *link)
{
	SSL_shutdown(link->client);
	SSL_shutdown(link->server);
	SSL_free(link->client);
	SSL_free(link->server);
	ERR_clear_error();
}

/* --- the test's directory ------------------------------------------------------------------- */

static int
begin_files(void **state)
{
	assert_non_null(mkdtemp(folder));
	files = tg_tls_files_new();
	rings = tg_tls_rings_new();
	root.key = make_key(false);
	root.cert = make_cert(root.key, NULL, "The CA", NULL, -1, 3650);
	write_pair("ca.pem", &(struct pair){ root.cert, NULL }, false);
	return 0;
}

static int
end_files(void **state)
{
	char command[200];

	tg_tls_files_free(files);
	tg_tls_rings_free(rings);
	free_pair(&root);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

#endif
