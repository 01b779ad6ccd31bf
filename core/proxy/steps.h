/* The steps of a request, in order; see core/README.md for the diagram. */
#ifndef TG_PROXY_STEPS_H
#define TG_PROXY_STEPS_H

#include "proxy/hooks.h"
#include "proxy/req.h"

/* Call a hook, or take the decision of the one that was parked. A connection that a script rejects has
 * ended, and counts as parked. */
enum tg_hook_result tg_step_ask(struct tg_req *req, enum tg_hook_result (*hook)(struct tg_req *));

/* Of connections that are no requests (tcp.h): */
enum tg_next tg_step_accept(struct tg_req *req);  /* may it come in */
enum tg_next tg_step_inspect(struct tg_req *req); /* its first bytes */
enum tg_next tg_step_open(struct tg_req *req);    /* the server is there: the tunnel */

enum tg_next tg_step_judge(struct tg_req *req);    /* may it be forwarded at all */
enum tg_next tg_step_route(struct tg_req *req);    /* which backend, or our own answer */
enum tg_next tg_step_pick(struct tg_req *req);     /* which server */
enum tg_next tg_step_queue(struct tg_req *req);    /* a slot of it, or in line for one */
enum tg_next tg_step_connect(struct tg_req *req);  /* pooled, or begin a new connection */
enum tg_next tg_step_send(struct tg_req *req);     /* the head to the server */
enum tg_next tg_step_await(struct tg_req *req);    /* parked until the response head is there */
enum tg_next tg_step_response(struct tg_req *req); /* edits; the head to the client */
enum tg_next tg_step_relay(struct tg_req *req);    /* parked while the body flows */
enum tg_next tg_step_tunnel(struct tg_req *req);   /* parked: the protocol was changed */
enum tg_next tg_step_complete(struct tg_req *req); /* all came: release the server, flush */
enum tg_next tg_step_retry(struct tg_req *req);    /* the attempt failed: what now */
enum tg_next tg_step_answer(struct tg_req *req);   /* our own answer */

#endif
