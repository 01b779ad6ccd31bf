/* Connections that are no requests: those of a listener of mode "tcp", and all of one that has an `accept`
 * function, until that has let them in. Such a connection has a `struct tg_req` without a head (`raw`).
 *
 *     its proxy's header → accept → TLS → (mode "tcp": inspect → route → pick → queue → connect → tunnel)
 *
 * `accept` has a request of its own, which ends with it, and is counted and logged as an empty one where it
 * does not let the client in. A connection of mode "tcp" is one request, by the same steps as those of HTTP
 * where they are the same. Nothing of HTTP is ever written to either.
 *
 * What the client says before the server is there waits in the kernel, but for what is looked at, and for
 * what it says while it is in line, which is read so that its leaving is seen: up to TG_TCP_EARLY bytes.
 */
#ifndef TG_PROXY_TCP_H
#define TG_PROXY_TCP_H

#include "net/hello.h"
#include "proxy/req.h"

enum { TG_TCP_EARLY = TG_HELLO_MAX };

/* What the client has said too early; the server gets it first. malloc'ed. */
struct tg_early {
	uint32_t len, cap;
	char bytes[];
};

/* Ask `accept`; tg_client_begin comes next. The client may be closed after it. */
void tg_tcp_admit(struct tg_client *client);

/* Its listener is of mode "tcp": from here on the connection is a request. The client may be closed after
 * it. */
void tg_tcp_begin(struct tg_client *client);

/* Bytes of the client, before there is a tunnel; returns how many were taken. */
size_t tg_tcp_early(struct tg_req *req, const char *data, size_t len);

/* The client has ended its side (0) or is broken (negative), before there is a tunnel. The request may
 * have ended. */
void tg_tcp_client_ended(struct tg_req *req, int status);

/* The time for its first bytes is over. The request may have ended. */
void tg_tcp_waited(struct tg_req *req);

/* It gets in line for a server. */
void tg_tcp_queued(struct tg_req *req);

/* Close it (a script's wish), by a reset or in order. 0, or UV_EBUSY: it has a server already. */
TG_MUST_USE int tg_tcp_reject(struct tg_req *req, bool reset);

/* Forget what was said too early. */
void tg_tcp_drop_early(struct tg_req *req);

#endif
