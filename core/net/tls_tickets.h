/* Keys by which session tickets are encrypted (RFC 5077, RFC 8446 §4.6.1), shared by all workers.
 *
 * A ring makes its own keys: each encrypts for `rotate_s`, then still decrypts for as long as a session
 * lives, then is forgotten: who breaks in later cannot read what was resumed before. Whoever uses it when
 * it is due rotates it, under a lock that is held for the copy of a key; no timer. Or it has keys from
 * files, the first of which encrypts; those change only with the file, so that machines can share them.
 *
 * Rings of the same options are the same through reloads (struct tg_tls_rings, control thread only): a
 * session begun before a reload is resumed after it.
 */
#ifndef TG_NET_TLS_TICKETS_H
#define TG_NET_TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/str.h"

enum {
	TG_TLS_TICKET_BYTES = 80, /* of a key in a file: 16 name, 32 HMAC-SHA-256, 32 AES-256 */
	TG_TLS_TICKET_KEYS = 16,
};

struct tg_tls_ring;
struct tg_tls_rings;

TG_MUST_USE struct tg_tls_rings *tg_tls_rings_new(void);
void tg_tls_rings_free(struct tg_tls_rings *rings);

/* The ring that rotates so, one reference; NULL: out of memory, or no random numbers. */
TG_MUST_USE struct tg_tls_ring *tg_tls_rings_find(
    struct tg_tls_rings *rings, uint32_t rotate_s, uint32_t lifetime_s);
/* Forget rings that nobody holds any more. */
void tg_tls_rings_sweep(struct tg_tls_rings *rings);

/* Of 1 to TICKET_KEYS keys, TICKET_BYTES each. NULL: out of memory. */
TG_MUST_USE struct tg_tls_ring *tg_tls_ring_of(const struct tg_str *keys, unsigned count);
void tg_tls_ring_put(struct tg_tls_ring *ring);

/* For specs: as if that many seconds had passed. */
void tg_tls_ring_age(struct tg_tls_ring *ring, uint32_t seconds);

/* SSL_CTX_set_tlsext_ticket_key_evp_cb's function, for that ring. */
int tg_tls_ring_use(struct tg_tls_ring *ring, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt);

#endif
