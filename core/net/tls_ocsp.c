#include "net/tls_ocsp.h"

#include <openssl/ocsp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct staple {
	time_t expires; /* -1: never */
	size_t len;
	unsigned char bytes[];
};

static int staple_index; /* of X509's extra data; constant after: */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
on_free(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	(void)parent;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	free(ptr);
}

static void
make_index(void)
{
	staple_index = X509_get_ex_new_index(0, NULL, NULL, NULL, on_free);
	tg_assert(staple_index >= 0);
}

static struct staple *
staple_of(const X509 *leaf)
{
	pthread_once(&once, make_index);
	return leaf != NULL ? X509_get_ex_data(leaf, staple_index) : NULL;
}

time_t
tg_tls_ocsp_expires(const struct tg_tls_certificate *certificate)
{
	const struct staple *staple = staple_of(certificate->leaf);

	return staple != NULL ? staple->expires : 0;
}

/* --- is it good --------------------------------------------------------------------------- */

/* The certificate that has signed the leaf; NULL: it is not in the chain. */
static X509 *
issuer_of(const struct tg_tls_certificate *certificate)
{
	for (int i = 0; i < sk_X509_num(certificate->chain); i++) {
		X509 *issuer = sk_X509_value(certificate->chain, i);

		if (X509_check_issued(issuer, certificate->leaf) == X509_V_OK)
			return issuer;
	}
	return NULL;
}

/* Is it signed by the issuer, or by who has a certificate for that from the issuer? */
static bool
is_signed(OCSP_BASICRESP *basic, X509 *issuer)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *issuers = sk_X509_new_null();
	bool good = store != NULL && issuers != NULL && sk_X509_push(issuers, issuer) > 0 &&
	    X509_STORE_add_cert(store, issuer) == 1 &&
	    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
	    OCSP_basic_verify(basic, issuers, store, OCSP_TRUSTOTHER) == 1;

	sk_X509_free(issuers);
	X509_STORE_free(store);
	return good;
}

/* What it says of this certificate. Its digest is whatever the responder has used. */
static OCSP_SINGLERESP *
find_single(OCSP_BASICRESP *basic, const struct tg_tls_certificate *certificate, X509 *issuer)
{
	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
		const OCSP_CERTID *id = OCSP_SINGLERESP_get0_id(single);
		ASN1_OBJECT *digest;
		OCSP_CERTID *ours;
		bool same;

		OCSP_id_get0_info(NULL, &digest, NULL, NULL, (OCSP_CERTID *)(uintptr_t)id);
		ours = OCSP_cert_to_id(EVP_get_digestbyobj(digest), certificate->leaf, issuer);
		same = ours != NULL && OCSP_id_cmp(ours, id) == 0;
		OCSP_CERTID_free(ours);
		if (same)
			return single;
	}
	return NULL;
}

/* NULL: it is good, until *expires. */
static const char *
judge(OCSP_BASICRESP *basic, const struct tg_tls_certificate *certificate, time_t now,
    time_t *expires)
{
	X509 *issuer = issuer_of(certificate);
	ASN1_GENERALIZEDTIME *next = NULL, *this = NULL;
	OCSP_SINGLERESP *single;
	int status;

	if (issuer == NULL)
		return "cannot be checked, because the issuer's certificate is not in the chain; "
		       "append it "
		       "to the certificate's file";
	single = find_single(basic, certificate, issuer);
	if (single == NULL)
		return "is of another certificate; fetch one for this (openssl ocsp -respout)";
	if (!is_signed(basic, issuer))
		return "is not signed by the issuer of the certificate";
	status = OCSP_single_get0_status(single, NULL, NULL, &this, &next);
	if (status == V_OCSP_CERTSTATUS_REVOKED)
		return "says that the certificate is revoked; get another certificate";
	if (status != V_OCSP_CERTSTATUS_GOOD)
		return "says that the certificate is unknown to its issuer";
	*expires = tg_tls_time(next);
	if (*expires >= 0 && *expires <= now)
		return "has expired; fetch a new one";
	return NULL;
}

bool
tg_tls_ocsp_attach(const struct tg_tls_certificate *certificate, struct tg_str response, time_t now,
    char *problem, size_t size)
{
	const unsigned char *bytes = (const unsigned char *)response.ptr;
	OCSP_RESPONSE *parsed = d2i_OCSP_RESPONSE(NULL, &bytes, (long)response.len);
	OCSP_BASICRESP *basic = NULL;
	struct staple *staple = NULL;
	const char *wrong = NULL;
	time_t expires = -1;

	if (parsed == NULL)
		wrong = "is no OCSP response in DER";
	else if (OCSP_response_status(parsed) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		wrong = "is the responder's refusal to answer";
	else if ((basic = OCSP_response_get1_basic(parsed)) == NULL)
		wrong = "is of a type that nobody knows";
	else
		wrong = judge(basic, certificate, now, &expires);
	if (wrong == NULL && (staple = malloc(sizeof(*staple) + response.len)) == NULL)
		wrong = "has no room in memory";
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(parsed);
	(void)tg_tls_reason(); /* what OpenSSL has left in its queue */
	if (wrong != NULL) {
		snprintf(problem, size, "the OCSP response %s", wrong);
		return false;
	}
	staple->expires = expires;
	staple->len = response.len;
	memcpy(staple->bytes, response.ptr, response.len);
	free(staple_of(certificate->leaf));
	if (X509_set_ex_data(certificate->leaf, staple_index, staple) != 1) {
		free(staple);
		snprintf(problem, size, "out of memory");
		return false;
	}
	return true;
}

/* --- handshakes, any thread ---------------------------------------------------------------- */

int
tg_tls_ocsp_staple(SSL *ssl, void *arg)
{
	const struct staple *staple = staple_of(SSL_get_certificate(ssl)); /* the chosen one */
	unsigned char *copy;

	(void)arg;
	if (staple == NULL || (staple->expires >= 0 && staple->expires <= time(NULL)))
		return SSL_TLSEXT_ERR_NOACK;
	copy = OPENSSL_malloc(staple->len);
	if (copy == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	memcpy(copy, staple->bytes, staple->len);
	SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple->len); /* takes it over */
	return SSL_TLSEXT_ERR_OK;
}
