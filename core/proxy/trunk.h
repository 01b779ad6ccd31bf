/* A connection to a server that speaks HTTP/2, which requests of one worker share: each is a stream of it, a call
 * (call.h). It is there once the settings of the server have come: so whoever is no server of HTTP/2 is found out before
 * anything was sent to it, and how many streams it takes is known. Until then calls wait; those that it has no room
 * for go to another trunk.
 *
 * A trunk without calls is kept for as long as a connection of HTTP/1 would be in its pool (pool.h), where it is
 * listed, too. It ends, by itself and in its deferred work, when the server leaves (GOAWAY) and the last call has ended.
 */
#ifndef TG_PROXY_TRUNK_H
#define TG_PROXY_TRUNK_H

#include "http/http2.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proxy/end.h"

struct tg_call;
struct tg_engine;
struct tg_req;
struct tg_server;
struct tg_tls_context;

struct tg_trunk {
	uint32_t magic;
	uint8_t failure; /* enum tg_end: why it has not come about */
	bool open;       /* it takes calls at once */
	bool retired;    /* it takes no more */
	bool idle;       /* counted so */
	struct tg_engine *engine;
	struct tg_server *server;   /* counted */
	struct tg_tls_context *tls; /* counted; NULL: none is spoken */
	struct tg_link link;        /* in its pool */
	struct tg_link calls;       /* tg_call.link: those that have, or may have, a stream */
	struct tg_link waiting;     /* tg_call.link: those that wait for the connection */
	unsigned waiters;
	uint64_t heard_at;     /* ms of the loop's clock: the last bytes */
	int64_t idle_ms;       /* of the backend, when the last call came */
	struct tg_str backend; /* of the server, for the log */
	struct tg_deferred flush;
	struct tg_timer timer; /* idle */
	struct tg_http2 h2;
	struct tg_conn conn;
};

/* A trunk to the server for a call of that request: one that is there and has room, else one that is coming about, else a
 * new one. NULL: *failure says why. */
TG_MUST_USE struct tg_trunk *tg_trunk_for(
    struct tg_req *req, struct tg_server *server, enum tg_end *failure);

/* The call is on it: among `calls` when it is open, else `waiting`. */
void tg_trunk_join(struct tg_trunk *trunk, struct tg_call *call);

/* Neither: nothing points at the call afterwards. */
void tg_trunk_leave(struct tg_trunk *trunk, struct tg_call *call);

/* It takes no more calls, and ends with the last. */
void tg_trunk_retire(struct tg_trunk *trunk);

/* The same, if it has no calls. Whether it has none. */
bool tg_trunk_retire_idle(struct tg_trunk *trunk);

#endif
