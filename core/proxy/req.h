/* A request: a small state machine, from the first byte of its head to the one place where
 * every request ends (tg_req_end). Steps are functions; one dispatcher (tg_req_run) calls them
 * until one waits. Whoever makes progress possible calls tg_req_run again.
 *
 * Ending marks; the dispatcher, or the outermost caller, finishes. So a step may end its request
 * and still look at it. The memory is type-stable: ended requests go to a free list of their
 * thread and are never given back, which is what lets scripts keep stale handles safely.
 */
#ifndef TG_PROXY_REQ_H
#define TG_PROXY_REQ_H

#include "base/arena.h"
#include "base/list.h"
#include "http/http1.h"
#include "proxy/engine.h"
#include "proxy/view.h"

struct tg_client;
struct tg_early;
struct tg_upstream;
struct tg_waiter;

enum { TG_REQ_MAGIC = 0x4e90e57 };

/* A body that nobody wants is read and thrown away up to this size, so that the connection can
 * go on; beyond it the connection is closed (design: early answers). */
enum { TG_DISCARD_MAX = 64 * 1024 };

enum tg_next {
	TG_NEXT_GO,   /* req->step was changed, or the request has ended: go on */
	TG_NEXT_WAIT, /* an event will call tg_req_run */
};

enum tg_hook_state { TG_HOOK_FREE, TG_HOOK_WAITS, TG_HOOK_READY };

struct tg_req {
	struct tg_req_view view; /* first: what scripts see */
	uint32_t magic;
	struct tg_link link; /* in engine->free_requests while free */
	struct tg_link all;  /* in engine->all_requests, for ever */

	/* Owner and surroundings; constant during the request. */
	struct tg_engine *engine;
	struct tg_client *client;
	struct tg_generation *generation; /* one user */
	const struct tg_plan_listener *listener;

	/* The machine. */
	enum tg_next (*step)(struct tg_req *req);
	bool running;           /* the dispatcher is on the stack */
	uint8_t hook;           /* enum tg_hook_state */
	uint8_t hook_result;    /* enum tg_hook_result, when READY */
	uint8_t verdict;        /* enum of policy: what the retry hook decided */
	void *task;             /* the policy's, while a hook waits */
	uint8_t failure;        /* enum tg_end of the attempt that failed last */
	bool tcp;               /* a connection of mode "tcp", to its end (tcp.h) */
	bool rejected;          /* a script wants it closed */
	bool admitted;          /* it was there for `accept` only, which has let the client in */
	bool cut;               /* tcp: the client's end of it is a reset */
	bool inspecting;        /* tcp: its first bytes are looked at */
	struct tg_early *early; /* tcp: of the client, for the server; NULL: none */

	/* The request, from the client. */
	struct tg_arena arena;
	struct tg_head in;
	struct tg_str
	    asked_host; /* host[:port] that the client asked for, whatever a script made of it */
	struct tg_http1 in_codec;
	bool head_done;
	struct tg_head *in_trailers; /* behind its body, in the arena; NULL: none */
	bool in_done;                /* all of its body was read */
	bool awaits_continue;        /* the client sends nothing more before it is told something */
	bool discard;                /* its body goes nowhere */
	bool forwarded;              /* what we add is added: Via, X-Forwarded-…, a hop less */
	struct tg_str *captured;     /* for the log, one per capture of the listener; NULL: none */

	/* The attempt. */
	const struct tg_plan_backend *backend;
	const struct tg_plan_server *server;
	struct tg_upstream *up;
	struct tg_server *slot;        /* counted: of which it holds a slot; NULL: none (queue.h) */
	struct tg_waiter *waiter;      /* in line for a slot; NULL: not */
	const struct tg_server *avoid; /* has just failed: a redispatch goes to another */
	bool bound;                    /* no other server will do than the one that was picked */
	bool fresh;                    /* do not take a pooled connection */
	bool repeated;                 /* went again after its pooled connection was found closed */
	bool sending;                  /* the head is written (or in unsent): the body may follow */
	bool sent;                     /* the server may have seen it */
	struct tg_str unsent;          /* head for the server, to be written with what follows it */
	char *kept;                  /* in the arena: what was read of the body, to be sent again */
	uint32_t kept_len, kept_cap; /* kept_len < bytes_in: it was too long, and cannot be */

	/* The response. */
	struct tg_head out;
	struct tg_http1 out_codec;
	struct tg_head *out_trailers; /* behind its body, in the arena; NULL: none, or dropped */
	bool out_started;             /* a byte of the final or an interim head came */
	bool out_head_done;
	bool relaying;          /* the head was accepted: the body goes to the client */
	bool out_done;          /* all of the body came */
	bool poisoned;          /* bytes came behind it: the connection is not reused */
	bool answered;          /* a script, not a server, answers: `out` and `answer` */
	bool keep_client;       /* the client's connection goes on after this */
	bool head_sent;         /* of the final response, to the client */
	bool tunnel;            /* the protocol was changed: bytes, whatever they mean (tunnel.h) */
	bool deaf;              /* tunnel: the client takes nothing more */
	uint8_t out_framing;    /* enum tg_framing, towards the client */
	uint8_t interims;       /* 1xx heads relayed */
	uint32_t interim_bytes; /* of these */
	struct tg_str unsent_out; /* head for the client, to be written with what follows it */
	struct tg_str answer;     /* body of our own answer */

	/* Milliseconds of the loop's clock, for the log. */
	uint64_t began, head_at, picked_at, connected_at;
};

/* A request of this client, with the engine's current generation; NULL: out of memory. `empty`: none
 * has come and none will; it is for the log only, and is counted nowhere. */
TG_MUST_USE struct tg_req *tg_req_new(struct tg_client *client, bool empty);

/* The head is complete: fill the view and start the machine. */
void tg_req_start(struct tg_req *req);

/* Run steps until one waits. No-op when it runs already. The request may be gone after it. */
void tg_req_run(struct tg_req *req);

/* End the request. The first reason wins. It may be gone after this, unless a step calls. */
void tg_req_end(struct tg_req *req, enum tg_end end);

/* A parked hook has decided (policy). The request may be gone after it. */
void tg_req_resume(struct tg_req *req, enum tg_hook_result result);

/* Answer instead of a server (policy, from within a hook): `out` becomes an empty head of that
 * status, and `body` is copied. 0, UV_ENOMEM, or UV_EBUSY when a response head is on its way. */
TG_MUST_USE int tg_req_answer(struct tg_req *req, int status, struct tg_str body);

/* Trailers (NULL: none) that go on behind a body are kept as *kept, for as long as the request. 0 or TG_HTTP_MEMORY. */
TG_MUST_USE int tg_req_keep_trailers(
    struct tg_req *req, struct tg_head **kept, const struct tg_head *trailers);

/* The view's target, path, query and host are those of the head again (after an edit). */
void tg_req_refresh(struct tg_req *req);

/* Is it alive, and not ended within the current stack? */
static inline bool
tg_req_alive(const struct tg_req *req, uint64_t serial)
{
	return req->view.serial == serial && req->view.end == TG_END_NONE;
}

/* The attempt failed with the ending `kind` before or within its response: repeat, ask the
 * retry policy, or end. Closes the upstream. */
void tg_req_attempt_failed(struct tg_req *req, enum tg_end kind);

/* The server that the request is on was marked down. */
void tg_req_server_down(struct tg_req *req);

/* The server that the request is in line for can no longer be used. The request may be gone after it. */
void tg_req_pick_anew(struct tg_req *req);

/* May it be sent again without doing something twice (RFC 9110 §9.2.2), and is its body still
 * whole? */
bool tg_req_safe(const struct tg_req *req);

/* Is there all that was read of its body, so that it can be sent again? */
static inline bool
tg_req_body_whole(const struct tg_req *req)
{
	return req->kept_len == (uint64_t)req->view.bytes_in;
}

/* Does its method do the same however often it is done (RFC 9110 §9.2.2)? */
bool tg_req_idempotent(const struct tg_req *req);

/* Does the client wait for leave to send its body, or for its answer (RFC 9110 §10.1.1)? */
static inline bool
tg_req_awaits_continue(const struct tg_req *req)
{
	return req->awaits_continue;
}

void tg_requests_fini(struct tg_engine *engine);

#endif
