/* Servers that are named by host: looked up when they appear, and again at intervals, without
 * blocking. A name that does not resolve leaves the server unusable until it does; one that no
 * longer resolves keeps its last address. Control thread only.
 */
#ifndef TG_PROCESS_RESOLVER_H
#define TG_PROCESS_RESOLVER_H

#include "net/loop.h"
#include "proxy/registry.h"

struct tg_resolver {
	struct tg_loop *loop;
	struct tg_registry *registry;
	struct tg_link jobs; /* lookups in flight */
	struct tg_timer again;
	unsigned turn;            /* of `again`: every so many turns all names are looked up */
	struct tg_timer limit;    /* for `ready` */
	void (*ready)(void *arg); /* all first lookups are done, or took too long */
	void *arg;
};

void tg_resolver_init(
    struct tg_resolver *resolver, struct tg_loop *loop, struct tg_registry *registry);

/* Look up all servers of the registry that have no address yet, then call `ready` (at once, if
 * there are none; after a few seconds in any case). One call at a time. */
void tg_resolver_wait(struct tg_resolver *resolver, void (*ready)(void *arg), void *arg);

/* `ready` will not be called. The lookups go on. */
void tg_resolver_forget(struct tg_resolver *resolver);

void tg_resolver_stop(struct tg_resolver *resolver);

#endif
