/* Idle connections to one server, of one worker. Last in, first out: the warmest is reused and
 * the rest ages out. An idle connection goes on reading, so that a server that closes it is
 * noticed at once.
 */
#ifndef TG_PROXY_POOL_H
#define TG_PROXY_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct tg_engine;
struct tg_server;
struct tg_tls_context;
struct tg_upstream;

struct tg_pool {
	struct tg_link idle;   /* tg_upstream.pooled, the latest first */
	struct tg_link trunks; /* tg_trunk.link: connections of HTTP/2, idle or not */
	unsigned count;
	struct tg_server *server; /* counted; NULL: not in the current plan, takes nothing */
};

/* The connections of HTTP/2 to the server; NULL: out of memory. */
struct tg_link *tg_pool_trunks(struct tg_engine *engine, const struct tg_server *server);

/* Is the server one of the current plan, so that connections to it are worth keeping? */
bool tg_pool_takes(struct tg_engine *engine, const struct tg_server *server);

/* The current plan names these servers: pools of others are emptied and closed. */
void tg_pools_sync(struct tg_engine *engine);

/* Close everything. */
void tg_pools_clear(struct tg_engine *engine);

/* Close all idle connections: descriptors are out. How many there were. */
unsigned tg_pools_shrink(struct tg_engine *engine);

/* Close the idle connections to the server; it stays in the plan. */
void tg_pool_drop(struct tg_engine *engine, const struct tg_server *server);

/* An idle connection to the server that speaks TLS of that context (NULL: plain), taken out of its pool, or
 * NULL. The kernel is asked first: what the server has said on it unasked must not be taken for an answer, and a
 * request must not be sent where nobody reads it. One that came into the pool in this turn of the loop was read from
 * in it: for a request that is repeatable, should it have ended since, the kernel is not asked again. */
struct tg_upstream *tg_pool_take(struct tg_engine *engine, struct tg_server *server,
    const struct tg_tls_context *tls, bool repeatable);

/* Give a connection back that is between two requests; closes it when the pool is full. */
void tg_pool_give(struct tg_engine *engine, struct tg_upstream *up, unsigned size, int64_t idle_ms);

/* An idle connection leaves its pool (it was closed). */
void tg_pool_forget(struct tg_engine *engine, struct tg_upstream *up);

#endif
