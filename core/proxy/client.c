#include "proxy/client.h"

#include <stdlib.h>
#include <uv.h>

#include "proxy/arrival.h"
#include "proxy/relay.h"
#include "proxy/req.h"
#include "proxy/secured.h"
#include "proxy/stream.h"
#include "proxy/tcp.h"
#include "proxy/tunnel.h"
#include "proxy/upstream.h"

enum {
	CLIENT_MAGIC = 0xc11e27,
	LINGER_MS = 2000,
	/* A client that ended its side may still read (RFC 9112 §9.6 allows it) or may be gone:
	 * only writing would tell. An answer that begins soon is still delivered, all of it; a slow
	 * request is cancelled. */
	HALF_CLOSED_MS = 500,
};

void
tg_client_await(struct tg_client *client, int64_t ms)
{
	if (ms > 0)
		tg_loop_timer_start(client->engine->loop, &client->timer, (uint64_t)ms);
	else
		tg_loop_timer_stop(client->engine->loop, &client->timer);
}

bool
tg_client_is_tunnel(const struct tg_client *client)
{
	return client->state == TG_CLIENT_BUSY && client->req->tunnel;
}

/* The client has gone, or is silent, between requests. Where none has come at all, the log may want
 * to know. */
static void
end_idle(struct tg_client *client, enum tg_end why)
{
	struct tg_req *req = NULL;

	if (client->fresh && tg_port_options(client->port)->log_empty)
		req = tg_req_new(client, true);
	if (req == NULL) {
		tg_client_close(client, false);
		return;
	}
	client->req = req;
	client->state = TG_CLIENT_BUSY;
	tg_req_end(req, why);
}

void
tg_client_unasked(struct tg_client *client, enum tg_end why)
{
	tg_cell_add(&client->engine->counters->ends[why], 1);
	end_idle(client, why);
}

static size_t
on_data(struct tg_conn *conn, char *data, size_t len)
{
	struct tg_client *client = tg_container_of(conn, struct tg_client, conn);
	size_t used = 0, n = 1;

	TG_CHECK(client, CLIENT_MAGIC);
	while (used < len && n > 0 && client->state != TG_CLIENT_CLOSING) {
		n = tg_client_hear(client, data + used, len - used);
		used += n;
	}
	if (client->state == TG_CLIENT_BUSY && client->req->sending)
		tg_relay_flush_request(client->req);
	tg_client_watch(client);
	return used;
}

/* How long to wait for the client's next move; it is busy. */
static int64_t
client_ms(struct tg_client *client)
{
	int64_t ms = client->req->listener->options.client_ms;

	client->taking = !tg_conn_drained(&client->conn);
	if (!client->taking)
		return ms;
	tg_pace_begin(&client->pace, &client->conn);
	return tg_pace_look_ms(ms);
}

void
tg_client_watch(struct tg_client *client)
{
	struct tg_req *req = client->req;
	bool expected;

	if (client->state != TG_CLIENT_BUSY || !req->head_done || req->tunnel)
		return;
	if (client->half_closed && !req->head_sent)
		return; /* on_end has set it */
	expected = !tg_conn_drained(&client->conn) ||
	    (!req->in_done && !client->conn.paused && (req->sending || req->discard) &&
	        !tg_req_awaits_continue(req));
	if (!expected) {
		tg_loop_timer_stop(client->engine->loop, &client->timer);
	} else if (!tg_timer_active(&client->timer) || client->progress >= TG_PROGRESS_BYTES ||
	    client->taking == tg_conn_drained(&client->conn)) {
		client->progress = 0;
		tg_client_await(client, client_ms(client));
	}
}

/* The ending of a request whose client went away in this phase. */
static enum tg_end
end_of_gone(const struct tg_req *req)
{
	if (!req->head_done)
		return TG_END_CLIENT_GONE_HEAD;
	if (req->waiter != NULL)
		return TG_END_CLIENT_GONE_QUEUE;
	if (req->head_sent || !req->in_done)
		return TG_END_CLIENT_GONE_DATA;
	return req->up != NULL && req->sending ? TG_END_CLIENT_GONE : TG_END_CLIENT_GONE_WAIT;
}

static void
on_end(struct tg_conn *conn, int status)
{
	struct tg_client *client = tg_container_of(conn, struct tg_client, conn);
	struct tg_req *req = client->req;

	TG_CHECK(client, CLIENT_MAGIC);
	if (client->state <= TG_CLIENT_IDLE) {
		end_idle(client, TG_END_CLIENT_GONE_HEAD);
		return;
	}
	if (client->state != TG_CLIENT_BUSY) {
		if (client->state != TG_CLIENT_FLUSH || status != 0)
			tg_client_close(client, false);
		return;
	}
	if (req->tunnel && status != 0 &&
	    client->stream != NULL) { /* nothing of it waits anywhere */
		tg_req_end(req, TG_END_TUNNEL_CLOSED);
		return;
	}
	if (req->tunnel) {
		tg_tunnel_client_ended(req, status);
		return;
	}
	if (req->view.raw) {
		tg_tcp_client_ended(req, status);
		return;
	}
	if (status == 0 && client->stream != NULL) { /* that of its body: it still listens */
		if (!req->in_done)
			tg_relay_request_end(req);
		return;
	}
	if (status != 0 || !req->head_done || !req->in_done) {
		tg_req_end(req, end_of_gone(req));
		return;
	}
	client->half_closed = true;
	if (!req->head_sent)
		tg_client_await(client, HALF_CLOSED_MS);
}

/* No more of its body comes. Where that was to be thrown away, the answer is none the worse. */
static void
end_body(struct tg_req *req)
{
	if (!req->discard) {
		tg_req_end(req, TG_END_BODY_TIMEOUT);
		return;
	}
	req->keep_client = false;
	tg_req_run(req);
}

/* The answer is on its way, and our side has ended. */
static bool
still_taking(struct tg_client *client)
{
	int64_t ms = tg_port_options(client->port)->client_ms;

	return tg_conn_untaken(&client->conn) > 0 &&
	    (ms == 0 || !tg_pace_stalled(&client->pace, &client->conn, ms));
}

static void
on_timer(struct tg_timer *timer)
{
	struct tg_client *client = tg_container_of(timer, struct tg_client, timer);
	struct tg_req *req = client->req;

	TG_CHECK(client, CLIENT_MAGIC);
	if (client->state == TG_CLIENT_SECURING)
		tg_client_unasked(client, TG_END_TLS_HANDSHAKE);
	else if (client->state == TG_CLIENT_SESSION)
		tg_session_goaway(client->session);
	else if (client->state <= TG_CLIENT_IDLE)
		end_idle(client, TG_END_NO_REQUEST);
	else if (client->state == TG_CLIENT_LINGER && still_taking(client))
		tg_client_await(client, LINGER_MS);
	else if (client->state != TG_CLIENT_BUSY)
		tg_client_close(client, false);
	else if (req->tunnel)
		tg_tunnel_look(req);
	else if (req->view.raw)
		tg_tcp_waited(req);
	else if (client->half_closed && !req->head_sent)
		tg_req_end(req, end_of_gone(req));
	else if (!req->head_done)
		tg_req_end(req,
		    tg_http1_started(&req->in_codec) ? TG_END_HEAD_TIMEOUT : TG_END_NO_REQUEST);
	else if (!client->taking)
		end_body(req);
	else if (tg_pace_stalled(&client->pace, &client->conn, req->listener->options.client_ms))
		tg_req_end(req, TG_END_CLIENT_TIMEOUT);
	else
		tg_client_await(client, tg_pace_look_ms(req->listener->options.client_ms));
}

/* --- the connection ----------------------------------------------------------------------- */

/* Bytes that come when all is closed would have the kernel answer with a reset, and drop what the client
 * has not taken yet (RFC 9112 §9.6). */
static void
linger(struct tg_client *client)
{
	if (client->stream != NULL || client->conn.ended ||
	    (client->clean && tg_conn_untaken(&client->conn) == 0)) {
		tg_client_close(client, false);
		return;
	}
	client->state = TG_CLIENT_LINGER;
	client->progress = 0;
	tg_pace_begin(&client->pace, &client->conn);
	tg_conn_shutdown(&client->conn);
	tg_client_await(client, LINGER_MS);
	tg_conn_resume(&client->conn);
}

void
tg_client_next(struct tg_client *client, bool keep, bool clean)
{
	if (client->state == TG_CLIENT_CLOSING)
		return;
	if (keep && !client->half_closed && !client->port->closed) {
		client->state = TG_CLIENT_IDLE;
		tg_client_await(client, tg_port_options(client->port)->keep_alive_ms);
		tg_conn_resume(&client->conn);
		return;
	}
	client->clean = clean && client->conn.kept == NULL;
	client->state = TG_CLIENT_FLUSH;
	if (tg_conn_drained(&client->conn))
		linger(client);
	else
		tg_client_await(client, LINGER_MS);
}

/* The client has taken all: what waited for that goes on. */
static void
go_on(struct tg_client *client)
{
	struct tg_req *req = client->req;

	if (req->tunnel) {
		tg_tunnel_drained(req);
		return;
	}
	client->progress = TG_PROGRESS_BYTES;
	tg_client_watch(client);
	if (req->relaying && req->up != NULL) {
		uint64_t serial = req->view.serial;

		tg_conn_resume(&req->up->conn);
		if (!tg_req_alive(req, serial))
			return;
		if (req->up != NULL)
			tg_upstream_watch(req->up);
	}
	tg_req_run(req);
}

static void
on_drain(struct tg_conn *conn)
{
	struct tg_client *client = tg_container_of(conn, struct tg_client, conn);

	TG_CHECK(client, CLIENT_MAGIC);
	if (client->state == TG_CLIENT_FLUSH)
		linger(client);
	else if (client->state == TG_CLIENT_IDLE) /* the answer of an error is out */
		tg_conn_resume(conn);
	else if (client->state == TG_CLIENT_BUSY)
		go_on(client);
	else if (client->state == TG_CLIENT_SESSION)
		tg_session_flush(client->session);
}

/* In a tunnel it may have said something before it went. */
static bool
on_write_failed(struct tg_conn *conn)
{
	struct tg_client *client = tg_container_of(conn, struct tg_client, conn);

	TG_CHECK(client, CLIENT_MAGIC);
	if (client->state != TG_CLIENT_BUSY || !client->req->tunnel || client->stream != NULL)
		return false;
	tg_tunnel_client_deaf(client->req);
	return true;
}

void
tg_client_close(struct tg_client *client, bool reset)
{
	TG_CHECK(client, CLIENT_MAGIC);
	if (client->state == TG_CLIENT_CLOSING)
		return;
	client->state = TG_CLIENT_CLOSING;
	tg_secured_leave(client);
	tg_loop_timer_stop(client->engine->loop, &client->timer);
	if (client->session != NULL) /* while it is still known by whom its streams came */
		tg_session_close(client->session);
	if (reset)
		tg_conn_reset(&client->conn);
	else
		tg_conn_close(&client->conn);
}

static void
on_closed(struct tg_conn *conn)
{
	struct tg_client *client = tg_container_of(conn, struct tg_client, conn);
	struct tg_engine *engine = client->engine;

	tg_assert(client->req == NULL);
	tg_link_remove(&client->link);
	client->magic = 0;
	if (client->stream != NULL) {
		tg_port_put(client->port);
		tg_stream_free(client->stream);
	} else {
		if (client->session != NULL)
			tg_session_free(client->session);
		free(client->proxied);
		tg_gauge_add(&engine->counters->connections, -1);
		tg_port_leave(client->port);
		tg_port_put(client->port);
		tg_blocks_put(&engine->client_blocks, client);
	}
	tg_engine_closed(engine);
}

static void
on_connect(struct tg_conn *conn, int status)
{
	struct tg_client *client = tg_container_of(conn, struct tg_client, conn);

	TG_CHECK(client, CLIENT_MAGIC);
	tg_arrival_secured(client, status);
}

static void
on_certificate(struct tg_conn *conn, const char *name)
{
	tg_secured_certify(tg_container_of(conn, struct tg_client, conn), name);
}

const struct tg_conn_ops tg_client_ops = {
	.on_connect = on_connect,
	.on_certificate = on_certificate,
	.on_data = on_data,
	.on_end = on_end,
	.on_drain = on_drain,
	.on_write_failed = on_write_failed,
	.on_closed = on_closed,
};

void
tg_client_init(struct tg_client *client, struct tg_port *port)
{
	struct tg_engine *engine = port->engine;

	memset(client, 0, offsetof(struct tg_client, conn));
	client->magic = CLIENT_MAGIC;
	client->state = TG_CLIENT_IDLE;
	client->fresh = true;
	client->accepted = tg_loop_now(engine->loop);
	client->engine = engine;
	client->port = port;
	client->root = client;
	port->users++;
	tg_timer_init(&client->timer, on_timer);
	tg_link_init(&client->link);
	tg_link_init(&client->line);
	tg_list_push_back(&engine->clients, &client->link);
	engine->open_handles++;
}

bool
tg_client_open_stream(struct tg_client *client, struct tg_stream *stream)
{
	struct tg_client *root = stream->session->client;

	tg_client_init(client, root->port);
	client->stream = stream;
	client->root = root;
	client->proxied = root->proxied;
	client->peer_port = root->peer_port;
	memcpy(client->ip, root->ip, sizeof(client->ip));
	client->fresh = false;
	client->req = tg_req_new(client, false);
	if (client->req != NULL)
		client->state = TG_CLIENT_BUSY;
	return client->req != NULL;
}
