/* A certificate with its chain and its key, parsed and checked. Counted, by any thread; constant. */
#ifndef TG_NET_TLS_CERTIFICATE_H
#define TG_NET_TLS_CERTIFICATE_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "base/assert.h"
#include "base/str.h"

enum tg_tls_key { TG_TLS_KEY_RSA, TG_TLS_KEY_EC, TG_TLS_KEY_OTHER, TG_TLS_KEYS };

struct tg_tls_certificate {
	atomic_uint refs; /* any thread */
	enum tg_tls_key kind;
	X509 *leaf;
	STACK_OF(X509) * chain; /* without the leaf; NULL: none */
	EVP_PKEY *key;
	time_t not_before, not_after;
	char *origin; /* the file it is from, for messages */
	char **names; /* lower case; "*.example.com" for a wildcard */
	unsigned name_count;
};

/* Of texts in PEM: the certificate, then its chain; and the key (ptr NULL: it is among those). `origin`
 * and `key_origin` name them in messages. NULL: `error` says what is wrong, and the remedy. */
TG_MUST_USE struct tg_tls_certificate *tg_tls_certificate_parse(struct tg_str cert,
    struct tg_str key, const char *origin, const char *key_origin, char *error, size_t size);
struct tg_tls_certificate *tg_tls_certificate_get(struct tg_tls_certificate *certificate);
void tg_tls_certificate_put(struct tg_tls_certificate *certificate);

/* Show it in this handshake, beside those of other kinds of keys. False: OpenSSL does not want it
 * (e.g. a key that is too short); why is in OpenSSL's queue of errors. */
TG_MUST_USE bool tg_tls_certificate_use(SSL *ssl, const struct tg_tls_certificate *certificate);

/* The text of OpenSSL's last error, for messages; its queue is empty then. */
const char *tg_tls_reason(void);

/* Is there a private key among the parts of a text in PEM? */
bool tg_tls_has_key(struct tg_str text);

/* OpenSSL's callback for a pass phrase: nobody is there to be asked. *asked (a bool; or NULL): it did. */
int tg_tls_no_phrase(char *buffer, int size, int writing, void *asked);

/* A time of OpenSSL's; -1: it has none. */
time_t tg_tls_time(const ASN1_TIME *time);

#endif
