/* The handshake of a WebSocket as HTTP/1 has it (RFC 6455 §4), for clients that ask by HTTP/2 and so know
 * nothing of it (RFC 8441 §5.1): a key for the server, and what it has to answer to that.
 */
#ifndef TG_HTTP_WEBSOCKET_H
#define TG_HTTP_WEBSOCKET_H

#include "base/str.h"

enum { TG_WEBSOCKET_KEY = 24, TG_WEBSOCKET_ACCEPT = 28 }; /* bytes, without the NUL */

/* A new key, into out[TG_WEBSOCKET_KEY + 1]. */
void tg_websocket_key(char *out);

/* What accepts `key`, into out[TG_WEBSOCKET_ACCEPT + 1]. */
void tg_websocket_accept(struct tg_str key, char *out);

#endif
