/* The proxy of one worker: its client connections, its pools of server connections, its memory
 * for requests, and the generation that new requests get. Owner thread only, but for counters.
 */
#ifndef TG_PROXY_ENGINE_H
#define TG_PROXY_ENGINE_H

#include "base/list.h"
#include "net/listener.h"
#include "net/loop.h"
#include "proxy/counters.h"
#include "proxy/hooks.h"
#include "proxy/pool.h"

struct tg_engine {
	uint32_t magic;
	unsigned worker; /* index: our cell of every server */
	struct tg_loop *loop;
	struct tg_generation *current; /* new requests get this one */
	bool draining;                 /* no new connections; every answer closes */

	struct tg_link ports;     /* tg_port.link: addresses we accept on */
	struct tg_link clients;   /* tg_client.link */
	struct tg_link upstreams; /* tg_upstream.all: connected, connecting, in a pool */
	unsigned open_handles;    /* ports, clients and upstreams whose last close is to come */
	struct tg_blocks client_blocks;
	struct tg_blocks upstream_blocks;
	struct tg_pool *pools; /* by server id */
	unsigned pools_len;

	struct tg_link free_requests; /* never given back: see proxy/view.h */
	struct tg_link all_requests;
	unsigned next_slot;
	uint64_t next_serial;

	struct tg_counters *counters;
	void (*on_idle)(struct tg_engine *engine); /* drained: nothing is open any more */
	void *owner;
};

void tg_engine_init(
    struct tg_engine *engine, struct tg_loop *loop, unsigned worker, struct tg_counters *counters);

/* After on_idle and after the last generation was taken away. */
void tg_engine_fini(struct tg_engine *engine);

/* An address to accept on: `fd` from tg_listener_bind, `address` as in the plan. 0 or negative
 * (the descriptor is then closed). Call before the switch to the plan that names it. */
TG_MUST_USE int tg_engine_listen(
    struct tg_engine *engine, struct tg_str address, int fd, bool is_unix);

/* New requests get `generation` (one user of it is taken over). Ports, idle clients and idle
 * server connections that it no longer names are closed; the rest is not touched. */
void tg_engine_switch(struct tg_engine *engine, struct tg_generation *generation);

/* The server was marked down: idle connections to it are closed, and of the requests that are on
 * it those go elsewhere that can, as their backend's `on_down` says. */
void tg_engine_server_down(struct tg_engine *engine, const struct tg_server *server);

/* Stop accepting, close what is idle, let requests end; then on_idle, once. */
void tg_engine_drain(struct tg_engine *engine);

/* Drain, but end the running requests now. */
void tg_engine_stop(struct tg_engine *engine);

/* A handle of ours was closed for good. */
void tg_engine_closed(struct tg_engine *engine);

/* Stop using a generation. */
void tg_generation_put(struct tg_generation *generation);

#endif
