/* A client from its accept to its first request: who it is (its proxy's header), whether it may come in (tcp.h), its
 * TLS (secured.h), and which protocol it speaks. In that order, and each only where its listener says so.
 */
#ifndef TG_PROXY_ARRIVAL_H
#define TG_PROXY_ARRIVAL_H

#include "proxy/port.h"

struct tg_client;

/* A connection came in; owns fd. */
void tg_client_accept(struct tg_port *port, int fd, const struct tg_addr *peer);

/* Call the client by that address. */
void tg_client_name(struct tg_client *client, const struct tg_addr *addr);

/* It may come in: TLS, where its listener speaks that, and then what it has to say. It may be closed after
 * this. */
void tg_client_begin(struct tg_client *client);

/* Bytes of its proxy's header; returns how many were taken. */
size_t tg_arrival_proxied(struct tg_client *client, const char *data, size_t len);

/* Its TLS handshake has ended, well (0) or not. */
void tg_arrival_secured(struct tg_client *client, int status);

/* Does it speak HTTP/2, without having asked (RFC 9113 §3.3)? No method is called PRI. What looked like it and
 * is not goes to a request. Returns how many bytes were taken. */
size_t tg_arrival_sniff(struct tg_client *client, const char *data, size_t len);

#endif
