#include "proxy/tunnel.h"

#include "http/bytes.h"
#include "http/websocket.h"
#include "proxy/answer.h"
#include "proxy/client.h"
#include "proxy/relay.h"
#include "proxy/steps.h"
#include "proxy/upstream.h"

bool
tg_tunnel_wanted(const struct tg_req *req)
{
	return req->listener->options.upgrade != 0 && req->in.upgrade.ptr != NULL &&
	    req->in.framing == TG_FRAMING_NONE;
}

/* Is it the answer to the key that we have made up for a client that speaks HTTP/2? Neither is for the client. */
static bool
accepted(struct tg_req *req)
{
	const struct tg_field *key = tg_head_find(&req->in, TG_STR("Sec-WebSocket-Key"), NULL);
	const struct tg_field *answer =
	    tg_head_find(&req->out, TG_STR("Sec-WebSocket-Accept"), NULL);
	char right[TG_WEBSOCKET_ACCEPT + 1];

	if (key == NULL || key->value.len != TG_WEBSOCKET_KEY || answer == NULL)
		return false;
	tg_websocket_accept(key->value, right);
	return tg_str_eq(answer->value, (struct tg_str){ right, TG_WEBSOCKET_ACCEPT }) &&
	    tg_head_remove(&req->out, TG_STR("Sec-WebSocket-Accept")) == 0;
}

bool
tg_tunnel_agreed(struct tg_req *req)
{
	struct tg_str list = req->in.upgrade, protocol;

	if (!tg_tunnel_wanted(req) || req->out.upgrade.ptr == NULL)
		return false;
	while (tg_list_next(&list, &protocol))
		if (tg_str_ieq(protocol, req->out.upgrade))
			return req->in.major != 2 || accepted(req);
	return false;
}

bool
tg_tunnel_mistaken(const struct tg_req *req)
{
	return req->in.major == 2 && tg_tunnel_wanted(req) && req->out.status >= 200 &&
	    req->out.status < 300;
}

/* --- time --------------------------------------------------------------------------------- */

/* Bytes have moved, or a side has ended. What a side sends while it does not take what is there for it does
 * not count as its moving: it would hold that up for ever. */
static void
moved(struct tg_req *req)
{
	uint64_t now = tg_loop_now(req->engine->loop);

	if (tg_conn_drained(&req->client->conn))
		req->client->pace.moved_at = now;
	if (tg_conn_drained(&req->up->conn))
		req->up->pace.moved_at = now;
}

/* The shorter one; 0 is no limit. */
static int64_t
sooner(int64_t a, int64_t b)
{
	return a == 0 || (b > 0 && b < a) ? b : a;
}

/* For how long nothing may move. Who is alone now has no more time than anybody from whom the rest of a
 * request, or an answer, is awaited: the other has done with this, and may never come back. */
static int64_t
patience_ms(const struct tg_req *req)
{
	int64_t ms = req->backend->options.tunnel_ms;

	if (req->out_done)
		ms = sooner(ms, req->listener->options.client_ms);
	if (req->in_done)
		ms = sooner(ms, req->backend->options.server_ms);
	return ms;
}

/* Look what that side has taken since; what it has not. */
static uint64_t
look_at(struct tg_pace *pace, const struct tg_conn *conn)
{
	uint64_t untaken = tg_conn_untaken(conn);

	if (untaken < pace->untaken) /* slow, but not still */
		pace->moved_at = tg_loop_now(conn->loop);
	pace->untaken = untaken;
	return untaken;
}

/* The time until that side is late; `ms` 0: never. */
static int64_t
left_of(const struct tg_req *req, uint64_t moved_at, int64_t ms)
{
	return ms > 0 ? ms - (int64_t)(tg_loop_now(req->engine->loop) - moved_at) : INT64_MAX;
}

/* Look again when the time is over, and some times before: nobody tells when something is taken. */
static void
look_later(struct tg_req *req, int64_t left, int64_t ms)
{
	if (ms > 0 && left > tg_pace_look_ms(ms))
		left = tg_pace_look_ms(ms);
	if (left == INT64_MAX)
		tg_loop_timer_stop(req->engine->loop, &req->client->timer);
	else
		tg_loop_timer_start(req->engine->loop, &req->client->timer, (uint64_t)left);
}

/* Mode "tcp": each side has a time of its own, as HAProxy has it, in which it has to send or to take
 * something, unless it has done both. */
static void
look_at_sides(struct tg_req *req)
{
	struct tg_pace *client = &req->client->pace, *server = &req->up->pace;
	uint64_t to_client = look_at(client, &req->client->conn);
	uint64_t to_server = look_at(server, &req->up->conn);
	int64_t client_ms = req->in_done && to_client == 0 ? 0 : req->listener->options.client_ms;
	int64_t server_ms = req->out_done && to_server == 0 ? 0 : req->backend->options.server_ms;
	int64_t client_left = left_of(req, client->moved_at, client_ms);
	int64_t server_left = left_of(req, server->moved_at, server_ms);

	if (client_left <= 0)
		tg_req_end(req, TG_END_CLIENT_TIMEOUT);
	else if (server_left <= 0)
		tg_req_end(req, TG_END_RESPONSE_TIMEOUT);
	else
		look_later(req, client_left < server_left ? client_left : server_left,
		    sooner(client_ms, server_ms));
}

void
tg_tunnel_look(struct tg_req *req)
{
	const struct tg_pace *client = &req->client->pace, *server = &req->up->pace;
	int64_t ms, left;

	if (req->backend->options.tunnel_ms < 0) {
		look_at_sides(req);
		return;
	}
	(void)look_at(&req->client->pace, &req->client->conn);
	(void)look_at(&req->up->pace, &req->up->conn);
	ms = patience_ms(req);
	left = left_of(
	    req, client->moved_at > server->moved_at ? client->moved_at : server->moved_at, ms);
	if (left <= 0)
		tg_req_end(req, req->tcp ? TG_END_CLIENT_TIMEOUT : TG_END_TUNNEL_TIMEOUT);
	else
		look_later(req, left, ms);
}

/* --- ends --------------------------------------------------------------------------------- */

/* Both ways are at their end. In mode "tcp" HAProxy's word says who it was; where one was cut off, the other
 * must not take it for an end. */
static void
close_tunnel(struct tg_req *req)
{
	if (!req->tcp) {
		tg_req_end(req, TG_END_TUNNEL_CLOSED);
	} else if (req->deaf) {
		tg_conn_reset(&req->up->conn);
		tg_req_end(req, TG_END_CLIENT_GONE_DATA);
	} else {
		tg_req_end(req, req->up->write_dead ? TG_END_RESPONSE_CUT : TG_END_OK);
	}
}

/* Pass the ends on, each behind what came before it. For who takes nothing more there is nothing to
 * pass; what it had said before is still good. */
static void
pass_ends(struct tg_req *req)
{
	struct tg_conn *client = &req->client->conn, *server = &req->up->conn;
	bool in_over = req->in_done && tg_conn_drained(server);
	bool out_over = req->out_done && tg_conn_drained(client);
	bool cut = req->tcp && (req->deaf || req->cut); /* close_tunnel tells */

	if (in_over && !req->up->write_dead && !cut)
		tg_conn_shutdown(server);
	if (out_over && !req->deaf && !cut)
		tg_conn_shutdown(client);
	if ((in_over || req->up->write_dead) && (out_over || req->deaf))
		close_tunnel(req);
	else if (req->in_done || req->out_done)
		tg_tunnel_look(req);
}

/* Writing to one of them has failed. */
static void
lost(struct tg_req *req, bool *deaf, int err)
{
	*deaf = true;
	if (err == UV_ENOMEM) { /* it lacks bytes, and does not know */
		req->cut = true;
		tg_req_end(req, req->tcp ? TG_END_MEMORY : TG_END_TUNNEL_CLOSED);
	} else {
		pass_ends(req);
	}
}

void
tg_tunnel_open(struct tg_req *req)
{
	struct tg_upstream *up = req->up;
	uint64_t serial = req->view.serial;

	req->head_sent = req->relaying = req->tunnel = true;
	req->out_started = req->out_head_done = true;
	req->in_done = req->client->conn.ended; /* from here on: that side has ended */
	req->step = tg_step_tunnel;
	tg_upstream_watch(up);
	req->client->pace.moved_at = up->pace.moved_at = tg_loop_now(req->engine->loop);
	req->client->pace.untaken = up->pace.untaken = UINT64_MAX;
	tg_tunnel_look(req);
	if (!up->conn.delivering)
		tg_conn_resume(&up->conn);
	if (tg_req_alive(req, serial) && !req->client->conn.delivering)
		tg_conn_resume(&req->client->conn);
	if (tg_req_alive(req, serial))
		pass_ends(req);
}

int
tg_tunnel_start(struct tg_req *req)
{
	struct tg_str head = tg_answer_head(req, TG_FRAMING_NONE, TG_CONNECTION_UPGRADE);

	if (head.ptr == NULL || tg_relay_to_client(req, head, TG_STR(""), false) != 0)
		return -1;
	tg_tunnel_open(req);
	return 0;
}

size_t
tg_tunnel_from_client(struct tg_req *req, const char *data, size_t len)
{
	struct tg_str bytes = { data, len };
	int err;

	req->view.bytes_in += (int64_t)len;
	if (req->up->write_dead)
		return len;
	err = tg_conn_write(&req->up->conn, &bytes, 1);
	if (err != 0) {
		lost(req, &req->up->write_dead, err);
		return len;
	}
	if (!tg_conn_drained(&req->up->conn))
		tg_conn_pause(&req->client->conn);
	moved(req);
	return len;
}

size_t
tg_tunnel_from_server(struct tg_req *req, const char *data, size_t len)
{
	struct tg_str bytes = { data, len };
	int err;

	if (req->deaf)
		return len;
	err = tg_relay_to_client(req, TG_STR(""), bytes, false);
	if (err != 0) {
		lost(req, &req->deaf, err);
		return len;
	}
	if (!tg_conn_drained(&req->client->conn))
		tg_conn_pause(&req->up->conn);
	moved(req);
	return len;
}

void
tg_tunnel_client_ended(struct tg_req *req, int status)
{
	req->in_done = true;
	moved(req);
	if (status != 0)
		req->deaf = true;
	tg_tunnel_drained(req); /* a write to it may have failed, and not drained */
}

void
tg_tunnel_server_ended(struct tg_req *req, int status)
{
	req->out_done = true;
	moved(req);
	if (status != 0)
		req->up->write_dead = req->cut = true;
	tg_tunnel_drained(req);
}

void
tg_tunnel_client_deaf(struct tg_req *req)
{
	req->deaf = true;
	tg_tunnel_drained(req);
}

void
tg_tunnel_server_deaf(struct tg_req *req)
{
	req->up->write_dead = true;
	tg_tunnel_drained(req);
}

void
tg_tunnel_drained(struct tg_req *req)
{
	struct tg_conn *client = &req->client->conn, *server = &req->up->conn;
	uint64_t serial = req->view.serial;

	moved(req);
	if (tg_conn_drained(client) || req->deaf)
		tg_conn_resume(server);
	if (tg_req_alive(req, serial) && (tg_conn_drained(server) || req->up->write_dead))
		tg_conn_resume(client);
	if (tg_req_alive(req, serial))
		pass_ends(req);
}

enum tg_next
tg_step_tunnel(struct tg_req *req)
{
	(void)req;
	return TG_NEXT_WAIT;
}
