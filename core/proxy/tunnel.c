#include "proxy/tunnel.h"

#include "http/bytes.h"
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

bool
tg_tunnel_agreed(const struct tg_req *req)
{
	struct tg_str list = req->in.upgrade, protocol;

	if (!tg_tunnel_wanted(req) || req->out.upgrade.ptr == NULL)
		return false;
	while (tg_list_next(&list, &protocol))
		if (tg_str_ieq(protocol, req->out.upgrade))
			return true;
	return false;
}

/* --- time --------------------------------------------------------------------------------- */

static void
moved(struct tg_req *req)
{
	req->client->pace.moved_at = tg_loop_now(req->engine->loop);
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

void
tg_tunnel_look(struct tg_req *req)
{
	struct tg_pace *pace = &req->client->pace;
	uint64_t now = tg_loop_now(req->engine->loop);
	uint64_t untaken = tg_conn_untaken(&req->client->conn) + tg_conn_untaken(&req->up->conn);
	int64_t ms = patience_ms(req), left;

	if (untaken < pace->untaken) /* slow, but not still */
		pace->moved_at = now;
	pace->untaken = untaken;
	if (ms == 0) {
		tg_loop_timer_stop(req->engine->loop, &req->client->timer);
		return;
	}
	left = ms - (int64_t)(now - pace->moved_at);
	if (left <= 0) {
		tg_req_end(req, TG_END_TUNNEL_TIMEOUT);
		return;
	}
	if (left > tg_pace_look_ms(ms))
		left = tg_pace_look_ms(ms);
	tg_loop_timer_start(req->engine->loop, &req->client->timer, (uint64_t)left);
}

/* --- ends --------------------------------------------------------------------------------- */

/* Pass the ends on, each behind what came before it. For who takes nothing more there is nothing to
 * pass; what it had said before is still good. */
static void
pass_ends(struct tg_req *req)
{
	struct tg_conn *client = &req->client->conn, *server = &req->up->conn;
	bool in_over = req->in_done && tg_conn_drained(server);
	bool out_over = req->out_done && tg_conn_drained(client);

	if (in_over && !req->up->write_dead)
		tg_conn_shutdown(server);
	if (out_over && !req->deaf)
		tg_conn_shutdown(client);
	if ((in_over || req->up->write_dead) && (out_over || req->deaf))
		tg_req_end(req, TG_END_TUNNEL_CLOSED);
	else if (req->in_done || req->out_done)
		tg_tunnel_look(req);
}

/* Writing to one of them has failed. */
static void
lost(struct tg_req *req, bool *deaf, int err)
{
	*deaf = true;
	if (err == UV_ENOMEM) /* it lacks bytes, and does not know */
		tg_req_end(req, TG_END_TUNNEL_CLOSED);
	else
		pass_ends(req);
}

int
tg_tunnel_start(struct tg_req *req)
{
	struct tg_upstream *up = req->up;
	struct tg_str head = tg_answer_head(req, TG_FRAMING_NONE, TG_CONNECTION_UPGRADE);
	uint64_t serial = req->view.serial;

	if (head.ptr == NULL || tg_relay_to_client(req, &head, 1) != 0)
		return -1;
	req->head_sent = req->relaying = req->tunnel = true;
	req->in_done = req->client->half_closed; /* from here on: that side has ended */
	req->step = tg_step_tunnel;
	tg_upstream_watch(up);
	moved(req);
	tg_tunnel_look(req);
	if (!up->conn.delivering)
		tg_conn_resume(&up->conn);
	if (tg_req_alive(req, serial) && !req->client->conn.delivering)
		tg_conn_resume(&req->client->conn);
	if (tg_req_alive(req, serial))
		pass_ends(req);
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
	moved(req);
	err = tg_conn_write(&req->up->conn, &bytes, 1);
	if (err != 0)
		lost(req, &req->up->write_dead, err);
	else if (!tg_conn_drained(&req->up->conn))
		tg_conn_pause(&req->client->conn);
	return len;
}

size_t
tg_tunnel_from_server(struct tg_req *req, const char *data, size_t len)
{
	struct tg_str bytes = { data, len };
	int err;

	if (req->deaf)
		return len;
	moved(req);
	err = tg_relay_to_client(req, &bytes, 1);
	if (err != 0)
		lost(req, &req->deaf, err);
	else if (!tg_conn_drained(&req->client->conn))
		tg_conn_pause(&req->up->conn);
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
		req->up->write_dead = true;
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
