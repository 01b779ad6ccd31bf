/* Host names to addresses without blocking: getaddrinfo in libuv's thread pool. */
#ifndef TG_NET_RESOLVE_H
#define TG_NET_RESOLVE_H

#include "base/str.h"
#include "net/addr.h"
#include "net/loop.h"

struct tg_resolve;

/* Look `host` up; `done` gets 0 and the first address with that port, or a negative libuv code
 * (UV_EAI_…) and NULL. Never called from within this call. NULL: it could not begin (out of
 * memory, or a name of over 255 bytes). */
TG_MUST_USE struct tg_resolve *tg_resolve_start(struct tg_loop *loop, struct tg_str host,
    uint16_t port, void (*done)(void *arg, int status, const struct tg_addr *addr), void *arg);

/* `done` will not be called. */
void tg_resolve_cancel(struct tg_resolve *resolve);

#endif
