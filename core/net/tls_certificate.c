#include "net/tls_certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_LEN = 253 };

const char *
tg_tls_reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return reason != NULL ? reason : "unknown reason";
}

time_t
tg_tls_time(const ASN1_TIME *time)
{
	struct tm tm;

	return time != NULL && ASN1_TIME_to_tm(time, &tm) == 1 ? timegm(&tm) : -1;
}

/* --- names -------------------------------------------------------------------------------- */

/* Names are asked for in ASCII: others, and those with a NUL in them, are nobody's. */
static bool
is_name(const ASN1_STRING *string)
{
	const unsigned char *text = ASN1_STRING_get0_data(string);
	int len = ASN1_STRING_length(string);

	if (len < 1 || len > NAME_MAX_LEN)
		return false;
	for (int i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	return true;
}

static bool
add_name(struct tg_tls_certificate *certificate, const ASN1_STRING *string)
{
	size_t len = (size_t)ASN1_STRING_length(string);
	const char *text = (const char *)ASN1_STRING_get0_data(string);
	char **names;
	char *name;

	if (!is_name(string))
		return true;
	names = realloc(certificate->names, (certificate->name_count + 1) * sizeof(*names));
	if (names == NULL)
		return false;
	certificate->names = names;
	name = malloc(len + 1);
	if (name == NULL)
		return false;
	for (size_t i = 0; i < len; i++)
		name[i] = (char)tg_char_lower(text[i]);
	name[len] = '\0';
	names[certificate->name_count++] = name;
	return true;
}

/* The subject's common name counts only where there is no other (RFC 6125 §6.4.4). */
static bool
add_common_name(struct tg_tls_certificate *certificate)
{
	const X509_NAME *subject = X509_get_subject_name(certificate->leaf);
	int place = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	return place < 0 ||
	    add_name(certificate, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place)));
}

static bool
read_names(struct tg_tls_certificate *certificate)
{
	GENERAL_NAMES *list = X509_get_ext_d2i(certificate->leaf, NID_subject_alt_name, NULL, NULL);
	bool good = true;

	for (int i = 0; good && i < sk_GENERAL_NAME_num(list); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(list, i);

		if (name->type == GEN_DNS)
			good = add_name(certificate, name->d.dNSName);
	}
	GENERAL_NAMES_free(list);
	return good && (certificate->name_count > 0 || add_common_name(certificate));
}

/* --- parsing ------------------------------------------------------------------------------ */

struct parse {
	struct tg_tls_certificate *certificate;
	const char *origin, *key_origin;
	char *error;
	size_t size;
};

static bool __attribute__((format(printf, 2, 3)))
refuse(const struct parse *parse, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses va_start */
	vsnprintf(parse->error, parse->size, format, args);
	va_end(args);
	ERR_clear_error();
	return false;
}

int
tg_tls_no_phrase(char *buffer, int size, int writing, void *asked)
{
	(void)buffer;
	(void)size;
	(void)writing;
	if (asked != NULL)
		*(bool *)asked = true;
	return -1;
}

static bool
read_chain(const struct parse *parse, struct tg_str text)
{
	struct tg_tls_certificate *certificate = parse->certificate;
	BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
	bool good = bio != NULL, encrypted = false;
	unsigned long code;
	X509 *next;

	if (good)
		certificate->leaf = PEM_read_bio_X509(bio, NULL, tg_tls_no_phrase, &encrypted);
	while (good && certificate->leaf != NULL &&
	    (next = PEM_read_bio_X509(bio, NULL, tg_tls_no_phrase, &encrypted)) != NULL) {
		if (certificate->chain == NULL)
			certificate->chain = sk_X509_new_null();
		good = certificate->chain != NULL && sk_X509_push(certificate->chain, next) > 0;
		if (!good)
			X509_free(next);
	}
	BIO_free(bio);
	if (!good)
		return refuse(parse, "%s: out of memory", parse->origin);
	code = ERR_peek_last_error();
	if (certificate->leaf == NULL && ERR_GET_REASON(code) == PEM_R_NO_START_LINE)
		return refuse(parse,
		    "%s: there is no certificate in it; it must have the form of PEM, with a line "
		    "\"-----BEGIN CERTIFICATE-----\"",
		    parse->origin);
	if (ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
		return refuse(parse, "%s: certificate %d of the file is damaged: %s", parse->origin,
		    certificate->leaf == NULL ? 1 : 2 + sk_X509_num(certificate->chain),
		    tg_tls_reason());
	ERR_clear_error();
	return true;
}

bool
tg_tls_has_key(struct tg_str text)
{
	static const char mark[] = "PRIVATE KEY-----";

	return text.ptr != NULL && memmem(text.ptr, text.len, mark, sizeof(mark) - 1) != NULL;
}

static bool
read_key(const struct parse *parse, struct tg_str text)
{
	bool encrypted = false;
	BIO *bio;

	if (!tg_tls_has_key(text))
		return refuse(parse,
		    "%s: there is no private key in it; it must have the form of PEM, with a line "
		    "\"-----BEGIN PRIVATE KEY-----\"",
		    parse->key_origin);
	bio = BIO_new_mem_buf(text.ptr, (int)text.len);
	if (bio == NULL)
		return refuse(parse, "%s: out of memory", parse->key_origin);
	parse->certificate->key = PEM_read_bio_PrivateKey(bio, NULL, tg_tls_no_phrase, &encrypted);
	BIO_free(bio);
	if (parse->certificate->key != NULL)
		return true;
	if (encrypted)
		return refuse(parse,
		    "%s: the key is encrypted, and nobody is there to be asked for its pass "
		    "phrase; "
		    "store it without: openssl pkey -in %s -out NEW",
		    parse->key_origin, parse->key_origin);
	return refuse(
	    parse, "%s: the private key is damaged: %s", parse->key_origin, tg_tls_reason());
}

static bool
check_key(const struct parse *parse)
{
	const struct tg_tls_certificate *certificate = parse->certificate;
	int other = -1;

	if (X509_check_private_key(certificate->leaf, certificate->key) == 1)
		return true;
	for (int i = 0; other < 0 && i < sk_X509_num(certificate->chain); i++)
		if (X509_check_private_key(
		        sk_X509_value(certificate->chain, i), certificate->key) == 1)
			other = i + 2;
	if (other > 0)
		return refuse(parse,
		    "%s: the key belongs to certificate %d of the file; put that one first, then "
		    "its "
		    "chain",
		    parse->origin, other);
	return refuse(parse,
	    "%s: the key in %s is not the one of this certificate; give both of the "
	    "same request",
	    parse->origin, parse->key_origin);
}

static enum tg_tls_key
kind_of(const EVP_PKEY *key)
{
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		return TG_TLS_KEY_RSA;
	case EVP_PKEY_EC:
		return TG_TLS_KEY_EC;
	default:
		return TG_TLS_KEY_OTHER;
	}
}

struct tg_tls_certificate *
tg_tls_certificate_parse(struct tg_str cert, struct tg_str key, const char *origin,
    const char *key_origin, char *error, size_t size)
{
	struct tg_tls_certificate *certificate = calloc(1, sizeof(*certificate));
	struct parse parse = { certificate, origin, key.ptr != NULL ? key_origin : origin, error,
		size };

	if (certificate == NULL) {
		refuse(&parse, "%s: out of memory", origin);
		return NULL;
	}
	atomic_init(&certificate->refs, 1);
	ERR_clear_error();
	if (!read_chain(&parse, cert) || !read_key(&parse, key.ptr != NULL ? key : cert) ||
	    !check_key(&parse))
		goto failed;
	certificate->origin = strdup(origin);
	if (certificate->origin == NULL || !read_names(certificate)) {
		refuse(&parse, "%s: out of memory", origin);
		goto failed;
	}
	certificate->kind = kind_of(certificate->key);
	certificate->not_before = tg_tls_time(X509_get0_notBefore(certificate->leaf));
	certificate->not_after = tg_tls_time(X509_get0_notAfter(certificate->leaf));
	return certificate;
failed:
	tg_tls_certificate_put(certificate);
	return NULL;
}

struct tg_tls_certificate *
tg_tls_certificate_get(struct tg_tls_certificate *certificate)
{
	atomic_fetch_add(&certificate->refs, 1);
	return certificate;
}

void
tg_tls_certificate_put(struct tg_tls_certificate *certificate)
{
	if (atomic_fetch_sub(&certificate->refs, 1) != 1)
		return;
	X509_free(certificate->leaf);
	sk_X509_pop_free(certificate->chain, X509_free);
	EVP_PKEY_free(certificate->key);
	for (unsigned i = 0; i < certificate->name_count; i++)
		free(certificate->names[i]);
	free(certificate->names);
	free(certificate->origin);
	free(certificate);
}

bool
tg_tls_certificate_use(SSL *ssl, const struct tg_tls_certificate *certificate)
{
	return SSL_use_cert_and_key(
	           ssl, certificate->leaf, certificate->key, certificate->chain, 1) == 1;
}
