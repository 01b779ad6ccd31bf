/* Requests that wait for a server with room. A server with `max_connections` has so many slots; a
 * request holds one from the moment its server is chosen until the server is done with it. Who finds
 * all taken gets in line: in the one line of the backend for any server, or in that of a server when
 * no other will do (stickiness). Lines are shared by all workers and served in order, the older of
 * the two heads first, so that no worker's requests overtake another's.
 *
 * A slot that is given back goes to the next in line at once, by a message to its worker, and is
 * never free in between. Without anybody in line, taking and giving back are one atomic operation
 * each; a server without a limit has no slots and costs nothing. Rejected: a line per worker, which
 * divides the limit and is as unfair as the kernel's choice of a worker.
 */
#ifndef TG_PROXY_QUEUE_H
#define TG_PROXY_QUEUE_H

#include <stdatomic.h>
#include <uv.h>

#include "base/assert.h"
#include "base/list.h"

struct tg_backend_state;
struct tg_engine;
struct tg_req;
struct tg_server;
struct tg_waiter;

/* The lines of a backend. */
struct tg_queue {
	uv_mutex_t lock;
	struct tg_link any;  /* under lock: who takes any server, the oldest first */
	uint64_t served;     /* under lock: of `any`, ever */
	uint64_t next_age;   /* under lock */
	atomic_uint waiting; /* any thread: in all lines; written under lock */
};

enum tg_queue_result {
	TG_QUEUE_GO,    /* req->server is its server now, with a slot where it has slots */
	TG_QUEUE_WAITS, /* in line: its step runs again when it has a slot, or is to pick anew */
	TG_QUEUE_FULL,  /* the line is as long as it may be */
	TG_QUEUE_MEMORY,
};

/* Take a slot of req->server, which was picked. If it has none: of any other that will do, or get
 * in line. With `bound` only that server will do. */
TG_MUST_USE enum tg_queue_result tg_queue_enter(struct tg_req *req, bool bound);

/* Leave the line, if it is in one: the request ends or picks anew. */
void tg_queue_leave(struct tg_req *req);

/* Give back the slot that the request holds, if it does. */
void tg_queue_give(struct tg_req *req);

/* The server takes requests (again): its free slots go to those in line. Any thread. */
void tg_queue_open(struct tg_backend_state *state, struct tg_server *server);

/* The server takes no more requests, or only those that belong there (drain): those of this worker
 * that wait for it in vain pick anew, and so do all of the backend when it has no server left. */
void tg_queue_closed(struct tg_engine *engine, const struct tg_server *server);

/* 0 or a negative libuv code. */
TG_MUST_USE int tg_queue_init(struct tg_queue *queue);
void tg_queue_fini(struct tg_queue *queue);

#endif
