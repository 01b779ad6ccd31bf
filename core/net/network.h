/* A network: an IP address and how many of its bits count. IPv4 is the same as IPv4 mapped to IPv6. */
#ifndef TG_NET_NETWORK_H
#define TG_NET_NETWORK_H

#include "net/addr.h"

struct tg_network {
	struct in6_addr ip;
	unsigned bits; /* of 128 */
	bool is_unix;  /* UNIX sockets, instead */
	bool all;      /* everybody */
};

/* "10.0.0.0/8", "2001:db8::/32", an address alone, "unix" (who comes by a UNIX socket), or "all".
 * False: it is none of these, or has bits set behind those that count. */
TG_MUST_USE bool tg_network_parse(struct tg_str text, struct tg_network *out);

bool tg_network_has(const struct tg_network *network, const struct tg_addr *addr);

#endif
