#include "net/tls_digest.h"

static void
add(struct tg_tls_digest *digest, const void *bytes, size_t len)
{
	if (digest->md == NULL || EVP_DigestUpdate(digest->md, bytes, len) == 1)
		return;
	EVP_MD_CTX_free(digest->md);
	digest->md = NULL;
}

void
tg_tls_digest_add(struct tg_tls_digest *digest, struct tg_str text)
{
	uint64_t len = text.ptr != NULL ? text.len : UINT64_MAX; /* not given is not empty */

	add(digest, &len, sizeof(len));
	if (text.len > 0)
		add(digest, text.ptr, text.len);
}

static void
add_numbers(struct tg_tls_digest *digest, const struct tg_tls_options *o)
{
	const int32_t numbers[] = { o->kind, o->min_version, o->prefer, o->pair_count, o->warn_days,
		o->verify, o->depth, o->has_certificate, o->strict, o->tickets, o->cache,
		o->lifetime_s, o->rotate_s, o->ticket_file_count };

	add(digest, numbers, sizeof(numbers));
}

void
tg_tls_digest_begin(struct tg_tls_digest *digest, const struct tg_tls_options *options)
{
	const struct tg_str texts[] = { options->ciphers, options->ciphersuites, options->groups,
		options->alpn, options->ca, options->crl, options->name };

	digest->md = EVP_MD_CTX_new();
	if (digest->md != NULL && EVP_DigestInit_ex(digest->md, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(digest->md);
		digest->md = NULL;
	}
	add_numbers(digest, options);
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		tg_tls_digest_add(digest, texts[i]);
	for (int i = 0; i < options->pair_count; i++) {
		tg_tls_digest_add(digest, options->pairs[i].cert);
		tg_tls_digest_add(digest, options->pairs[i].key);
		tg_tls_digest_add(digest, options->pairs[i].ocsp);
	}
	for (int i = 0; i < options->ticket_file_count; i++)
		tg_tls_digest_add(digest, options->ticket_files[i]);
}

bool
tg_tls_digest_end(struct tg_tls_digest *digest, unsigned char out[TG_TLS_DIGEST])
{
	bool good = digest->md != NULL && EVP_DigestFinal_ex(digest->md, out, NULL) == 1;

	EVP_MD_CTX_free(digest->md);
	digest->md = NULL;
	return good;
}
