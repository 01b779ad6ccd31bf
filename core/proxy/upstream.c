#include "proxy/upstream.h"

#include <uv.h>

#include "base/log.h"
#include "net/tls.h"
#include "proxy/engine.h"
#include "proxy/proxied.h"
#include "proxy/queue.h"
#include "proxy/relay.h"
#include "proxy/req.h"
#include "proxy/steps.h"
#include "proxy/tunnel.h"

/* Who connects looks so often whether the server has gone silent meanwhile. Longer than any
 * round trip: a connection that is merely far away must come about. */
enum { UPSTREAM_MAGIC = 0x5e21e4, CONNECT_LOOK_MS = 500 };

static const struct tg_conn_ops upstream_ops;

static struct tg_server_cell *
cell_of(struct tg_upstream *up)
{
	return &up->server->cells[up->engine->worker];
}

static void
start_timer(struct tg_upstream *up, int64_t ms)
{
	if (ms > 0)
		tg_loop_timer_start(up->engine->loop, &up->timer, (uint64_t)ms);
	else
		tg_loop_timer_stop(up->engine->loop, &up->timer);
}

void
tg_upstream_watch(struct tg_upstream *up)
{
	struct tg_req *req = up->req;
	bool owes;

	if (req == NULL || !up->connected)
		return;
	/* It owes us bytes, or room for ours, or leave to send the body; not while we or the client
	 * are the slow ones. */
	owes = req->in_done || !tg_conn_drained(&up->conn) || tg_req_awaits_continue(req);
	owes = owes && !up->conn.paused && !req->out_done && !req->tunnel && !req->tcp;
	if (owes && !tg_conn_drained(&up->conn)) {
		tg_pace_begin(&up->pace, &up->conn);
		start_timer(up, tg_pace_look_ms(req->backend->options.server_ms));
	} else {
		start_timer(up, owes ? req->backend->options.server_ms : 0);
	}
}

/* --- silence (server.h) ------------------------------------------------------------------- */

/* A request of this upstream has waited `ms` in vain. */
static void
unheard(struct tg_upstream *up, int64_t ms)
{
	struct tg_req *req = up->req;
	uint64_t now = tg_loop_now(up->engine->loop);

	if (up->multiplexed)
		tg_call_unheard(up, ms);
	if (!tg_server_unheard(up->server, now - (uint64_t)ms, now))
		return;
	atomic_fetch_add(&req->backend->state->epoch, 1);
	tg_log(TG_LOG_WARNING, "backend %s: server %s is silent: not a byte within %lld ms",
	    req->backend->name.ptr, up->server->name.ptr, (long long)ms);
}

void
tg_upstream_heard(struct tg_upstream *up)
{
	struct tg_req *req = up->req;

	if (!tg_server_heard(up->server, up->engine->worker, tg_loop_now(up->engine->loop)))
		return;
	atomic_fetch_add(&req->backend->state->epoch, 1);
	tg_queue_open(req->backend->state, up->server);
	tg_log(TG_LOG_NOTICE, "backend %s: server %s answers again", req->backend->name.ptr,
	    up->server->name.ptr);
}

/* Is there another server that could be asked, and is not silent? */
static bool
has_other(const struct tg_upstream *up)
{
	const struct tg_plan_backend *backend = up->req->backend;

	for (unsigned i = 0; i < backend->count; i++) {
		const struct tg_server *other = backend->servers[i].server;

		if (other != up->server && !tg_server_silent(other) &&
		    tg_plan_candidate(backend, i))
			return true;
	}
	return false;
}

/* The handshake has failed, or what came later: with TLS 1.3 a server that does not like our certificate says
 * so when we have sent the request already. Each request that finds it so would say the same. */
static void
tell_tls_failure(struct tg_upstream *up)
{
	const struct tg_req *req = up->req;

	if (tg_server_may_tell(up->server, tg_loop_now(up->engine->loop)))
		tg_log(TG_LOG_WARNING, "backend %s: server %s: TLS: %s", req->backend->name.ptr,
		    up->server->name.ptr, tg_tls_failure(&up->conn));
}

/* --- the response ------------------------------------------------------------------------- */

/* Bytes of a response head; 0: all was used. */
static size_t
read_head(struct tg_upstream *up, const char *data, size_t len)
{
	struct tg_req *req = up->req;
	size_t used = 0;
	int r;

	r = tg_http1_head(&req->out_codec, data, len, &used);
	req->out_started = true;
	if (r < 0) {
		tg_req_attempt_failed(
		    req, r == TG_HTTP_MEMORY ? TG_END_MEMORY : TG_END_BAD_RESPONSE);
		return len;
	}
	if (r == 1) {
		req->poisoned = used < len; /* unless a body takes them */
		req->out_head_done = true;
		req->step = tg_step_response;
		tg_req_run(req);
	}
	return used;
}

static size_t
on_data(struct tg_conn *conn, char *data, size_t len)
{
	struct tg_upstream *up = tg_container_of(conn, struct tg_upstream, conn);
	struct tg_req *req = up->req;
	uint64_t serial = req != NULL ? req->view.serial : 0;
	size_t used = 0;

	TG_CHECK(up, UPSTREAM_MAGIC);
	if (req == NULL) { /* idle: bytes that belong to no request */
		tg_upstream_close(up);
		return len;
	}
	tg_upstream_heard(up);
	while (used < len && up->req == req && tg_req_alive(req, serial)) {
		if (!req->out_head_done)
			used += read_head(up, data + used, len - used);
		else if (req->tunnel)
			used += tg_tunnel_from_server(req, data + used, len - used);
		else if (req->relaying && !req->out_done)
			used += tg_relay_response(req, data + used, len - used);
		else
			break;
	}
	if (up->req == req && tg_req_alive(req, serial)) {
		if (req->relaying && !req->out_done)
			tg_relay_flush_response(req);
		if (up->req == req && tg_req_alive(req, serial))
			tg_upstream_watch(up);
	}
	return up->req == req ? used : len;
}

static void
on_end(struct tg_conn *conn, int status)
{
	struct tg_upstream *up = tg_container_of(conn, struct tg_upstream, conn);
	struct tg_req *req = up->req;

	TG_CHECK(up, UPSTREAM_MAGIC);
	if (req != NULL && status == UV_EPROTO && tg_conn_secure(conn))
		tell_tls_failure(up);
	if (req == NULL)
		tg_upstream_close(up);
	else if (req->tunnel)
		tg_tunnel_server_ended(req, status);
	else if (!req->relaying)
		tg_req_attempt_failed(req, TG_END_SERVER_CLOSED);
	else
		tg_relay_response_end(req, status);
}

static void
on_drain(struct tg_conn *conn)
{
	struct tg_upstream *up = tg_container_of(conn, struct tg_upstream, conn);
	struct tg_req *req = up->req;
	uint64_t serial;

	TG_CHECK(up, UPSTREAM_MAGIC);
	if (req == NULL)
		return;
	if (req->tunnel) {
		tg_tunnel_drained(req);
		return;
	}
	serial = req->view.serial;
	tg_relay_resume_request(req); /* also when all was read: the client's end is to be seen */
	if (tg_req_alive(req, serial) && req->up == up)
		tg_upstream_watch(up);
}

/* We or the client are slow, or a script waits: the server may have answered before it went. */
static bool
on_write_failed(struct tg_conn *conn)
{
	struct tg_upstream *up = tg_container_of(conn, struct tg_upstream, conn);

	TG_CHECK(up, UPSTREAM_MAGIC);
	up->write_dead = true;
	if (up->req == NULL)
		tg_upstream_close(up);
	else if (up->req->tunnel)
		tg_tunnel_server_deaf(up->req);
	else
		tg_relay_resume_request(up->req);
	return true;
}

/* --- connecting --------------------------------------------------------------------------- */

/* The connection is there. What is to be said before TLS is said, then the handshake begins; its end comes to
 * on_connect, too. 0 or negative. */
static int
secure(struct tg_upstream *up)
{
	const struct tg_req *req = up->req;
	char greeting[TG_PROXYPROTO_WRITE];
	int version = req->backend->options.send_proxy, err = 0;
	SSL *ssl;

	if (version != 0) {
		struct tg_str header = { greeting,
			tg_proxied_write(req->client, version, greeting) };

		err = tg_conn_write(&up->conn, &header, 1);
	}
	if (err != 0)
		return err;
	ssl = tg_tls_context_connect(up->tls, up->server->identity.ptr, up->server->address.ptr);
	return ssl != NULL ? tg_tls_start(&up->conn, ssl) : UV_ENOMEM;
}

static void
on_connect(struct tg_conn *conn, int status)
{
	struct tg_upstream *up = tg_container_of(conn, struct tg_upstream, conn);
	struct tg_req *req = up->req;
	bool shaken = tg_conn_secure(conn);

	TG_CHECK(up, UPSTREAM_MAGIC);
	tg_assert(req != NULL); /* detach closes, and then on_connect does not come */
	if (status == 0 && up->tls != NULL && !shaken) {
		status = secure(up);
		if (status == 0)
			return;
	}
	if (shaken && status != 0) {
		tell_tls_failure(up);
		tg_req_attempt_failed(req, TG_END_CONNECT_TLS);
	} else if (status == UV_ECONNREFUSED) {
		tg_req_attempt_failed(req, TG_END_CONNECT_REFUSED);
	} else if (status == UV_ECONNRESET || status == UV_EPIPE) {
		/* It did accept, and was gone before we looked. */
		tg_req_attempt_failed(req, req->tcp ? TG_END_CONNECT_FAILED : TG_END_SERVER_CLOSED);
	} else if (status != 0) {
		tg_req_attempt_failed(
		    req, status == UV_ETIMEDOUT ? TG_END_CONNECT_TIMEOUT : TG_END_CONNECT_FAILED);
	} else {
		up->connected = true;
		if (req->tcp)
			tg_upstream_heard(
			    up); /* nobody knows what its protocol has it say, and when */
		req->step = req->tcp ? tg_step_open : tg_step_send;
		tg_req_run(req);
	}
}

/* Until the connect timeout, or the next look at the server. */
static void
await_connect(struct tg_upstream *up)
{
	uint64_t left = up->connect_by - tg_loop_now(up->engine->loop);

	start_timer(up, left < CONNECT_LOOK_MS ? (int64_t)left : CONNECT_LOOK_MS);
}

/* The kernel of a server that is stopped accepts connections until its queue is full, and then
 * lets them wait: when others have found it silent there is nothing to wait for. */
static void
on_connect_timer(struct tg_upstream *up)
{
	struct tg_req *req = up->req;
	uint64_t now = tg_loop_now(up->engine->loop);

	if (now >= up->connect_by)
		unheard(up, req->backend->options.connect_ms);
	else if (!tg_server_silent(up->server) || !has_other(up)) {
		await_connect(up);
		return;
	}
	tg_req_attempt_failed(req, TG_END_CONNECT_TIMEOUT);
}

static void
on_timer(struct tg_timer *timer)
{
	struct tg_upstream *up = tg_container_of(timer, struct tg_upstream, timer);
	struct tg_req *req = up->req;

	TG_CHECK(up, UPSTREAM_MAGIC);
	if (req == NULL) {
		tg_upstream_close(up);
		return;
	}
	if (!up->connected) {
		on_connect_timer(up);
		return;
	}
	if (!tg_conn_drained(&up->conn) &&
	    !tg_pace_stalled(&up->pace, &up->conn, req->backend->options.server_ms)) {
		start_timer(up, tg_pace_look_ms(req->backend->options.server_ms));
		return;
	}
	if (!tg_req_awaits_continue(req)) /* else it may be waiting for the body */
		unheard(up, req->backend->options.server_ms);
	if (!req->out_head_done)
		tg_req_attempt_failed(req, TG_END_SERVER_TIMEOUT);
	else
		tg_req_end(req, TG_END_RESPONSE_TIMEOUT);
}

void
tg_upstream_attach(struct tg_upstream *up, struct tg_req *req)
{
	TG_CHECK(up, UPSTREAM_MAGIC);
	tg_assert(up->req == NULL && req->up == NULL);
	up->req = req;
	req->up = up;
	req->view.reused = up->connected;
	up->reused = up->connected;
	tg_cell_add(&cell_of(up)->requests, 1);
	tg_gauge_add(&cell_of(up)->active, 1);
}

/* All but its conn. */
static void
init(struct tg_upstream *up, struct tg_engine *engine, struct tg_server *server,
    struct tg_tls_context *tls)
{
	memset(up, 0, offsetof(struct tg_upstream, conn));
	up->magic = UPSTREAM_MAGIC;
	up->engine = engine;
	up->server = tg_server_get(server);
	up->tls = tls != NULL ? tg_tls_context_get(tls) : NULL;
	tg_timer_init(&up->timer, on_timer);
	tg_link_init(&up->pooled);
	tg_link_init(&up->all);
	tg_list_push_back(&engine->upstreams, &up->all);
	engine->open_handles++;
}

/* Until then it has to be connected. */
static void
limit_connect(struct tg_upstream *up)
{
	int64_t ms = up->req->backend->options.connect_ms;

	up->connect_by = ms > 0 ? tg_loop_now(up->engine->loop) + (uint64_t)ms : UINT64_MAX;
	await_connect(up);
}

int
tg_upstream_connect(struct tg_req *req, struct tg_server *server)
{
	struct tg_engine *engine = req->engine;
	const struct tg_addr *addr = atomic_load_explicit(&server->addr, memory_order_acquire);
	struct tg_upstream *up;
	int err;

	if (addr == NULL)
		return TG_END_UNRESOLVED;
	do {
		up = tg_blocks_get(&engine->upstream_blocks);
		if (up == NULL)
			return TG_END_MEMORY;
		init(up, engine, server, req->backend->tls);
		err = tg_conn_connect(&up->conn, engine->loop, &upstream_ops, addr);
		/* Idle connections are a luxury when descriptors are out. */
	} while ((err == UV_EMFILE || err == UV_ENFILE) && tg_pools_shrink(engine) > 0);
	if (err != 0)
		return TG_END_CONNECT_FAILED;
	tg_cell_add(&cell_of(up)->connects, 1);
	tg_upstream_attach(up, req);
	limit_connect(up);
	return TG_END_NONE;
}

int
tg_upstream_call(struct tg_req *req, struct tg_server *server)
{
	enum tg_end failure = TG_END_MEMORY;
	struct tg_upstream *up = tg_blocks_get(&req->engine->upstream_blocks);
	struct tg_trunk *trunk;

	if (up == NULL)
		return TG_END_MEMORY;
	trunk = tg_trunk_for(req, server, &failure);
	if (trunk == NULL) {
		tg_blocks_put(&req->engine->upstream_blocks, up);
		return failure;
	}
	trunk->idle_ms = req->backend->options.pool_idle_ms;
	init(up, req->engine, server, req->backend->tls);
	up->multiplexed = true;
	up->connected = trunk->open;
	tg_call_init(up, trunk, &upstream_ops);
	tg_upstream_attach(up, req);
	if (!up->connected)
		limit_connect(up);
	return TG_END_NONE;
}

/* --- the end ------------------------------------------------------------------------------ */

void
tg_upstream_detach(struct tg_req *req, bool reusable)
{
	struct tg_upstream *up = req->up;

	if (up == NULL)
		return;
	TG_CHECK(up, UPSTREAM_MAGIC);
	req->up = NULL;
	up->req = NULL;
	tg_gauge_add(&cell_of(up)->active, -1);
	if (reusable && !up->conn.ended && !up->multiplexed)
		tg_pool_give(req->engine, up, (unsigned)req->backend->options.pool_size,
		    req->backend->options.pool_idle_ms);
	else
		tg_upstream_close(up);
}

void
tg_upstream_close(struct tg_upstream *up)
{
	TG_CHECK(up, UPSTREAM_MAGIC);
	tg_assert(up->req == NULL);
	tg_pool_forget(up->engine, up);
	tg_loop_timer_stop(up->engine->loop, &up->timer);
	tg_conn_close(&up->conn);
}

static void
on_closed(struct tg_conn *conn)
{
	struct tg_upstream *up = tg_container_of(conn, struct tg_upstream, conn);
	struct tg_engine *engine = up->engine;

	TG_CHECK(up, UPSTREAM_MAGIC);
	tg_link_remove(&up->all);
	tg_server_put(up->server);
	if (up->tls != NULL)
		tg_tls_context_put(up->tls);
	up->magic = 0;
	tg_blocks_put(&engine->upstream_blocks, up);
	tg_engine_closed(engine);
}

static const struct tg_conn_ops upstream_ops = {
	.on_connect = on_connect,
	.on_data = on_data,
	.on_end = on_end,
	.on_drain = on_drain,
	.on_write_failed = on_write_failed,
	.on_closed = on_closed,
};
