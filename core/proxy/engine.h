/* The proxy of one worker: its client connections, its pools of server connections, its memory
 * for requests, and the generation that new requests get. Owner thread only, but for counters.
 */
#ifndef TG_PROXY_ENGINE_H
#define TG_PROXY_ENGINE_H

#include "base/list.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "proxy/counters.h"
#include "proxy/hooks.h"
#include "proxy/limit.h"
#include "proxy/pool.h"

/* What the engines of a process have in common. */
struct tg_engines {
	struct tg_limit connections; /* clients of the process */
	atomic_int max_connections;  /* 0: no limit; written by the control thread */
	_Atomic uint64_t said_at;    /* ms: when it was last said that this limit is reached */
	unsigned count;              /* constant once threads run, like the list */
	struct tg_engine *list[TG_WORKERS_MAX];
};

struct tg_engine {
	uint32_t magic;
	unsigned worker; /* index: our cell of every server */
	struct tg_loop *loop;
	struct tg_engines *all;
	struct tg_mailbox *mailbox;    /* of this thread */
	struct tg_generation *current; /* new requests get this one */
	bool draining;                 /* no new connections; every answer closes */

	struct tg_link ports;          /* tg_port.link: addresses we accept on */
	struct tg_link clients;        /* tg_client.link */
	struct tg_link upstreams;      /* tg_upstream.all: connected, connecting, in a pool */
	struct tg_link waiters;        /* those in line for a server: queue.c */
	struct tg_link handshake_line; /* tg_client.line: those whose TLS has to wait */
	unsigned handshakes;           /* under way */
	unsigned open_handles; /* ports, clients, upstreams and waiters whose end is to come */

	/* Any thread sends it when a connection was closed that others may have waited for. */
	struct tg_message room;
	atomic_bool room_sent;
	struct tg_blocks client_blocks;
	struct tg_blocks stream_blocks;
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

/* The engine of thread `worker`; it is entered in `all`. */
void tg_engine_init(struct tg_engine *engine, struct tg_engines *all, struct tg_loop *loop,
    struct tg_mailbox *mailbox, unsigned worker, struct tg_counters *counters);

/* After on_idle and after the last generation was taken away. */
void tg_engine_fini(struct tg_engine *engine);

/* New requests get `generation` (one user of it is taken over). Ports, idle clients and idle
 * server connections that it no longer names are closed; the rest is not touched. */
void tg_engine_switch(struct tg_engine *engine, struct tg_generation *generation);

/* The server can no longer be used, or only by those that belong there (drain): idle connections to
 * one that cannot are closed, and who is in line for it goes elsewhere. When it is `down`, so do those of the requests that are on it that can, as their
 * backend's `on_down` says; when it was disabled, they are answered. */
void tg_engine_server_closed(struct tg_engine *engine, const struct tg_server *server, bool down);

/* A connection of a client was closed: there may be room for others, on any thread. */
void tg_engines_room(struct tg_engines *all);

/* Stop accepting, close what is idle, let requests end; then on_idle, once. */
void tg_engine_drain(struct tg_engine *engine);

/* Drain, but end the running requests now: all, or (`tunnels` false) all but tunnels. */
void tg_engine_stop(struct tg_engine *engine, bool tunnels);

/* A handle of ours was closed for good. */
void tg_engine_closed(struct tg_engine *engine);

/* Stop using a generation. */
void tg_generation_put(struct tg_generation *generation);

#endif
