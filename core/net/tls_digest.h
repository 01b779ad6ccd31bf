/* Of what a TLS context was made: all options, and every byte of the files that they name, as one number. Two
 * with the same one are the same, so that a reload which changes nothing of them can go on with the old one:
 * with its sessions, and with the connections to servers that are kept.
 */
#ifndef TG_NET_TLS_DIGEST_H
#define TG_NET_TLS_DIGEST_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "base/assert.h"
#include "base/str.h"
#include "net/tls_view.h"

enum { TG_TLS_DIGEST = 32 };

struct tg_tls_digest {
	EVP_MD_CTX *md; /* NULL: it has failed, and adding does nothing */
};

void tg_tls_digest_begin(struct tg_tls_digest *digest, const struct tg_tls_options *options);

/* A text, as a whole: "a" and "bc" are not "ab" and "c". */
void tg_tls_digest_add(struct tg_tls_digest *digest, struct tg_str text);

/* The number; false: it has failed. To be called once after each begin. */
TG_MUST_USE bool tg_tls_digest_end(struct tg_tls_digest *digest, unsigned char out[TG_TLS_DIGEST]);

#endif
