#include "proxy/client.h"

#include <stdlib.h>
#include <uv.h>

#include "proxy/relay.h"
#include "proxy/req.h"
#include "proxy/secured.h"
#include "proxy/tcp.h"
#include "proxy/tunnel.h"
#include "proxy/upstream.h"

enum {
	CLIENT_MAGIC = 0xc11e27,
	PORT_MAGIC = 0x9047,
	LINGER_MS = 2000,
	LINGER_BYTES = 1024 * 1024,
	/* A client that ended its side may still read (RFC 9112 §9.6 allows it) or may be gone:
	 * only writing would tell. An answer that begins soon is still delivered, all of it; a slow
	 * request is cancelled. */
	HALF_CLOSED_MS = 500,
};

static const struct tg_conn_ops client_ops;

static void
start_timer(struct tg_client *client, int64_t ms)
{
	if (ms > 0)
		tg_loop_timer_start(client->engine->loop, &client->timer, (uint64_t)ms);
	else
		tg_loop_timer_stop(client->engine->loop, &client->timer);
}

/* --- requests ----------------------------------------------------------------------------- */

static enum tg_end
end_of_error(int error)
{
	switch (error) {
	case TG_HTTP_URI_TOO_LONG:
		return TG_END_URI_TOO_LONG;
	case TG_HTTP_TOO_LARGE:
		return TG_END_HEAD_TOO_LARGE;
	case TG_HTTP_VERSION:
		return TG_END_VERSION;
	case TG_HTTP_NOT_IMPLEMENTED:
		return TG_END_NOT_IMPLEMENTED;
	case TG_HTTP_MEMORY:
		return TG_END_MEMORY;
	default:
		return TG_END_BAD_REQUEST;
	}
}

static size_t
read_head(struct tg_client *client, const char *data, size_t len)
{
	struct tg_req *req = client->req;
	size_t used = 0;
	int r = tg_http1_head(&req->in_codec, data, len, &used);

	if (r < 0) {
		req->view.method = req->in.method;
		req->view.target = req->in.target;
		tg_req_end(req, end_of_error(r));
		return len;
	}
	if (r == 1) {
		tg_loop_timer_stop(client->engine->loop, &client->timer);
		tg_req_start(req);
	}
	return used;
}

static void end_idle(struct tg_client *client, enum tg_end why);

/* What comes before a request has gone wrong: it is counted, like the endings of requests. */
static void
end_unasked(struct tg_client *client, enum tg_end why)
{
	tg_cell_add(&client->engine->counters->ends[why], 1);
	end_idle(client, why);
}

/* What it has to say is next: its first request, or, in mode "tcp", whatever it is. */
static void
listen_to(struct tg_client *client)
{
	const struct tg_listener_options *options = tg_port_options(client->port);

	client->state = TG_CLIENT_IDLE;
	if (options->tcp) {
		tg_tcp_begin(client);
		return;
	}
	start_timer(client, options->head_ms);
	tg_conn_resume(&client->conn);
}

void
tg_client_begin(struct tg_client *client)
{
	const struct tg_plan_listener *listener = tg_port_listener(client->port);

	if (listener->tls == NULL) {
		listen_to(client);
		return;
	}
	start_timer(client, listener->options.handshake_ms);
	if (!tg_secured_begin(client))
		tg_client_close(client, false);
}

/* Who it is, is known. */
static void
greet(struct tg_client *client)
{
	if (tg_port_options(client->port)->has_accept)
		tg_tcp_admit(client);
	else
		tg_client_begin(client);
}

/* The header of a proxy. */
static size_t
read_proxied(struct tg_client *client, const char *data, size_t len)
{
	bool done;
	int used = tg_proxied_read(client, data, len, &done);

	if (used < 0) {
		end_unasked(client, TG_END_PROXY_HEADER);
		return len;
	}
	if (done)
		greet(client);
	return (size_t)used;
}

/* The length of empty lines before another request: some clients send one behind a body (RFC 9112 §2.2).
 * They are no request, and nobody is given more time for them. */
static size_t
empty_lines(struct tg_client *client, const char *data, size_t len)
{
	size_t at = 0;

	while (at < len && data[at] == (client->half_line ? '\n' : '\r')) {
		client->half_line = !client->half_line;
		at++;
	}
	return at;
}

/* The request's reader has to judge what begins with half an empty line. */
static void
give_half_line(struct tg_client *client)
{
	size_t used;

	if (client->half_line)
		(void)!tg_http1_head(&client->req->in_codec, "\r", 1, &used);
	client->half_line = false;
}

/* Let the request take what it wants of the bytes; 0: nothing now. */
static size_t
consume(struct tg_client *client, char *data, size_t len)
{
	struct tg_req *req = client->req;

	if (client->state == TG_CLIENT_PROXIED)
		return read_proxied(client, data, len);
	if (client->state == TG_CLIENT_SECURING)
		return 0; /* it is not ours */
	if (client->state == TG_CLIENT_IDLE) {
		size_t empty = client->fresh ? 0 : empty_lines(client, data, len);

		if (empty > 0)
			return empty;
		if (!tg_conn_drained(&client->conn))
			return 0; /* or answers would pile up for who asks and does not read */
		req = tg_req_new(client, false);
		if (req == NULL) {
			tg_client_close(client, false);
			return len;
		}
		client->req = req;
		client->state = TG_CLIENT_BUSY;
		client->fresh = false;
		client->progress = 0;
		give_half_line(client);
		start_timer(client, req->listener->options.head_ms);
	}
	if (client->state != TG_CLIENT_BUSY) { /* closing: whatever comes is thrown away */
		client->progress += (uint32_t)len;
		if (client->progress > LINGER_BYTES)
			tg_client_close(client, false);
		return len;
	}
	if (req->tunnel)
		return tg_tunnel_from_client(req, data, len);
	if (req->view.raw)
		return tg_tcp_early(req, data, len);
	if (!req->head_done)
		return read_head(client, data, len);
	if (req->in_done || !(req->sending || req->discard))
		return 0;
	return tg_relay_request(req, data, len);
}

static size_t
on_data(struct tg_conn *conn, char *data, size_t len)
{
	struct tg_client *client = tg_container_of(conn, struct tg_client, conn);
	size_t used = 0, n = 1;

	TG_CHECK(client, CLIENT_MAGIC);
	while (used < len && n > 0 && client->state != TG_CLIENT_CLOSING) {
		n = consume(client, data + used, len - used);
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
		start_timer(client, client_ms(client));
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

/* Its TLS handshake has ended. */
static void
on_connect(struct tg_conn *conn, int status)
{
	struct tg_client *client = tg_container_of(conn, struct tg_client, conn);

	TG_CHECK(client, CLIENT_MAGIC);
	if (client->state != TG_CLIENT_SECURING) { /* its time was over before */
		tg_client_close(client, false);
		return;
	}
	if (!tg_secured_end(client, status)) {
		end_unasked(client, TG_END_TLS_HANDSHAKE);
		return;
	}
	listen_to(client);
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
	if (req->tunnel) {
		tg_tunnel_client_ended(req, status);
		return;
	}
	if (req->view.raw) {
		tg_tcp_client_ended(req, status);
		return;
	}
	if (status != 0 || !req->head_done || !req->in_done) {
		tg_req_end(req, end_of_gone(req));
		return;
	}
	client->half_closed = true;
	if (!req->head_sent)
		start_timer(client, HALF_CLOSED_MS);
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
		end_unasked(client, TG_END_TLS_HANDSHAKE);
	else if (client->state <= TG_CLIENT_IDLE)
		end_idle(client, TG_END_NO_REQUEST);
	else if (client->state == TG_CLIENT_LINGER && still_taking(client))
		start_timer(client, LINGER_MS);
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
		start_timer(client, tg_pace_look_ms(req->listener->options.client_ms));
}

/* --- the connection ----------------------------------------------------------------------- */

/* Bytes that come when all is closed would have the kernel answer with a reset, and drop what the client
 * has not taken yet (RFC 9112 §9.6). */
static void
linger(struct tg_client *client)
{
	if (client->conn.ended || (client->clean && tg_conn_untaken(&client->conn) == 0)) {
		tg_client_close(client, false);
		return;
	}
	client->state = TG_CLIENT_LINGER;
	client->progress = 0;
	tg_pace_begin(&client->pace, &client->conn);
	tg_conn_shutdown(&client->conn);
	start_timer(client, LINGER_MS);
	tg_conn_resume(&client->conn);
}

void
tg_client_next(struct tg_client *client, bool keep, bool clean)
{
	if (client->state == TG_CLIENT_CLOSING)
		return;
	if (keep && !client->half_closed && !client->port->closed) {
		client->state = TG_CLIENT_IDLE;
		start_timer(client, tg_port_options(client->port)->keep_alive_ms);
		tg_conn_resume(&client->conn);
		return;
	}
	client->clean = clean && client->conn.kept == NULL;
	client->state = TG_CLIENT_FLUSH;
	if (tg_conn_drained(&client->conn))
		linger(client);
	else
		start_timer(client, LINGER_MS);
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
}

/* In a tunnel it may have said something before it went. */
static bool
on_write_failed(struct tg_conn *conn)
{
	struct tg_client *client = tg_container_of(conn, struct tg_client, conn);

	TG_CHECK(client, CLIENT_MAGIC);
	if (client->state != TG_CLIENT_BUSY || !client->req->tunnel)
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
	free(client->proxied);
	tg_gauge_add(&engine->counters->connections, -1);
	tg_port_leave(client->port);
	tg_port_put(client->port);
	client->magic = 0;
	tg_blocks_put(&engine->client_blocks, client);
	tg_engine_closed(engine);
}

static void
on_certificate(struct tg_conn *conn, const char *name)
{
	tg_secured_certify(tg_container_of(conn, struct tg_client, conn), name);
}

static const struct tg_conn_ops client_ops = {
	.on_connect = on_connect,
	.on_certificate = on_certificate,
	.on_data = on_data,
	.on_end = on_end,
	.on_drain = on_drain,
	.on_write_failed = on_write_failed,
	.on_closed = on_closed,
};

void
tg_client_name(struct tg_client *client, const struct tg_addr *addr)
{
	client->peer_port = 0;
	if (addr->len == 0 || tg_addr_ip(addr, client->ip, sizeof(client->ip)) < 0)
		strcpy(client->ip, "unix");
	else
		client->peer_port = tg_addr_port(addr);
}

void
tg_client_accept(struct tg_port *port, int fd, const struct tg_addr *peer)
{
	struct tg_engine *engine = port->engine;
	struct tg_client *client = tg_blocks_get(&engine->client_blocks);
	static const struct tg_addr nobody = { .len = 0 };

	if (client == NULL) {
		uv_fs_t close;

		tg_port_leave(port);
		uv_fs_close(&engine->loop->uv, &close, fd, NULL);
		uv_fs_req_cleanup(&close);
		return;
	}
	client->magic = CLIENT_MAGIC;
	client->state = TG_CLIENT_IDLE;
	client->proxied = NULL;
	client->certify = NULL;
	client->fresh = true;
	client->accepted = tg_loop_now(engine->loop);
	client->half_closed = false;
	client->half_line = false;
	client->clean = false;
	client->taking = false;
	client->shaking = false;
	client->engine = engine;
	client->port = port;
	client->req = NULL;
	port->users++;
	tg_timer_init(&client->timer, on_timer);
	tg_link_init(&client->link);
	tg_link_init(&client->line);
	tg_list_push_back(&engine->clients, &client->link);
	tg_client_name(client, port->is_unix ? &nobody : peer);
	engine->open_handles++;
	tg_cell_add(&engine->counters->accepted, 1);
	tg_gauge_add(&engine->counters->connections, 1);
	if (tg_conn_accept(&client->conn, engine->loop, &client_ops, fd, port->is_unix) != 0) {
		client->state = TG_CLIENT_CLOSING;
		return;
	}
	if (!tg_proxied_expected(tg_port_listener(port), port->is_unix ? &nobody : peer)) {
		greet(client);
		return;
	}
	client->state = TG_CLIENT_PROXIED;
	start_timer(client, tg_port_options(port)->head_ms);
	if (tg_proxied_begin(client))
		tg_conn_resume(&client->conn);
	else
		tg_client_close(client, false);
}

struct tg_generation *
tg_port_generation(const struct tg_port *port)
{
	return port->last != NULL ? port->last : port->engine->current;
}

const struct tg_plan_listener *
tg_port_listener(const struct tg_port *port)
{
	return &tg_port_generation(port)->plan->listeners[port->index];
}

const struct tg_listener_options *
tg_port_options(const struct tg_port *port)
{
	return &tg_port_listener(port)->options;
}

void
tg_port_put(struct tg_port *port)
{
	TG_CHECK(port, PORT_MAGIC);
	if (--port->users > 0)
		return;
	tg_loop_timer_stop(port->engine->loop, &port->farewell);
	if (port->last != NULL)
		tg_generation_put(port->last);
	tg_listener_state_put(port->state);
	port->magic = 0;
	free(port);
}
