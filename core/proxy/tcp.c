#include "proxy/tcp.h"

#include <stdlib.h>
#include <uv.h>

#include "proxy/client.h"
#include "proxy/steps.h"
#include "proxy/tunnel.h"
#include "proxy/upstream.h"

enum { EARLY_FIRST = 2048 - sizeof(struct tg_early) };

static enum tg_next
end(struct tg_req *req, enum tg_end why)
{
	tg_req_end(req, why);
	return TG_NEXT_WAIT;
}

/* --- the beginning ------------------------------------------------------------------------ */

/* Give the client a request that begins with that step. */
static void
begin(struct tg_client *client, bool empty, enum tg_next (*step)(struct tg_req *))
{
	struct tg_req *req = tg_req_new(client, empty);

	if (req == NULL) {
		tg_client_close(client, false);
		return;
	}
	client->req = req;
	client->state = TG_CLIENT_BUSY;
	req->view.raw = 1;
	req->step = step;
	tg_loop_timer_stop(client->engine->loop, &client->timer);
	tg_conn_pause(&client->conn);
	tg_req_run(req);
}

void
tg_tcp_admit(struct tg_client *client)
{
	begin(client, true, tg_step_accept);
}

void
tg_tcp_begin(struct tg_client *client)
{
	begin(client, false, tg_step_inspect);
}

enum tg_next
tg_step_accept(struct tg_req *req)
{
	switch (tg_step_ask(req, req->generation->hooks->accept)) {
	case TG_HOOK_PARKED:
		return TG_NEXT_WAIT;
	case TG_HOOK_FAILED:
		return end(req, TG_END_SCRIPT_ERROR);
	case TG_HOOK_DONE:
		break;
	}
	req->admitted = true;
	return end(req, TG_END_OK);
}

/* --- what the client says before it has a server ------------------------------------------- */

/* Everything is known that is to be known of it. */
static enum tg_next
inspected(struct tg_req *req)
{
	struct tg_engine *engine = req->engine;

	tg_loop_timer_stop(engine->loop, &req->client->timer);
	tg_conn_pause(&req->client->conn);
	req->head_at = tg_loop_now(engine->loop);
	req->view.head_ms = (int32_t)(req->head_at - req->began);
	req->step = tg_step_route;
	return TG_NEXT_GO;
}

enum tg_next
tg_step_inspect(struct tg_req *req)
{
	int64_t ms = req->listener->options.inspect_ms;

	if (!req->listener->options.inspect)
		return inspected(req);
	req->inspecting = true;
	req->step = tg_step_await; /* tg_tcp_early and others go on */
	if (ms > 0)
		tg_loop_timer_start(req->engine->loop, &req->client->timer, (uint64_t)ms);
	tg_conn_resume(&req->client->conn);
	return req->step == tg_step_await ? TG_NEXT_WAIT : TG_NEXT_GO;
}

/* There is a result, or none will come. */
static void
stop_inspecting(struct tg_req *req)
{
	req->inspecting = false;
	(void)inspected(req);
	tg_req_run(req);
}

static void
inspect(struct tg_req *req)
{
	struct tg_str sni, alpn;
	struct tg_hello hello;

	switch (tg_hello_read((struct tg_str){ req->early->bytes, req->early->len }, &hello)) {
	case TG_HELLO_MORE:
		return;
	case TG_HELLO_OTHER:
		req->view.hello = 0;
		break;
	case TG_HELLO_DONE:
		req->view.hello = 1;
		sni = (struct tg_str){ hello.sni, hello.sni_len };
		alpn = (struct tg_str){ hello.alpn, hello.alpn_len };
		if (sni.len > 0)
			req->view.sni = tg_arena_copy(&req->arena, sni);
		if (alpn.len > 0)
			req->view.alpn = tg_arena_copy(&req->arena, alpn);
		if ((sni.len > 0 && req->view.sni.ptr == NULL) ||
		    (alpn.len > 0 && req->view.alpn.ptr == NULL)) {
			tg_req_end(req, TG_END_MEMORY);
			return;
		}
		break;
	}
	stop_inspecting(req);
}

/* Room for `len` more bytes, as many as there may be. False: out of memory. */
static bool
make_room(struct tg_req *req, size_t len)
{
	struct tg_early *early = req->early, *grown;
	size_t have = early != NULL ? early->len : 0,
	       cap = early != NULL ? early->cap : EARLY_FIRST;

	while (cap < have + len)
		cap *= 2;
	cap = cap < TG_TCP_EARLY ? cap : TG_TCP_EARLY;
	if (early != NULL && cap == early->cap)
		return true;
	grown = realloc(early, sizeof(*grown) + cap);
	if (grown == NULL)
		return false;
	grown->len = (uint32_t)have;
	grown->cap = (uint32_t)cap;
	req->early = grown;
	return true;
}

size_t
tg_tcp_early(struct tg_req *req, const char *data, size_t len)
{
	size_t have = req->early != NULL ? req->early->len : 0, room = TG_TCP_EARLY - have;

	if (!req->inspecting && req->waiter == NULL)
		return 0;
	len = len < room ? len : room;
	if (len == 0)
		return 0;
	if (!make_room(req, len)) {
		tg_req_end(req, TG_END_MEMORY);
		return len;
	}
	memcpy(req->early->bytes + have, data, len);
	req->early->len += (uint32_t)len;
	if (req->inspecting)
		inspect(req);
	return len;
}

void
tg_tcp_drop_early(struct tg_req *req)
{
	free(req->early);
	req->early = NULL;
}

void
tg_tcp_client_ended(struct tg_req *req, int status)
{
	enum tg_end gone = req->waiter != NULL ? TG_END_CLIENT_GONE_QUEUE
	    : req->inspecting                  ? TG_END_CLIENT_GONE_HEAD
	                                       : TG_END_CLIENT_GONE_WAIT;

	if (status != 0) {
		tg_req_end(req, gone);
		return;
	}
	req->client->half_closed = true; /* it may wait for what the server has to say */
	if (req->inspecting)
		stop_inspecting(req);
}

void
tg_tcp_waited(struct tg_req *req)
{
	if (req->inspecting)
		stop_inspecting(req);
}

void
tg_tcp_queued(struct tg_req *req)
{
	tg_conn_resume(&req->client->conn);
}

int
tg_tcp_reject(struct tg_req *req, bool reset)
{
	if (!req->view.raw || req->up != NULL || req->tunnel)
		return UV_EBUSY;
	req->rejected = true;
	req->cut = req->cut || reset;
	return 0;
}

/* --- the server is there ------------------------------------------------------------------- */

/* What comes before anything else: who the client is, where the server wants to know that, and what it
 * has said so far. */
static int
send_early(struct tg_req *req)
{
	char header[TG_PROXYPROTO_WRITE];
	struct tg_str parts[2];
	unsigned count = 0;

	if (req->backend->options.send_proxy != 0 && req->backend->tls == NULL)
		parts[count++] = (struct tg_str){ header,
			tg_proxied_write(req->client, req->backend->options.send_proxy, header) };
	if (req->early != NULL)
		parts[count++] = (struct tg_str){ req->early->bytes, req->early->len };
	return count > 0 ? tg_conn_write(&req->up->conn, parts, count) : 0;
}

enum tg_next
tg_step_open(struct tg_req *req)
{
	if (req->hook == TG_HOOK_FREE) {
		req->connected_at = tg_loop_now(req->engine->loop);
		req->view.connect_ms = (int32_t)(req->connected_at - req->picked_at);
		tg_upstream_watch(req->up);
	}
	req->out_started = false;
	if (req->backend->options.has_response) {
		switch (tg_step_ask(req, req->generation->hooks->response)) {
		case TG_HOOK_PARKED:
			req->out_started = true; /* no retry policy is asked meanwhile */
			return TG_NEXT_WAIT;
		case TG_HOOK_FAILED:
			return end(req, TG_END_SCRIPT_ERROR);
		case TG_HOOK_DONE:
			break;
		}
	}
	if (send_early(req) != 0) { /* it was gone before it had anything of ours */
		tg_req_attempt_failed(req, TG_END_CONNECT_FAILED);
		return TG_NEXT_GO;
	}
	req->sent = true;
	req->view.bytes_in = req->early != NULL ? req->early->len : 0;
	tg_tcp_drop_early(req);
	tg_tunnel_open(req);
	return TG_NEXT_WAIT;
}
