/* After a server has agreed to change the protocol (101, RFC 9110 §7.8; WebSocket: RFC 6455), and in mode
 * "tcp" as soon as the server is there (tcp.h), the two connections are one tunnel: bytes both ways, with
 * the same back-pressure as bodies, until both sides have ended theirs or nothing moved for the backend's
 * `tunnel` timeout (mode "tcp": or, without one, for that of either side). The request lives as long, and
 * with it its place in limits, its generation and its line in the log.
 *
 * Who can no longer be written to may have said something before, which waits here or in the kernel: it is
 * read to its end and passed on, as TCP would have done between the two.
 */
#ifndef TG_PROXY_TUNNEL_H
#define TG_PROXY_TUNNEL_H

#include "proxy/req.h"

/* Is the server to be asked to change the protocol? Not for a request with content: who would read the
 * rest of it? */
bool tg_tunnel_wanted(const struct tg_req *req);

/* A 101 has come: is it one that was asked for? */
bool tg_tunnel_agreed(struct tg_req *req);

/* An answer has come that a client of HTTP/2 would take for a tunnel (RFC 8441 §4: any 2xx), and it is none. */
bool tg_tunnel_mistaken(const struct tg_req *req);

/* Send the head of the 101, and let the bytes flow. 0 or negative. */
TG_MUST_USE int tg_tunnel_start(struct tg_req *req);

/* The two connections are one from here on: of a 101 that was sent, or of mode "tcp". The request may
 * have ended. */
void tg_tunnel_open(struct tg_req *req);

/* Bytes from the one to the other; returns how many were taken. The request may have ended. */
size_t tg_tunnel_from_client(struct tg_req *req, const char *data, size_t len);
size_t tg_tunnel_from_server(struct tg_req *req, const char *data, size_t len);

/* That side has ended (0) or is broken (negative). The request may have ended. */
void tg_tunnel_client_ended(struct tg_req *req, int status);
void tg_tunnel_server_ended(struct tg_req *req, int status);

/* A queued write to that side has failed. The request may have ended. */
void tg_tunnel_client_deaf(struct tg_req *req);
void tg_tunnel_server_deaf(struct tg_req *req);

/* All that was queued is written, to the client or to the server. The request may have ended. */
void tg_tunnel_drained(struct tg_req *req);

/* The timer: has anything moved, or been taken by its receiver, of late? The request may have ended. */
void tg_tunnel_look(struct tg_req *req);

#endif
