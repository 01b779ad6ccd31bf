/* The first message of a TLS client, read without decrypting anything: which server it names (SNI, RFC
 * 6066 §3) and which protocols it offers (ALPN, RFC 7301 §3.1). It decides nothing about TLS: what is
 * read here goes to a server as it came, and that one judges it. So what is no ClientHello, or a
 * malformed one, is told as that, and nothing in it is believed.
 *
 * The message may come in any number of records and segments. The caller keeps the bytes and asks again
 * with more; nothing is allocated here, and no length that the bytes claim is believed beyond them.
 */
#ifndef TG_NET_HELLO_H
#define TG_NET_HELLO_H

#include <stdint.h>

#include "base/str.h"

enum {
	/* Bytes, records and all, that are looked at. Who needs more than that to say hello (browsers
	 * with post-quantum keys: 2 KiB) is not read to the end. */
	TG_HELLO_MAX = 17 * 1024,
	TG_HELLO_SNI = 255,  /* bytes of a name (RFC 1035 §2.3.4) */
	TG_HELLO_ALPN = 255, /* bytes of the list that are kept: whole names */
};

struct tg_hello {
	uint8_t sni_len;          /* 0: it names none */
	uint8_t alpn_len;         /* 0: it offers none */
	char sni[TG_HELLO_SNI];   /* in lower case: letters, digits and - . _ only */
	char alpn[TG_HELLO_ALPN]; /* each name behind a byte with its length */
};

enum tg_hello_result {
	TG_HELLO_MORE,  /* so far it is one */
	TG_HELLO_DONE,  /* all of it is there */
	TG_HELLO_OTHER, /* it is none, a malformed one, or one that is too long */
};

/* Read the bytes from the start of a connection. `out` is filled when DONE. */
enum tg_hello_result tg_hello_read(struct tg_str bytes, struct tg_hello *out);

#endif
