#include "net/tls_trust.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/tls_certificate.h"

/* Why the last of them could not be read: at the end of the file that is no error. False: `error` says. */
static bool
ended(int count, const char *what, const char *origin, char *error, size_t size)
{
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		snprintf(error, size, "%s: %s %d of the file is damaged: %s", origin, what,
		    count + 1, tg_tls_reason());
		return false;
	}
	ERR_clear_error();
	if (count > 0)
		return true;
	snprintf(
	    error, size, "%s: there is no %s in it; it must have the form of PEM", origin, what);
	return false;
}

static bool
add_one(X509_STORE *store, STACK_OF(X509_NAME) * names, X509 *certificate)
{
	X509_NAME *name;

	if (X509_STORE_add_cert(store, certificate) != 1)
		return false;
	if (names == NULL)
		return true;
	name = X509_NAME_dup(X509_get_subject_name(certificate));
	if (name != NULL && sk_X509_NAME_push(names, name) > 0)
		return true;
	X509_NAME_free(name);
	return false;
}

bool
tg_tls_trust_add(X509_STORE *store, STACK_OF(X509_NAME) * names, struct tg_str text,
    const char *origin, char *error, size_t size)
{
	BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
	bool added = true;
	X509 *certificate;
	int count = 0;

	ERR_clear_error();
	while (added &&
	    (certificate = PEM_read_bio_X509_AUX(bio, NULL, tg_tls_no_phrase, NULL)) != NULL) {
		added = add_one(store, names, certificate);
		X509_free(certificate);
		count++;
	}
	BIO_free(bio);
	if (!added) {
		snprintf(error, size, "%s: certificate %d of the file: %s", origin, count,
		    tg_tls_reason());
		return false;
	}
	return ended(count, "certificate", origin, error, size);
}

bool
tg_tls_trust_revoke(X509_STORE *store, struct tg_str text, const char *origin, time_t *expires,
    char *error, size_t size)
{
	BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
	bool added = true;
	X509_CRL *crl;
	int count = 0;

	*expires = -1;
	ERR_clear_error();
	while (added && (crl = PEM_read_bio_X509_CRL(bio, NULL, tg_tls_no_phrase, NULL)) != NULL) {
		time_t next = tg_tls_time(X509_CRL_get0_nextUpdate(crl));

		if (next >= 0 && (*expires < 0 || next < *expires))
			*expires = next;
		added = X509_STORE_add_crl(store, crl) == 1;
		X509_CRL_free(crl);
		count++;
	}
	BIO_free(bio);
	if (!added) {
		snprintf(
		    error, size, "%s: list %d of the file: %s", origin, count, tg_tls_reason());
		return false;
	}
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return ended(count, "list of revoked certificates (X509 CRL)", origin, error, size);
}

const char *
tg_tls_trust_system(struct tg_tls_files *files)
{
	static const char *const known[] = {
		"/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
		"/etc/pki/tls/certs/ca-bundle.crt",   /* Red Hat */
		"/etc/ssl/ca-bundle.pem",             /* SUSE */
		"/etc/ssl/cert.pem",
	};
	const char *asked = getenv(X509_get_default_cert_file_env());

	if (asked != NULL)
		return asked;
	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (tg_tls_files_known(files, known[i]))
			return known[i];
	return NULL;
}
