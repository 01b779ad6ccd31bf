#include "http/websocket.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/assert.h"

/* It is there to tell connections apart, not to be secret (RFC 6455 §10.3): randomness that has run dry is
 * no reason to refuse. */
void
tg_websocket_key(char *out)
{
	unsigned char bytes[16] = { 0 };

	(void)RAND_bytes(bytes, sizeof(bytes));
	EVP_EncodeBlock((unsigned char *)out, bytes, sizeof(bytes));
}

void
tg_websocket_accept(struct tg_str key, char *out)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	char text[TG_WEBSOCKET_KEY + sizeof(guid)];
	unsigned char digest[EVP_MAX_MD_SIZE];

	tg_assert(key.len == TG_WEBSOCKET_KEY);
	memcpy(text, key.ptr, key.len);
	memcpy(text + key.len, guid, sizeof(guid) - 1);
	memset(digest, 0, sizeof(digest));
	(void)EVP_Digest(text, key.len + sizeof(guid) - 1, digest, NULL, EVP_sha1(), NULL);
	EVP_EncodeBlock((unsigned char *)out, digest, 20);
}
