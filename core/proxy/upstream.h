/* A connection to a server: one attempt of a request, or idle in a pool. Reads the response and
 * hands it to the request; a failure before the first response byte is the retry policy's.
 */
#ifndef TG_PROXY_UPSTREAM_H
#define TG_PROXY_UPSTREAM_H

#include "base/list.h"
#include "net/conn.h"
#include "proxy/call.h"
#include "proxy/end.h"
#include "proxy/pace.h"
#include "proxy/server.h"

struct tg_engine;
struct tg_req;

struct tg_upstream {
	uint32_t magic;
	bool connected;
	bool reused;           /* has served a request before this one */
	bool write_dead;       /* writing failed: the server reads no more, but may have answered */
	struct tg_link all;    /* in engine->upstreams */
	struct tg_link pooled; /* in its pool, while idle */
	struct tg_engine *engine;
	struct tg_server *server;   /* counted */
	struct tg_tls_context *tls; /* counted; NULL: none is spoken */
	struct tg_req *req;         /* NULL: idle or closing */
	uint64_t idle_since;        /* turn of the loop in which it came into its pool */
	uint64_t connect_by;        /* loop ms; the connect timeout. UINT64_MAX: none */
	struct tg_pace pace;        /* of the request's body, while it is queued */
	struct tg_timer timer;      /* connect, server or pool idle timeout */
	bool multiplexed;           /* its conn is carried by `call` */
	struct tg_call call;
	struct tg_conn conn;
};

/* Bytes of its server have come. */
void tg_upstream_heard(struct tg_upstream *up);

/* Begin to connect for `req`; on success the request is attached. 0, or the ending that the
 * attempt came to at once. */
TG_MUST_USE int tg_upstream_connect(struct tg_req *req, struct tg_server *server);

/* Give a pooled connection to a request. */
void tg_upstream_attach(struct tg_upstream *up, struct tg_req *req);

/* The same where the server speaks HTTP/2. When a connection is there, the upstream is connected at once. */
TG_MUST_USE int tg_upstream_call(struct tg_req *req, struct tg_server *server);

/* The request is done with it: to the pool when `reusable`, else closed. */
void tg_upstream_detach(struct tg_req *req, bool reusable);

/* Set or stop the timer for what the server is expected to do now. */
void tg_upstream_watch(struct tg_upstream *up);

/* Close an upstream that no request uses. */
void tg_upstream_close(struct tg_upstream *up);

#endif
