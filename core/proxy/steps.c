#include "proxy/steps.h"

#include "proxy/answer.h"
#include "proxy/capture.h"
#include "proxy/client.h"
#include "proxy/forward.h"
#include "proxy/relay.h"
#include "proxy/tcp.h"
#include "proxy/tunnel.h"
#include "proxy/upstream.h"

enum { HEAD_SLACK = 512, PER_FIELD = 4, INTERIMS_MAX = 32, RETRIES_MAX = 100 };

static enum tg_next
go(struct tg_req *req, enum tg_next (*step)(struct tg_req *))
{
	req->step = step;
	return TG_NEXT_GO;
}

static enum tg_next
end(struct tg_req *req, enum tg_end why)
{
	tg_req_end(req, why);
	return TG_NEXT_WAIT;
}

enum tg_hook_result
tg_step_ask(struct tg_req *req, enum tg_hook_result (*hook)(struct tg_req *))
{
	enum tg_hook_result result = (enum tg_hook_result)req->hook_result;

	if (req->hook == TG_HOOK_WAITS)
		return TG_HOOK_PARKED;
	if (req->hook == TG_HOOK_FREE) {
		req->hook = TG_HOOK_WAITS; /* in case the hook resumes us before it returns */
		result = hook(req);
		if (result == TG_HOOK_PARKED)
			return result;
	}
	req->hook = TG_HOOK_FREE;
	if (!req->rejected || result == TG_HOOK_FAILED)
		return result;
	tg_req_end(req, TG_END_REJECTED);
	return TG_HOOK_PARKED;
}

enum tg_next
tg_step_judge(struct tg_req *req)
{
	switch (tg_forward_judge(req)) {
	case TG_FORWARD_BAD:
		req->in.keep_alive = false;
		return end(req, TG_END_BAD_REQUEST);
	case TG_FORWARD_MEMORY:
		return end(req, TG_END_MEMORY);
	case TG_FORWARD_ANSWERED:
		return go(req, tg_step_answer);
	case TG_FORWARD_ON:
		break;
	}
	return go(req, tg_step_route);
}

enum tg_next
tg_step_route(struct tg_req *req)
{
	const struct tg_plan *plan = req->generation->plan;

	if (req->listener->options.has_route) {
		switch (tg_step_ask(req, req->generation->hooks->route)) {
		case TG_HOOK_PARKED:
			return TG_NEXT_WAIT;
		case TG_HOOK_FAILED:
			return end(req, TG_END_SCRIPT_ERROR);
		case TG_HOOK_DONE:
			break;
		}
		if (req->answered)
			return go(req, tg_step_answer);
	} else {
		req->view.backend = req->listener->options.backend;
	}
	if (req->view.backend < 0 || (unsigned)req->view.backend >= plan->backend_count)
		return end(req, TG_END_SCRIPT_ERROR);
	if (req->listener->options.max_body > 0 && req->in.framing == TG_FRAMING_LENGTH &&
	    req->in.length > (uint64_t)req->listener->options.max_body)
		return end(req, TG_END_BODY_TOO_LARGE);
	req->backend = &plan->backends[req->view.backend];
	tg_gauge_add(&req->backend->state->cells[req->engine->worker].active, 1);
	return go(req, tg_step_pick);
}

/* The engine's own balancing: round robin over the candidates, weights ignored, the server that
 * has just failed left out if there is another. */
static int
plain_round_robin(struct tg_req *req)
{
	const struct tg_plan_backend *backend = req->backend;
	uint32_t turn = backend->state->cells[req->engine->worker].turn++;
	int failed = req->view.redispatched ? req->view.server : -1;

	for (unsigned i = 0; i < backend->count; i++) {
		unsigned s = (turn + i) % backend->count;

		if ((int)s != failed && tg_plan_candidate(backend, s))
			return (int)s;
	}
	return failed;
}

enum tg_next
tg_step_pick(struct tg_req *req)
{
	struct tg_counters *counters = req->engine->counters;

	if (req->hook == TG_HOOK_FREE) { /* else it is being decided, or has been */
		tg_queue_give(req);      /* of the server that has failed */
		req->bound = false;
	}
	if (!req->backend->options.has_pick) {
		req->view.server = plain_round_robin(req);
	} else {
		switch (tg_step_ask(req, req->generation->hooks->pick)) {
		case TG_HOOK_PARKED:
			return TG_NEXT_WAIT;
		case TG_HOOK_FAILED:
			tg_cell_add(&counters->pick_fallback, 1);
			req->view.server = plain_round_robin(req);
			break;
		case TG_HOOK_DONE:
			break;
		}
		if (req->answered)
			return go(req, tg_step_answer);
	}
	if (req->view.server < 0 || (unsigned)req->view.server >= req->backend->count)
		return end(req, TG_END_NO_SERVER);
	req->server = &req->backend->servers[req->view.server];
	return go(req, tg_step_queue);
}

enum tg_next
tg_step_queue(struct tg_req *req)
{
	uint64_t now = tg_loop_now(req->engine->loop);

	if (req->waiter != NULL)
		return TG_NEXT_WAIT;
	if (req->tcp)
		tg_conn_pause(&req->client->conn);
	if (req->slot == NULL) { /* else it was given to us while we were in line */
		switch (tg_queue_enter(req, req->bound)) {
		case TG_QUEUE_WAITS:
			if (req->tcp)
				tg_tcp_queued(req);
			return TG_NEXT_WAIT;
		case TG_QUEUE_FULL:
			return end(req, TG_END_QUEUE_FULL);
		case TG_QUEUE_MEMORY:
			return end(req, TG_END_MEMORY);
		case TG_QUEUE_GO:
			break;
		}
	}
	req->picked_at = now;
	req->view.wait_ms = (int32_t)(now - req->head_at);
	return go(req, tg_step_connect);
}

enum tg_next
tg_step_connect(struct tg_req *req)
{
	struct tg_server *server = req->server->server;
	struct tg_upstream *up = NULL;
	enum tg_end failed;

	req->sent = false;
	/* The client speaks HTTP/2 and wants another protocol: it cannot be told to do without (RFC 8441 §4). */
	if (req->backend->options.http2 && req->in.major == 2 && tg_tunnel_wanted(req))
		return end(req, TG_END_NOT_IMPLEMENTED);
	if (req->backend->options.http2) {
		failed = (enum tg_end)tg_upstream_call(req, server);
		if (failed == TG_END_NONE && req->up->connected)
			return go(req, tg_step_send);
	} else {
		if (!req->fresh && !req->tcp && req->backend->options.send_proxy == 0)
			up = tg_pool_take(
			    req->engine, server, req->backend->tls, tg_req_idempotent(req));
		if (up != NULL) {
			tg_upstream_attach(up, req);
			return go(req, tg_step_send);
		}
		failed = (enum tg_end)tg_upstream_connect(req, server);
	}
	if (failed != TG_END_NONE) {
		tg_req_attempt_failed(req, failed);
		return TG_NEXT_GO;
	}
	req->step = tg_step_await; /* on_connect goes to tg_step_send, or tg_step_open */
	return TG_NEXT_WAIT;
}

/* The head for the server, into req->unsent. */
static int
write_head(struct tg_req *req)
{
	const struct tg_head *head = &req->in;
	struct tg_str host = tg_forward_host(req);
	size_t cap = HEAD_SLACK + head->method.len + host.len + head->path.len + head->query.len +
	    head->upgrade.len + TG_PROXYPROTO_WRITE;
	size_t greeting = 0;
	char *out;
	int len;

	if (req->up->multiplexed) { /* it is packed where it is sent */
		req->unsent = TG_STR(" ");
		return 0;
	}
	for (unsigned i = 0; i < head->count; i++)
		cap += head->fields[i].name.len + head->fields[i].value.len + PER_FIELD;
	out = tg_arena_alloc(&req->arena, cap);
	if (out == NULL)
		return TG_HTTP_MEMORY;
	if (req->backend->options.send_proxy != 0 && req->backend->tls == NULL)
		greeting = tg_proxied_write(req->client, req->backend->options.send_proxy, out);
	len = tg_http1_write_request(head, host,
	    tg_tunnel_wanted(req) ? TG_CONNECTION_UPGRADE : TG_CONNECTION_SILENT, out + greeting,
	    cap - greeting);
	if (len < 0)
		return len;
	req->unsent = (struct tg_str){ out, greeting + (size_t)len };
	return 0;
}

/* A field of ours could not be added: scripts have filled the head, or memory is out. */
static enum tg_end
end_of_edit(int err)
{
	return err == TG_HTTP_MEMORY ? TG_END_MEMORY : TG_END_SCRIPT_ERROR;
}

/* A script has taken Expect away: the server will not tell the client to go on, so we do. */
static int
tell_to_continue(struct tg_req *req)
{
	if (!tg_req_awaits_continue(req) || tg_head_find(&req->in, TG_STR("Expect"), NULL) != NULL)
		return 0;
	req->awaits_continue = false;
	tg_head_init(&req->out, &req->arena);
	req->out.status = 100;
	return tg_answer_interim(req);
}

enum tg_next
tg_step_send(struct tg_req *req)
{
	uint64_t now = tg_loop_now(req->engine->loop);
	struct tg_conn *client = &req->client->conn;
	int err;

	req->connected_at = now;
	req->view.connect_ms = (int32_t)(now - req->picked_at);
	err = tg_forward_request(req);
	if (err == 0)
		err = write_head(req);
	if (err != 0)
		return end(req, end_of_edit(err));
	if (tell_to_continue(req) != 0)
		return end(req, TG_END_CLIENT_GONE_DATA);
	tg_head_init(&req->out, &req->arena);
	tg_http1_response_init(
	    &req->out_codec, &req->listener->limits, &req->out, (enum tg_method)req->in.method_id);
	req->sending = true;
	req->sent = true;
	req->step = tg_step_await;
	if (req->kept_len > 0)
		tg_relay_flush_request(req);
	/* What there is of the body goes out with the head, in one write. */
	if (!req->in_done && tg_conn_drained(&req->up->conn))
		tg_conn_resume(client);
	if (req->in_done || !client->delivering)
		tg_relay_flush_request(req);
	if (req->view.end == TG_END_NONE && req->up != NULL) {
		tg_conn_resume(&req->up->conn);
		tg_upstream_watch(req->up);
		tg_client_watch(req->client);
	}
	return req->step == tg_step_await ? TG_NEXT_WAIT : TG_NEXT_GO;
}

enum tg_next
tg_step_await(struct tg_req *req)
{
	(void)req;
	return TG_NEXT_WAIT;
}

/* An interim response (RFC 9110 §15.2): relayed at once, but not to an HTTP/1.0 client. */
static enum tg_next
relay_interim(struct tg_req *req)
{
	/* Nobody waits until the client has taken them. */
	if (++req->interims > INTERIMS_MAX || req->interim_bytes > req->listener->limits.head) {
		tg_req_attempt_failed(req, TG_END_BAD_RESPONSE);
		return TG_NEXT_GO;
	}
	if (!tg_head_is_old(&req->in)) {
		int64_t before = req->view.bytes_out;

		if (tg_answer_interim(req) != 0)
			return end(req, TG_END_CLIENT_GONE_DATA);
		req->interim_bytes += (uint32_t)(req->view.bytes_out - before);
	}
	if (req->out.status == 100)
		req->awaits_continue = false;
	req->out_head_done = false;
	tg_head_init(&req->out, &req->arena);
	tg_http1_response_init(
	    &req->out_codec, &req->listener->limits, &req->out, (enum tg_method)req->in.method_id);
	req->step = tg_step_await;
	tg_client_watch(req->client); /* it may have waited for this to send its body */
	return TG_NEXT_WAIT;
}

/* The framing of the answer towards the client: as the server sent it, but a body of unknown
 * length is chunked for HTTP/1.1 and ends with the connection for HTTP/1.0. */
static enum tg_framing
choose_framing(const struct tg_req *req)
{
	enum tg_framing framing = (enum tg_framing)req->out.framing;

	if (framing == TG_FRAMING_NONE || framing == TG_FRAMING_LENGTH)
		return framing;
	return tg_head_is_old(&req->in) ? TG_FRAMING_CLOSE : TG_FRAMING_CHUNKED;
}

static enum tg_next
ask_response(struct tg_req *req)
{
	if (!req->backend->options.has_response && !req->listener->options.has_response)
		return TG_NEXT_GO;
	switch (tg_step_ask(req, req->generation->hooks->response)) {
	case TG_HOOK_PARKED:
		return TG_NEXT_WAIT;
	case TG_HOOK_FAILED:
		return end(req, TG_END_SCRIPT_ERROR);
	case TG_HOOK_DONE:
		break;
	}
	return TG_NEXT_GO;
}

enum tg_next
tg_step_response(struct tg_req *req)
{
	struct tg_conn *server = &req->up->conn;
	int err;

	if (req->hook == TG_HOOK_FREE) {
		if (req->out.status < 200 && req->out.status != 101)
			return relay_interim(req);
		req->awaits_continue = false;
		if (req->out.status == 101 ? !tg_tunnel_agreed(req) : tg_tunnel_mistaken(req)) {
			tg_req_attempt_failed(req, TG_END_BAD_RESPONSE);
			return TG_NEXT_GO;
		}
		req->view.response_ms =
		    (int32_t)(tg_loop_now(req->engine->loop) - req->connected_at);
		req->view.status = req->out.status;
		req->view.response_ready = 1;
		tg_capture(req, TG_SIDE_RESPONSE);
	}
	if (ask_response(req) == TG_NEXT_WAIT) {
		/* Not even its end may be seen before the script has decided. */
		tg_conn_pause(server);
		tg_upstream_watch(req->up);
		return TG_NEXT_WAIT;
	}
	if (req->answered)
		return go(req, tg_step_answer);
	if (req->out.status == 101)
		return tg_tunnel_start(req) == 0 ? TG_NEXT_WAIT : end(req, TG_END_CLIENT_GONE_DATA);
	err = tg_forward_date(&req->out);
	if (err != 0)
		return end(req, end_of_edit(err));
	req->out_framing = (uint8_t)choose_framing(req);
	req->keep_client = req->out_framing != TG_FRAMING_CLOSE && tg_answer_may_keep(req);
	req->view.status = req->out.status;
	req->unsent_out =
	    tg_answer_head(req, (enum tg_framing)req->out_framing, tg_answer_connection(req));
	if (req->unsent_out.ptr == NULL)
		return end(req, TG_END_MEMORY);
	req->relaying = true;
	req->head_sent = true;
	tg_client_watch(req->client);
	req->step = tg_step_relay;
	if (req->out.framing == TG_FRAMING_NONE ||
	    (req->out.framing == TG_FRAMING_LENGTH && req->out.length == 0))
		tg_relay_response(req, NULL, 0);
	else
		tg_conn_resume(server);
	if (req->step == tg_step_relay && req->view.end == TG_END_NONE && !server->delivering) {
		tg_relay_flush_response(req);
		tg_upstream_watch(req->up);
	}
	return req->step == tg_step_relay ? TG_NEXT_WAIT : TG_NEXT_GO;
}

enum tg_next
tg_step_relay(struct tg_req *req)
{
	(void)req;
	return TG_NEXT_WAIT;
}

/* The client has it all when its queue is empty and what it still sends was thrown away. */
static enum tg_next
step_flush(struct tg_req *req)
{
	struct tg_client *client = req->client;

	if (tg_conn_drained(&client->conn) && (req->in_done || !req->keep_client))
		return end(req, req->answered ? TG_END_ANSWERED : TG_END_OK);
	tg_client_watch(client);
	return TG_NEXT_WAIT;
}

/* Wait for the rest of the request's body, to throw it away, and for the client to take the
 * answer. */
static enum tg_next
wind_up(struct tg_req *req)
{
	req->step = step_flush;
	if (!req->in_done && req->keep_client) {
		req->discard = true;
		tg_conn_resume(&req->client->conn);
	}
	return TG_NEXT_GO;
}

enum tg_next
tg_step_complete(struct tg_req *req)
{
	const struct tg_upstream *up = req->up;
	bool reusable = req->backend->options.send_proxy == 0 && req->in_done && !req->poisoned &&
	    req->out.keep_alive && req->out.framing != TG_FRAMING_CLOSE &&
	    tg_conn_drained(&up->conn) && !up->write_dead;

	/* While we did not read, more may have come than the answer. */
	if (reusable && (up->conn.paused || up->conn.kept != NULL))
		reusable = tg_conn_quiet(&up->conn);

	tg_upstream_detach(req, reusable);
	tg_queue_give(req);
	tg_relay_flush_response(req);
	if (req->view.end != TG_END_NONE)
		return TG_NEXT_WAIT;
	return wind_up(req);
}

enum tg_next
tg_step_answer(struct tg_req *req)
{
	tg_upstream_detach(req, false);
	tg_queue_give(req);
	if (tg_answer_write(req) != 0)
		return end(req, TG_END_CLIENT_GONE_DATA);
	return wind_up(req);
}

enum tg_next
tg_step_retry(struct tg_req *req)
{
	enum tg_end failure = (enum tg_end)req->failure;
	enum tg_hook_result result = (enum tg_hook_result)req->hook_result;

	if (req->hook == TG_HOOK_WAITS)
		return TG_NEXT_WAIT;
	if (req->hook == TG_HOOK_FREE) {
		req->hook = TG_HOOK_WAITS;
		result = req->generation->hooks->retry(req, failure);
		if (result == TG_HOOK_PARKED)
			return TG_NEXT_WAIT;
	}
	req->hook = TG_HOOK_FREE;
	if (req->answered)
		return go(req, tg_step_answer);
	/* No policy can have a body sent again that is gone. And one that never gives up must not
	 * keep a request for ever. */
	if (result == TG_HOOK_FAILED || req->verdict == TG_VERDICT_GIVE_UP ||
	    !tg_req_body_whole(req) || req->view.retries >= RETRIES_MAX)
		return end(req, failure);
	req->view.retries++;
	req->view.redispatched = req->verdict == TG_VERDICT_REDISPATCH;
	req->avoid = req->view.redispatched && req->server != NULL ? req->server->server : NULL;
	/* After a failure the pooled connections of the same server are suspect. */
	req->fresh = !req->view.redispatched;
	return go(req, req->view.redispatched ? tg_step_pick : tg_step_connect);
}
