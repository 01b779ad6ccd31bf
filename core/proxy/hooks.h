/* The hook table: the only way by which the engine asks for a decision. policy/ fills it with
 * functions that run Lua; a C unit test may fill it with C. This header is the documentation of
 * the life of a request as scripts see it.
 *
 * A slot is called only where the plan says that somebody wants it (has_route, has_pick …): an
 * empty slot costs nothing. All run on the request's thread.
 */
#ifndef TG_PROXY_HOOKS_H
#define TG_PROXY_HOOKS_H

#include "proxy/end.h"
#include "proxy/plan.h"

struct tg_certify;
struct tg_req;

enum tg_hook_result {
	TG_HOOK_DONE,   /* decided; the decision is in the request */
	TG_HOOK_PARKED, /* the script waits; tg_req_resume will be called, exactly once, unless
	                   the request is cancelled first */
	TG_HOOK_FAILED, /* a script error, already logged */
};

struct tg_hooks {
	/* A client has connected, nothing of it was read (but its proxy's header). Decides by
	 * tg_tcp_reject, or lets it in. FAILED: it is closed. */
	enum tg_hook_result (*accept)(struct tg_req *req);

	/* Head complete, nothing sent. Decides by view.backend, or answers (tg_req_answer; of a
	 * connection of mode "tcp": tg_tcp_reject). Skipped when the listener names one backend.
	 * FAILED: 500. */
	enum tg_hook_result (*route)(struct tg_req *req);

	/* Backend chosen. Decides by view.server (-1: no server, 503). Called again after a retry
	 * verdict of "redispatch", with the failed server in view.server. FAILED: the engine's own
	 * round robin decides, and it is counted. It may answer, too. */
	enum tg_hook_result (*pick)(struct tg_req *req);

	/* The final response head is there, nothing of it sent; it may be edited, or replaced
	 * (tg_req_answer). Not called for answers of our own. FAILED: 500. In mode "tcp": the
	 * connection to the server is there, nothing of it sent or read. */
	enum tg_hook_result (*response)(struct tg_req *req);

	/* The attempt failed before a response byte. `failure` is its row. Decides by
	 * req->verdict, or answers (tg_req_answer), whatever it decides; where its body is not kept
	 * whole it can only give up. FAILED: give up. */
	enum tg_hook_result (*retry)(struct tg_req *req, enum tg_end failure);

	/* A client of TLS asks for a name for which its listener has no certificate. Decides by
	 * certify->certificate (counted; NULL: the default). PARKED: tg_secured_certified will be
	 * called, unless it is cancelled. FAILED: the default. */
	enum tg_hook_result (*certificate)(struct tg_certify *certify);

	/* The client is gone while that is parked. */
	void (*cancel_certificate)(struct tg_certify *certify);

	/* The request has ended (view.end): the log line. Cannot wait. */
	void (*finish)(struct tg_req *req);

	/* A script keeps a table for this request (view.has_context): forget it. */
	void (*release)(struct tg_req *req);

	/* The request ends while a hook is parked: forget the wait. */
	void (*cancel)(struct tg_req *req);
};

/* One loaded configuration on one thread: the plan and who decides. Requests hold it from
 * their first byte to their end. Owner thread only. */
struct tg_generation {
	struct tg_plan *plan;
	const struct tg_hooks *hooks;
	void *policy;   /* for the hooks: the VM */
	unsigned users; /* requests, and 1 while it is the current one */
	void (*on_unused)(struct tg_generation *generation); /* users fell to 0: free it */
};

#endif
