/* A server as all threads know it: one truth about health and load. It outlives generations:
 * a reload that names the same backend, name and address gets the same object.
 *
 * Counters are a cell per worker, written by that worker alone and summed by who reads, so that
 * the request path needs no atomic read-modify-write.
 */
#ifndef TG_PROXY_SERVER_H
#define TG_PROXY_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/str.h"
#include "net/addr.h"
#include "proxy/health.h"
#include "proxy/limit.h"
#include "proxy/view.h"

enum { TG_WORKERS_MAX = 256 };

/* Written by one worker; read by any thread. */
struct tg_server_cell {
	_Alignas(64) _Atomic uint64_t requests; /* requests sent (attempts) */
	_Atomic uint64_t connects;              /* connections opened */
	_Atomic uint64_t failures;              /* attempts that failed */
	_Atomic int64_t active;                 /* requests in flight */
	_Atomic int64_t idle;                   /* connections in the pool */
	_Atomic uint64_t heard_at;              /* the last byte of it; ms, the loops' clock */
};

struct tg_server {
	uint32_t magic;
	uint32_t id;      /* unique in the process, small: the index of its pools */
	atomic_uint refs; /* any thread */
	atomic_bool up;   /* any thread; written by the control thread */
	atomic_int admin; /* any thread: enum tg_admin_state; written by the control thread */
	int declared;     /* control: what the configuration last said of that */
	_Atomic uint64_t told_at; /* any thread: when it was last said that its TLS fails; ms */
	_Atomic uint64_t try_at;  /* any thread; 0: not silent. Else: when a request may try it
	                            again; ms, the loops' clock */

	/* See proxy/queue.h. */
	atomic_int max_connections; /* any thread: of the current plan; 0: no limit */
	struct tg_limit slots;      /* requests, where it has a limit */
	struct tg_link waiters;     /* under the lock of its backend: who waits for this server */
	uint64_t served;            /* under that lock: of them, ever */

	_Atomic(struct tg_addr *) addr; /* any thread; NULL: the name is not resolved yet */
	struct tg_str backend;          /* constant: the names that identify it */
	struct tg_str name;
	struct tg_str address;
	struct tg_str host;     /* constant: to be resolved; ptr NULL when the address is literal */
	struct tg_str identity; /* constant: host, IP, or "unix": whom its certificate names */
	uint16_t port;
	uint32_t hash; /* constant: of the three names, for the registry */
	struct tg_health health;
	unsigned cells_len; /* constant: number of workers */
	struct tg_server_cell cells[];
};

/* A new server with one reference; NULL: out of memory. `address` must have been parsed (see
 * tg_addr_parse); a name is resolved later, by whoever calls tg_server_set_addr. */
TG_MUST_USE struct tg_server *tg_server_new(
    unsigned workers, struct tg_str backend, struct tg_str name, struct tg_str address);
struct tg_server *tg_server_get(struct tg_server *server);
void tg_server_put(struct tg_server *server);

/* Control thread: the name resolves to `addr` now. 0 or UV_ENOMEM. */
TG_MUST_USE int tg_server_set_addr(struct tg_server *server, const struct tg_addr *addr);

/* Silence. A server that let a request wait to the end of its time, and said nothing to anybody
 * meanwhile, gets no more requests as long as there are others: it may be stopped, while its kernel
 * accepts connections for it, and its checks find that out later. Once a second it is tried with a
 * request that can be sent again without harm; a byte of it, to anyone, ends the silence. */

/* The worker has waited since `since` for a word of the server, in vain. Whether it counts as
 * silent from now on and has not before. */
TG_MUST_USE bool tg_server_unheard(struct tg_server *server, uint64_t since, uint64_t now);

/* Bytes of it came to this worker. Whether that ended a silence. */
TG_MUST_USE bool tg_server_heard(struct tg_server *server, unsigned worker, uint64_t now);

/* It is silent: may this request try it? `harmless`: it can be sent again. Others may too, when
 * there has been none of those for ten seconds. */
TG_MUST_USE bool tg_server_try(struct tg_server *server, bool harmless, uint64_t now);

/* It fails in a way that every request finds again: may it be said? Once in ten seconds, by one. */
TG_MUST_USE bool tg_server_may_tell(struct tg_server *server, uint64_t now);

static inline bool
tg_server_silent(const struct tg_server *server)
{
	return atomic_load_explicit(&server->try_at, memory_order_relaxed) != 0;
}

/* A counter of a cell: written by its owner only, so load and store suffice. */
static inline void
tg_cell_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(
	    counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void
tg_gauge_add(_Atomic int64_t *gauge, int64_t n)
{
	atomic_store_explicit(
	    gauge, atomic_load_explicit(gauge, memory_order_relaxed) + n, memory_order_relaxed);
}

struct tg_server_sums {
	uint64_t requests, connects, failures;
	int64_t active, idle;
};

/* The sums over all workers. */
struct tg_server_sums tg_server_sum(const struct tg_server *server);

/* May a request go there: one that belongs there (stickiness)? */
static inline bool
tg_server_usable(const struct tg_server *server)
{
	return atomic_load_explicit(&server->up, memory_order_relaxed) &&
	    atomic_load_explicit(&server->addr, memory_order_relaxed) != NULL &&
	    atomic_load_explicit(&server->admin, memory_order_relaxed) != TG_ADMIN_DISABLED;
}

/* And any request? */
static inline bool
tg_server_open(const struct tg_server *server)
{
	return tg_server_usable(server) &&
	    atomic_load_explicit(&server->admin, memory_order_relaxed) == TG_ADMIN_READY;
}

#endif
