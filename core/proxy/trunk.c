#include "proxy/trunk.h"

#include <stdlib.h>

#include "base/log.h"
#include "net/tls.h"
#include "proxy/call.h"
#include "proxy/engine.h"
#include "proxy/req.h"

enum { TRUNK_MAGIC = 0x7401c };

static const struct tg_conn_ops conn_ops;

static struct tg_trunk *
trunk_of(struct tg_http2 *h2)
{
	return tg_container_of(h2, struct tg_trunk, h2);
}

static struct tg_server_cell *
cell_of(const struct tg_trunk *trunk)
{
	return &trunk->server->cells[trunk->engine->worker];
}

/* --- the codec's side ------------------------------------------------------------------------- */

static int
write_out(struct tg_http2 *h2, const struct tg_str *parts, unsigned count)
{
	return tg_conn_write(&trunk_of(h2)->conn, parts, count);
}

static bool
writable(struct tg_http2 *h2)
{
	return tg_conn_drained(&trunk_of(h2)->conn);
}

static void
on_wants_flush(struct tg_http2 *h2)
{
	struct tg_trunk *trunk = trunk_of(h2);

	tg_loop_defer(trunk->engine->loop, &trunk->flush);
}

static const struct tg_http2_ops ops = {
	.on_head = tg_call_on_head,
	.on_data = tg_call_on_data,
	.on_end = tg_call_on_end,
	.on_reset = tg_call_on_reset,
	.on_drained = tg_call_on_drained,
	.write = write_out,
	.writable = writable,
	.on_wants_flush = on_wants_flush,
};

/* --- ends ------------------------------------------------------------------------------------- */

static bool
unused(const struct tg_trunk *trunk)
{
	return tg_list_empty(&trunk->calls) && tg_list_empty(&trunk->waiting);
}

static void
count_idle(struct tg_trunk *trunk, bool idle)
{
	if (trunk->idle != idle)
		tg_gauge_add(&cell_of(trunk)->idle, idle ? 1 : -1);
	trunk->idle = idle;
}

/* It is over: its calls are lost. Not from within the codec. */
static void
close_trunk(struct tg_trunk *trunk, enum tg_end failure)
{
	struct tg_link *link;

	if (trunk->conn.closing)
		return;
	trunk->open = false;
	trunk->retired = true;
	count_idle(trunk, false);
	tg_link_remove(&trunk->link);
	tg_loop_timer_stop(trunk->engine->loop, &trunk->timer);
	tg_conn_close(&trunk->conn);
	tg_http2_fini(&trunk->h2);
	while ((link = tg_list_pop_front(&trunk->calls)) != NULL)
		tg_container_of(link, struct tg_call, link)->trunk = NULL;
	while ((link = tg_list_pop_front(&trunk->waiting)) != NULL)
		tg_call_lost(tg_container_of(link, struct tg_call, link), failure);
	tg_deferred_cancel(&trunk->flush);
}

/* Go on as its calls want it: write what there is, wait for others, or end. */
static void
settle(struct tg_trunk *trunk)
{
	struct tg_engine *engine = trunk->engine;

	if (trunk->conn.closing)
		return;
	if (trunk->open)
		tg_http2_flush(&trunk->h2);
	if (trunk->conn.closing)
		return;
	if (trunk->open && tg_http2_done(&trunk->h2)) {
		close_trunk(trunk, TG_END_SERVER_CLOSED);
	} else if (!unused(trunk)) {
		count_idle(trunk, false);
		tg_loop_timer_stop(engine->loop, &trunk->timer);
	} else if (!trunk->open || trunk->retired || engine->draining || trunk->h2.leaving ||
	    !tg_pool_takes(engine, trunk->server)) {
		tg_http2_goaway(&trunk->h2);
		if (trunk->open)
			tg_http2_flush(&trunk->h2);
		close_trunk(trunk, TG_END_SERVER_CLOSED);
	} else if (!trunk->idle) {
		count_idle(trunk, true);
		if (trunk->idle_ms > 0)
			tg_loop_timer_start(engine->loop, &trunk->timer, (uint64_t)trunk->idle_ms);
	}
}

static void
run_flush(struct tg_deferred *flush)
{
	struct tg_trunk *trunk = tg_container_of(flush, struct tg_trunk, flush);

	TG_CHECK(trunk, TRUNK_MAGIC);
	settle(trunk);
}

static void
on_timer(struct tg_timer *timer)
{
	tg_trunk_retire(tg_container_of(timer, struct tg_trunk, timer));
}

void
tg_trunk_retire(struct tg_trunk *trunk)
{
	TG_CHECK(trunk, TRUNK_MAGIC);
	trunk->retired = true;
	tg_link_remove(&trunk->link);
	on_wants_flush(&trunk->h2);
}

bool
tg_trunk_retire_idle(struct tg_trunk *trunk)
{
	bool idle = unused(trunk);

	if (idle)
		tg_trunk_retire(trunk);
	return idle;
}

/* --- the connection --------------------------------------------------------------------------- */

/* Its end, or its failure. Each request that finds it so would say the same. */
static void
fail(struct tg_trunk *trunk, enum tg_end failure, const char *why)
{
	if (why != NULL && tg_server_may_tell(trunk->server, tg_loop_now(trunk->engine->loop)))
		tg_log(TG_LOG_WARNING, "backend %s: server %s: %s", trunk->server->backend.ptr,
		    trunk->server->name.ptr, why);
	close_trunk(trunk, failure);
}

/* Has the server agreed to speak HTTP/2, by ALPN? */
static bool
agreed(const struct tg_trunk *trunk)
{
	const unsigned char *name;
	unsigned len;

	SSL_get0_alpn_selected(tg_tls_ssl(&trunk->conn), &name, &len);
	return len == 2 && memcmp(name, "h2", 2) == 0;
}

static int
secure(struct tg_trunk *trunk)
{
	SSL *ssl = tg_tls_context_connect(
	    trunk->tls, trunk->server->identity.ptr, trunk->server->address.ptr);

	return ssl != NULL ? tg_tls_start(&trunk->conn, ssl) : UV_ENOMEM;
}

static enum tg_end
failure_of(int status)
{
	switch (status) {
	case UV_ECONNREFUSED:
		return TG_END_CONNECT_REFUSED;
	case UV_ECONNRESET:
	case UV_EPIPE: /* it did accept, and was gone before we looked */
		return TG_END_SERVER_CLOSED;
	case UV_ETIMEDOUT:
		return TG_END_CONNECT_TIMEOUT;
	default:
		return TG_END_CONNECT_FAILED;
	}
}

static void
on_connect(struct tg_conn *conn, int status)
{
	struct tg_trunk *trunk = tg_container_of(conn, struct tg_trunk, conn);
	bool shaken = tg_conn_secure(conn);

	TG_CHECK(trunk, TRUNK_MAGIC);
	if (status == 0 && trunk->tls != NULL && !shaken) {
		status = secure(trunk);
		if (status == 0)
			return;
	}
	if (shaken && status != 0) {
		char why[512];

		snprintf(why, sizeof(why), "TLS: %s", tg_tls_failure(conn));
		fail(trunk, TG_END_CONNECT_TLS, why);
	} else if (status != 0) {
		fail(trunk, failure_of(status), NULL);
	} else if (shaken && !agreed(trunk)) {
		fail(trunk, TG_END_CONNECT_TLS, "TLS: it does not agree to speak HTTP/2 (ALPN h2)");
	} else {
		tg_conn_resume(conn);
		tg_http2_flush(&trunk->h2); /* the preface */
	}
}

/* The settings have come. Calls may close one another, so each is taken by itself. */
static void
open_trunk(struct tg_trunk *trunk)
{
	unsigned room = tg_http2_room(&trunk->h2);
	struct tg_link *link;

	trunk->open = true;
	for (unsigned i = 0; (i < room || i == 0) && !tg_list_empty(&trunk->waiting); i++) {
		link = tg_list_pop_front(&trunk->waiting);
		trunk->waiters--;
		tg_list_push_back(&trunk->calls, link);
		tg_call_ready(tg_container_of(link, struct tg_call, link));
	}
	while ((link = tg_list_pop_front(&trunk->waiting)) != NULL) {
		trunk->waiters--;
		tg_call_crowded(tg_container_of(link, struct tg_call, link));
	}
	on_wants_flush(&trunk->h2);
}

static size_t
on_data(struct tg_conn *conn, char *data, size_t len)
{
	struct tg_trunk *trunk = tg_container_of(conn, struct tg_trunk, conn);
	int broken;

	TG_CHECK(trunk, TRUNK_MAGIC);
	trunk->heard_at = tg_loop_now(trunk->engine->loop);
	if (trunk->h2.broken)
		return len;
	broken = tg_http2_receive(&trunk->h2, data, len, tg_loop_now(trunk->engine->loop));
	tg_http2_flush(&trunk->h2);
	if (broken != 0 || tg_http2_done(&trunk->h2))
		fail(trunk, trunk->open ? TG_END_SERVER_CLOSED : TG_END_CONNECT_FAILED,
		    trunk->h2.agreed ? NULL : "it does not speak HTTP/2");
	else if (trunk->h2.agreed && !trunk->open)
		open_trunk(trunk);
	return len;
}

static void
on_end(struct tg_conn *conn, int status)
{
	struct tg_trunk *trunk = tg_container_of(conn, struct tg_trunk, conn);

	TG_CHECK(trunk, TRUNK_MAGIC);
	(void)status;
	close_trunk(trunk, TG_END_SERVER_CLOSED);
}

static void
on_drain(struct tg_conn *conn)
{
	on_wants_flush(&tg_container_of(conn, struct tg_trunk, conn)->h2);
}

static void
on_closed(struct tg_conn *conn)
{
	struct tg_trunk *trunk = tg_container_of(conn, struct tg_trunk, conn);
	struct tg_engine *engine = trunk->engine;

	TG_CHECK(trunk, TRUNK_MAGIC);
	tg_assert(unused(trunk));
	tg_deferred_cancel(&trunk->flush);
	tg_server_put(trunk->server);
	if (trunk->tls != NULL)
		tg_tls_context_put(trunk->tls);
	trunk->magic = 0;
	free(trunk);
	tg_engine_closed(engine);
}

static const struct tg_conn_ops conn_ops = {
	.on_connect = on_connect,
	.on_data = on_data,
	.on_end = on_end,
	.on_drain = on_drain,
	.on_closed = on_closed,
};

/* --- calls ------------------------------------------------------------------------------------ */

/* NULL: *failure. */
static struct tg_trunk *
connect_trunk(
    struct tg_req *req, struct tg_server *server, struct tg_link *list, enum tg_end *failure)
{
	const struct tg_addr *addr = atomic_load_explicit(&server->addr, memory_order_acquire);
	const struct tg_plan_backend *backend = req->backend;
	struct tg_engine *engine = req->engine;
	struct tg_http2_limits limits = { .head = req->listener->limits,
		.streams = (uint32_t)backend->options.max_streams };
	struct tg_trunk *trunk = addr != NULL ? calloc(1, sizeof(*trunk)) : NULL;

	*failure = addr == NULL ? TG_END_UNRESOLVED : TG_END_MEMORY;
	if (trunk == NULL)
		return NULL;
	if (tg_http2_client_init(&trunk->h2, &ops, &limits, &engine->loop->small,
	        &engine->loop->large, tg_loop_now(engine->loop)) != 0) {
		free(trunk);
		return NULL;
	}
	trunk->magic = TRUNK_MAGIC;
	trunk->engine = engine;
	trunk->server = tg_server_get(server);
	trunk->tls = backend->tls != NULL ? tg_tls_context_get(backend->tls) : NULL;
	tg_link_init(&trunk->link);
	tg_link_init(&trunk->calls);
	tg_link_init(&trunk->waiting);
	tg_timer_init(&trunk->timer, on_timer);
	tg_deferred_init(&trunk->flush, run_flush);
	engine->open_handles++;
	*failure = TG_END_CONNECT_FAILED;
	if (tg_conn_connect(&trunk->conn, engine->loop, &conn_ops, addr) != 0) {
		trunk->retired = true; /* it is being closed */
		tg_http2_fini(&trunk->h2);
		return NULL;
	}
	tg_cell_add(&cell_of(trunk)->connects, 1);
	tg_list_push_back(list, &trunk->link);
	return trunk;
}

struct tg_trunk *
tg_trunk_for(struct tg_req *req, struct tg_server *server, enum tg_end *failure)
{
	struct tg_link *list = tg_pool_trunks(req->engine, server), *link;
	struct tg_trunk *coming = NULL;

	*failure = TG_END_MEMORY;
	if (list == NULL)
		return NULL;
	for (link = list->next; link != list; link = link->next) {
		struct tg_trunk *trunk = tg_container_of(link, struct tg_trunk, link);

		if (trunk->server != server || trunk->tls != req->backend->tls)
			continue;
		if (trunk->open && tg_http2_room(&trunk->h2) > 0)
			return trunk;
		if (!trunk->open && trunk->waiters < (unsigned)req->backend->options.max_streams)
			coming = trunk;
	}
	return coming != NULL ? coming : connect_trunk(req, server, list, failure);
}

void
tg_trunk_join(struct tg_trunk *trunk, struct tg_call *call)
{
	TG_CHECK(trunk, TRUNK_MAGIC);
	if (!trunk->open)
		trunk->waiters++;
	tg_list_push_back(trunk->open ? &trunk->calls : &trunk->waiting, &call->link);
	count_idle(trunk, false);
	tg_loop_timer_stop(trunk->engine->loop, &trunk->timer);
}

void
tg_trunk_leave(struct tg_trunk *trunk, struct tg_call *call)
{
	TG_CHECK(trunk, TRUNK_MAGIC);
	if (!trunk->open && tg_link_linked(&call->link))
		trunk->waiters--;
	tg_link_remove(&call->link);
	if (unused(trunk))
		on_wants_flush(&trunk->h2);
}
