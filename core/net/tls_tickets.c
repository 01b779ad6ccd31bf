#include "net/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"

enum { RING_MAGIC = 0x71c6, NAME_LEN = 16, SECRET_LEN = 32 };

struct key {
	unsigned char name[NAME_LEN];
	unsigned char mac[SECRET_LEN];
	unsigned char cipher[SECRET_LEN];
};

struct tg_tls_ring {
	uint32_t magic;
	atomic_uint refs;     /* any thread */
	EVP_CIPHER *cipher;   /* constant */
	uint64_t rotate_us;   /* constant; 0: the keys are from files */
	unsigned capacity;    /* constant: keys that are kept */
	pthread_mutex_t lock; /* of what follows */
	uint64_t due_us;      /* when the first key has encrypted long enough */
	unsigned count;
	struct key keys[TG_TLS_TICKET_KEYS]; /* the first encrypts */

	/* Control thread */
	struct tg_tls_ring *next; /* in the list of rings, which holds a reference */
	uint32_t rotate_s, lifetime_s;
};

struct tg_tls_rings {
	struct tg_tls_ring *list;
};

/* --- rings -------------------------------------------------------------------------------- */

static bool
make_key(struct key *key)
{
	return RAND_bytes(key->name, NAME_LEN) == 1 && RAND_priv_bytes(key->mac, SECRET_LEN) == 1 &&
	    RAND_priv_bytes(key->cipher, SECRET_LEN) == 1;
}

static struct tg_tls_ring *
new_ring(void)
{
	struct tg_tls_ring *ring = calloc(1, sizeof(*ring));
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);

	if (ring == NULL || cipher == NULL || pthread_mutex_init(&ring->lock, NULL) != 0) {
		EVP_CIPHER_free(cipher);
		free(ring);
		return NULL;
	}
	ring->magic = RING_MAGIC;
	ring->cipher = cipher;
	atomic_init(&ring->refs, 1);
	return ring;
}

static struct tg_tls_ring *
get_ring(struct tg_tls_ring *ring)
{
	TG_CHECK(ring, RING_MAGIC);
	atomic_fetch_add(&ring->refs, 1);
	return ring;
}

void
tg_tls_ring_put(struct tg_tls_ring *ring)
{
	TG_CHECK(ring, RING_MAGIC);
	if (atomic_fetch_sub(&ring->refs, 1) != 1)
		return;
	EVP_CIPHER_free(ring->cipher);
	pthread_mutex_destroy(&ring->lock);
	OPENSSL_cleanse(ring->keys, sizeof(ring->keys));
	ring->magic = 0;
	free(ring);
}

struct tg_tls_ring *
tg_tls_ring_of(const struct tg_str *keys, unsigned count)
{
	struct tg_tls_ring *ring = new_ring();

	tg_assert(count > 0 && count <= TG_TLS_TICKET_KEYS);
	if (ring == NULL)
		return NULL;
	for (unsigned i = 0; i < count; i++) {
		tg_assert(keys[i].len == TG_TLS_TICKET_BYTES);
		memcpy(ring->keys[i].name, keys[i].ptr, NAME_LEN);
		memcpy(ring->keys[i].mac, keys[i].ptr + NAME_LEN, SECRET_LEN);
		memcpy(ring->keys[i].cipher, keys[i].ptr + NAME_LEN + SECRET_LEN, SECRET_LEN);
	}
	ring->count = ring->capacity = count;
	return ring;
}

/* --- those that outlive a generation -------------------------------------------------------- */

struct tg_tls_rings *
tg_tls_rings_new(void)
{
	return calloc(1, sizeof(struct tg_tls_rings));
}

void
tg_tls_rings_free(struct tg_tls_rings *rings)
{
	struct tg_tls_ring *next;

	for (struct tg_tls_ring *ring = rings->list; ring != NULL; ring = next) {
		next = ring->next;
		tg_tls_ring_put(ring);
	}
	free(rings);
}

/* A key goes on for a session's life after it has encrypted its last one: that many are kept. */
static unsigned
capacity_of(uint32_t rotate_s, uint32_t lifetime_s)
{
	uint32_t keys = 1 + (lifetime_s + rotate_s - 1) / rotate_s;

	return keys < TG_TLS_TICKET_KEYS ? keys : TG_TLS_TICKET_KEYS;
}

struct tg_tls_ring *
tg_tls_rings_find(struct tg_tls_rings *rings, uint32_t rotate_s, uint32_t lifetime_s)
{
	struct tg_tls_ring *ring;

	tg_assert(rotate_s > 0);
	for (ring = rings->list; ring != NULL; ring = ring->next)
		if (ring->rotate_s == rotate_s && ring->lifetime_s == lifetime_s)
			return get_ring(ring);
	ring = new_ring();
	if (ring == NULL || !make_key(&ring->keys[0])) {
		if (ring != NULL)
			tg_tls_ring_put(ring);
		return NULL;
	}
	ring->count = 1;
	ring->capacity = capacity_of(rotate_s, lifetime_s);
	ring->rotate_us = (uint64_t)rotate_s * 1000000;
	ring->due_us = tg_clock_us() + ring->rotate_us;
	ring->rotate_s = rotate_s;
	ring->lifetime_s = lifetime_s;
	ring->next = rings->list;
	rings->list = ring;
	return get_ring(ring);
}

void
tg_tls_rings_sweep(struct tg_tls_rings *rings)
{
	struct tg_tls_ring **at = &rings->list, *ring;

	while ((ring = *at) != NULL) {
		if (atomic_load(&ring->refs) > 1) {
			at = &ring->next;
			continue;
		}
		*at = ring->next;
		tg_tls_ring_put(ring);
	}
}

/* --- use, by any thread ------------------------------------------------------------------- */

/* Put a new key before the others; each that is too old falls off the end. A ring that nobody has used
 * for long is emptied. Without random numbers the old key goes on. */
static void
rotate(struct tg_tls_ring *ring, uint64_t now)
{
	uint64_t turns = 1 + (now - ring->due_us) / ring->rotate_us;
	struct key key;

	if (!make_key(&key))
		return;
	ring->due_us += turns * ring->rotate_us;
	if (turns >= ring->capacity)
		ring->count = 0;
	else if (ring->count > ring->capacity - turns)
		ring->count = ring->capacity - (unsigned)turns;
	memmove(ring->keys + 1, ring->keys, ring->count * sizeof(key));
	ring->keys[0] = key;
	ring->count++;
	OPENSSL_cleanse(ring->keys + ring->count, (TG_TLS_TICKET_KEYS - ring->count) * sizeof(key));
	OPENSSL_cleanse(&key, sizeof(key));
}

void
tg_tls_ring_age(struct tg_tls_ring *ring, uint32_t seconds)
{
	uint64_t us = (uint64_t)seconds * 1000000;

	pthread_mutex_lock(&ring->lock);
	ring->due_us = ring->due_us > us ? ring->due_us - us : 1;
	pthread_mutex_unlock(&ring->lock);
}

/* A copy of the key of that name (NULL: of the one that encrypts): its place, or -1. */
static int
find_key(struct tg_tls_ring *ring, const unsigned char *name, struct key *out)
{
	int found = name == NULL ? 0 : -1;
	uint64_t now = tg_clock_us();

	pthread_mutex_lock(&ring->lock);
	if (ring->rotate_us != 0 && now >= ring->due_us)
		rotate(ring, now);
	for (unsigned i = 0; found < 0 && i < ring->count; i++)
		if (memcmp(ring->keys[i].name, name, NAME_LEN) == 0)
			found = (int)i;
	if (found >= 0)
		*out = ring->keys[found];
	pthread_mutex_unlock(&ring->lock);
	return found;
}

static bool
set_mac(EVP_MAC_CTX *mac, struct key *key)
{
	static char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, SECRET_LEN),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* What OpenSSL expects: negative: an error, 0: no such key (a full handshake follows), 1: good, 2: good,
 * but a new ticket should be given. */
int
tg_tls_ring_use(struct tg_tls_ring *ring, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt)
{
	struct key key;
	int place = find_key(ring, encrypt ? NULL : name, &key), result = place == 0 ? 1 : 2;

	if (place < 0)
		return 0;
	if (encrypt) {
		memcpy(name, key.name, NAME_LEN);
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(ring->cipher)) != 1)
			result = -1;
	}
	if (result > 0 &&
	    (!set_mac(mac, &key) ||
	        EVP_CipherInit_ex2(cipher, ring->cipher, key.cipher, iv, encrypt, NULL) != 1))
		result = -1;
	OPENSSL_cleanse(&key, sizeof(key));
	return result;
}
