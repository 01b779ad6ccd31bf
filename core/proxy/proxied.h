/* Clients that come through a proxy which says for whom (the PROXY protocol), and saying so ourselves to
 * servers. A listener believes those networks that it names, and of these it wants the header: without
 * one, or with a malformed one, the connection is closed before any byte is trusted.
 */
#ifndef TG_PROXY_PROXIED_H
#define TG_PROXY_PROXIED_H

#include <netinet/in.h>

#include "net/proxyproto.h"
#include "proxy/plan.h"

struct tg_client;

/* What a client's proxy has said. It lives as long as the connection. */
struct tg_proxied {
	struct tg_proxyproto said;
	char peer[INET6_ADDRSTRLEN]; /* the proxy's IP, or "unix" */
	size_t len;                  /* of the bytes so far */
	char bytes[];
};

/* Has a peer of that address to send a header? */
bool tg_proxied_expected(const struct tg_plan_listener *listener, const struct tg_addr *peer);

/* Wait for it. False: out of memory. */
TG_MUST_USE bool tg_proxied_begin(struct tg_client *client);

/* The first bytes of such a client. Returns how many were taken, or negative when they are malformed;
 * `*done`: the header is complete, and the client is called by what it says. */
TG_MUST_USE int tg_proxied_read(struct tg_client *client, const char *data, size_t len, bool *done);

/* A header of that version for a connection to a server: the bytes written to
 * out[TG_PROXYPROTO_WRITE]. */
size_t tg_proxied_write(const struct tg_client *client, int version, char *out);

#endif
