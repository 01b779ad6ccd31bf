/* Whom we believe: certificates of CAs, and what these have revoked. */
#ifndef TG_NET_TLS_TRUST_H
#define TG_NET_TLS_TRUST_H

#include <openssl/x509.h>
#include <stdbool.h>

#include "base/assert.h"
#include "base/str.h"
#include "net/tls_files.h"

/* Add the certificates of a text in PEM, each to `store`, its subject to `names` unless that is NULL. False:
 * `error` says what is wrong with the file `origin`. */
TG_MUST_USE bool tg_tls_trust_add(X509_STORE *store, STACK_OF(X509_NAME) * names,
    struct tg_str text, const char *origin, char *error, size_t size);

/* The same of lists of revoked certificates: from then on each CA of a chain must have one. *expires is
 * when the first of them does; -1: none does. */
TG_MUST_USE bool tg_tls_trust_revoke(X509_STORE *store, struct tg_str text, const char *origin,
    time_t *expires, char *error, size_t size);

/* The file of the CAs that the system believes; NULL: there is none. */
const char *tg_tls_trust_system(struct tg_tls_files *files);

#endif
