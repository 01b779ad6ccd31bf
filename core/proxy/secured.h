/* Clients that come by TLS: from the connection, or the header of its proxy, to the end of the handshake.
 * A handshake costs memory and, above all, processor time: only so many are under way at once on a worker,
 * others wait in line, unread. Both under `timeout.handshake`.
 */
#ifndef TG_PROXY_SECURED_H
#define TG_PROXY_SECURED_H

#include <stdbool.h>

#include "base/assert.h"

struct tg_client;

/* The client's listener speaks TLS: begin. False: out of memory. */
TG_MUST_USE bool tg_secured_begin(struct tg_client *client);

/* Its handshake has ended, well (0) or not. False: it has failed; it was told to whom it matters. */
TG_MUST_USE bool tg_secured_end(struct tg_client *client, int status);

/* It is no longer at it, whatever the reason: another's turn. */
void tg_secured_leave(struct tg_client *client);

#endif
