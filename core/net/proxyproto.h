/* The PROXY protocol (haproxy.org, proxy-protocol.txt, versions 1 and 2): the line or header by which a
 * proxy before us says for whom it has connected, before the first byte of that one. Who may say so is
 * not decided here.
 */
#ifndef TG_NET_PROXYPROTO_H
#define TG_NET_PROXYPROTO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "net/addr.h"

enum {
	TG_PROXYPROTO_MAX =
	    2048, /* bytes of a header that is read; TLVs beyond that are nobody's */
	TG_PROXYPROTO_WRITE = 232, /* bytes that a header of ours takes at most */
	TG_PROXYPROTO_MALFORMED = -1,
};

/* What a header says. The views are in its bytes. */
struct tg_proxyproto {
	bool local;          /* the proxy itself (a check of its own) has connected, for nobody */
	struct tg_addr from; /* len 0: unknown */
	struct tg_addr to;
	bool tls;      /* the client came to it by TLS */
	bool verified; /* with a certificate that was verified */
	/* TLVs; ptr NULL: not there */
	struct tg_str alpn, authority, unique_id, tls_version, tls_cipher, tls_cn;
};

/* Read the header at the start of `bytes`: its length; 0 when more is needed; MALFORMED, also for one
 * longer than MAX. But for a whole one *out says nothing. */
TG_MUST_USE int tg_proxyproto_read(struct tg_str bytes, struct tg_proxyproto *out);

/* Write a header for a connection of a client `from`, that came to us at `to`. One of them unknown (len
 * 0) or not of IP: "UNKNOWN" or LOCAL. The bytes written, at most WRITE. */
size_t tg_proxyproto_write(
    int version, const struct tg_addr *from, const struct tg_addr *to, char *out);

#endif
