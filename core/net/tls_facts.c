#include "net/tls_facts.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum { SANS_MAX = 1024, ADDRESS_MAX = INET6_ADDRSTRLEN };

struct tg_tls_facts
tg_tls_facts_of(const SSL *ssl)
{
	struct tg_tls_facts facts = {
		.version = tg_str_of(SSL_get_version(ssl)),
		.cipher = tg_str_of(SSL_get_cipher_name(ssl)),
		.name = tg_str_of(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)),
		.resumed = SSL_session_reused(ssl) == 1,
	};
	const unsigned char *alpn;
	unsigned len;

	SSL_get0_alpn_selected(ssl, &alpn, &len);
	if (len > 0)
		facts.alpn = (struct tg_str){ (const char *)alpn, len };
	return facts;
}

/* --- the other side's certificate ------------------------------------------------------------ */

/* All of a BIO in memory, which is freed. */
static bool
take(BIO *bio, struct tg_arena *arena, struct tg_str *out)
{
	char *text = NULL;
	long len = bio != NULL ? BIO_get_mem_data(bio, &text) : -1;

	if (len >= 0)
		*out = tg_arena_copy(arena, (struct tg_str){ text, (size_t)len });
	BIO_free(bio);
	return out->ptr != NULL;
}

static bool
read_name(const X509_NAME *name, struct tg_arena *arena, struct tg_str *out)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (bio != NULL)
		X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
	return take(bio, arena, out);
}

static bool
put_hex(const unsigned char *bytes, size_t count, struct tg_arena *arena, struct tg_str *out)
{
	static const char digits[] = "0123456789abcdef";
	char *text = tg_arena_alloc(arena, 2 * count);

	if (text == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	*out = (struct tg_str){ text, 2 * count };
	return true;
}

static bool
read_fingerprint(const X509 *peer, struct tg_arena *arena, struct tg_str *out)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;

	return X509_digest(peer, EVP_sha256(), digest, &len) == 1 &&
	    put_hex(digest, len, arena, out);
}

static bool
read_serial(const X509 *peer, struct tg_arena *arena, struct tg_str *out)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(peer);

	return put_hex(
	    ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), arena, out);
}

/* Nothing in it can be taken for the end of it, whoever writes it where. */
static bool
is_plain(struct tg_str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || text.ptr[i] == ',')
			return false;
	return text.len > 0;
}

/* The kind of a name and its text; ptr NULL: none that we tell. */
static struct tg_str
text_of(const GENERAL_NAME *name, const char **kind, char address[ADDRESS_MAX])
{
	struct tg_str text = { NULL, 0 };
	const ASN1_STRING *string = NULL;
	int type;
	const void *value = GENERAL_NAME_get0_value(name, &type);

	*kind = type == GEN_DNS ? "DNS:" : type == GEN_EMAIL ? "email:" : "URI:";
	if (type == GEN_DNS || type == GEN_EMAIL || type == GEN_URI) {
		string = value;
		text = (struct tg_str){ (const char *)ASN1_STRING_get0_data(string),
			(size_t)ASN1_STRING_length(string) };
	} else if (type == GEN_IPADD) {
		int family;

		string = value;
		*kind = "IP:";
		family = ASN1_STRING_length(string) == 4 ? AF_INET : AF_INET6;
		if ((family == AF_INET || ASN1_STRING_length(string) == 16) &&
		    inet_ntop(family, ASN1_STRING_get0_data(string), address, ADDRESS_MAX) != NULL)
			text = tg_str_of(address);
	}
	return text;
}

static bool
add_san(struct tg_arena *arena, const GENERAL_NAME *name, struct tg_tls_peer *out)
{
	char address[ADDRESS_MAX], *copy;
	const char *kind;
	struct tg_str text = text_of(name, &kind, address);
	size_t prefix;

	if (text.ptr == NULL || !is_plain(text))
		return true;
	prefix = strlen(kind);
	copy = tg_arena_alloc(arena, prefix + text.len);
	if (copy == NULL)
		return false;
	memcpy(copy, kind, prefix);
	memcpy(copy + prefix, text.ptr, text.len);
	out->sans[out->san_count++] = (struct tg_str){ copy, prefix + text.len };
	return true;
}

static bool
read_sans(const X509 *peer, struct tg_arena *arena, struct tg_tls_peer *out)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(peer, NID_subject_alt_name, NULL, NULL);
	int count = sk_GENERAL_NAME_num(names);
	bool good = true;

	if (count > SANS_MAX)
		count = SANS_MAX;
	if (count > 0) {
		out->sans = tg_arena_alloc(arena, (size_t)count * sizeof(*out->sans));
		good = out->sans != NULL;
	}
	for (int i = 0; good && i < count; i++)
		good = add_san(arena, sk_GENERAL_NAME_value(names, i), out);
	GENERAL_NAMES_free(names);
	return good;
}

bool
tg_tls_peer_of(const SSL *ssl, struct tg_arena *arena, struct tg_tls_peer *out)
{
	const X509 *peer = SSL_get0_peer_certificate(ssl);
	long result = SSL_get_verify_result(ssl);

	*out = (struct tg_tls_peer){ .result = TG_STR("none") };
	if (peer == NULL)
		return true;
	out->verified = result == X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE;
	out->result = tg_str_of(X509_verify_cert_error_string(result));
	return read_name(X509_get_subject_name(peer), arena, &out->subject) &&
	    read_name(X509_get_issuer_name(peer), arena, &out->issuer) &&
	    read_serial(peer, arena, &out->serial) &&
	    read_fingerprint(peer, arena, &out->fingerprint) && read_sans(peer, arena, out);
}
