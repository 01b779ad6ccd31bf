#include "proxy/req.h"

#include <stdlib.h>
#include <uv.h>

#include "base/clock.h"
#include "proxy/answer.h"
#include "proxy/arrival.h"
#include "proxy/capture.h"
#include "proxy/client.h"
#include "proxy/steps.h"
#include "proxy/tcp.h"
#include "proxy/upstream.h"

/* --- birth -------------------------------------------------------------------------------- */

static struct tg_req *
take_memory(struct tg_engine *engine)
{
	struct tg_link *link = tg_list_pop_front(&engine->free_requests);
	struct tg_req *req;

	if (link != NULL)
		return tg_container_of(link, struct tg_req, link);
	req = calloc(1, sizeof(*req));
	if (req == NULL)
		return NULL;
	req->magic = TG_REQ_MAGIC;
	req->engine = engine;
	req->view.slot = (int32_t)engine->next_slot++;
	tg_link_init(&req->link);
	tg_list_push_back(&engine->all_requests, &req->all);
	tg_arena_init(&req->arena, &engine->loop->small);
	return req;
}

static void
init_view(struct tg_req *req, bool empty)
{
	struct tg_client *client = req->client;
	uint64_t now = tg_loop_now(req->engine->loop);
	uint64_t waited = empty || req->tcp ? now - client->accepted : 0;
	int32_t slot = req->view.slot;

	req->began = now - waited;
	req->view = (struct tg_req_view){
		.serial = ++req->engine->next_serial,
		.slot = slot,
		.client = tg_str_of(client->ip),
		.client_port = client->peer_port,
		.secure = tg_conn_secure(&client->root->conn) ||
		    (client->proxied != NULL && client->proxied->said.tls),
		.listener = req->listener->address,
		.listener_index = client->port->index,
		.backend = -1,
		.server = -1,
		.empty = empty,
		.raw = req->tcp,
		.hello = -1,
		.started_ms = (int64_t)(tg_clock_wall_ms() - waited),
		.head_ms = -1,
		.wait_ms = -1,
		.connect_ms = -1,
		.response_ms = -1,
		.total_ms = -1,
	};
}

/* Everything from `step` on belongs to one request and starts at zero. */
static void
clear(struct tg_req *req)
{
	struct tg_arena arena = req->arena;

	memset((char *)req + offsetof(struct tg_req, step), 0,
	    sizeof(*req) - offsetof(struct tg_req, step));
	req->arena = arena;
}

struct tg_req *
tg_req_new(struct tg_client *client, bool empty)
{
	struct tg_engine *engine = client->engine;
	struct tg_req *req = take_memory(engine);

	if (req == NULL)
		return NULL;
	clear(req);
	req->client = client;
	req->generation = tg_port_generation(client->port);
	req->generation->users++;
	req->listener = &req->generation->plan->listeners[client->port->index];
	req->tcp = req->listener->options.tcp != 0;
	init_view(req, empty);
	req->step = tg_step_judge;
	tg_head_init(&req->in, &req->arena);
	tg_http1_request_init(&req->in_codec, &req->listener->limits, &req->in);
	if (empty)
		return req;
	tg_cell_add(&engine->counters->requests, 1);
	tg_gauge_add(&engine->counters->active, 1);
	return req;
}

/* --- life --------------------------------------------------------------------------------- */

/* A host as one compares it: without the port, in lower case (RFC 9110 §4.2.3). When memory is
 * out it stays as it came: the request is about to find that out elsewhere. */
static struct tg_str
plain_host(struct tg_req *req, struct tg_str authority)
{
	struct tg_str host = authority, copy;
	size_t i = authority.len;

	while (i > 0 && authority.ptr[i - 1] >= '0' && authority.ptr[i - 1] <= '9')
		i--;
	if (i > 0 && authority.ptr[i - 1] == ':')
		host.len = i - 1;
	for (i = 0; i < host.len; i++)
		if (host.ptr[i] != (char)tg_char_lower(host.ptr[i]))
			break;
	if (i == host.len)
		return host;
	copy = tg_arena_copy(&req->arena, host);
	if (copy.ptr == NULL)
		return host;
	for (; i < copy.len; i++)
		((char *)(uintptr_t)copy.ptr)[i] = (char)tg_char_lower(copy.ptr[i]);
	return copy;
}

void
tg_req_refresh(struct tg_req *req)
{
	req->view.target = req->in.target;
	req->view.authority = req->in.host;
	req->view.host = plain_host(req, req->in.host);
	req->view.path = req->in.path;
	req->view.query = req->in.query;
}

void
tg_req_start(struct tg_req *req)
{
	TG_CHECK(req, TG_REQ_MAGIC);
	req->head_done = true;
	req->head_at = tg_loop_now(req->engine->loop);
	req->view.head_ms = (int32_t)(req->head_at - req->began);
	req->view.method = req->in.method;
	req->asked_host = req->in.host;
	req->view.version = req->in.major * 10 + req->in.minor;
	tg_req_refresh(req);
	tg_capture(req, TG_SIDE_REQUEST);
	req->awaits_continue = req->in.expect_continue;
	req->in_done = req->in.framing == TG_FRAMING_NONE ||
	    (req->in.framing == TG_FRAMING_LENGTH && req->in.length == 0);
	tg_req_run(req);
}

static void finish(struct tg_req *req);

void
tg_req_run(struct tg_req *req)
{
	TG_CHECK(req, TG_REQ_MAGIC);
	if (req->running)
		return;
	req->running = true;
	while (req->view.end == TG_END_NONE && req->step(req) == TG_NEXT_GO)
		;
	req->running = false;
	if (req->view.end != TG_END_NONE)
		finish(req);
}

void
tg_req_resume(struct tg_req *req, enum tg_hook_result result)
{
	TG_CHECK(req, TG_REQ_MAGIC);
	tg_assert(req->hook == TG_HOOK_WAITS);
	req->hook = TG_HOOK_READY;
	req->hook_result = result;
	req->task = NULL;
	tg_req_run(req);
}

int
tg_req_answer(struct tg_req *req, int status, struct tg_str body)
{
	struct tg_str copy;

	if (req->head_sent || req->relaying || !req->head_done) /* no raw one has a head */
		return UV_EBUSY;
	copy = tg_arena_copy(&req->arena, body);
	if (copy.ptr == NULL)
		return UV_ENOMEM;
	tg_head_init(&req->out, &req->arena);
	req->out.status = status;
	req->answered = true;
	req->answer = copy;
	req->view.status = status;
	return 0;
}

int
tg_req_keep_trailers(struct tg_req *req, struct tg_head **kept, const struct tg_head *trailers)
{
	if (trailers == NULL)
		return 0;
	*kept = tg_arena_alloc(&req->arena, sizeof(**kept));
	return *kept != NULL ? tg_head_copy(*kept, &req->arena, trailers) : TG_HTTP_MEMORY;
}

bool
tg_req_idempotent(const struct tg_req *req)
{
	switch (req->in.method_id) {
	case TG_METHOD_GET:
	case TG_METHOD_HEAD:
	case TG_METHOD_PUT:
	case TG_METHOD_DELETE:
	case TG_METHOD_OPTIONS:
	case TG_METHOD_TRACE:
		return true;
	default:
		return false;
	}
}

bool
tg_req_safe(const struct tg_req *req)
{
	return !req->sent || (tg_req_body_whole(req) && tg_req_idempotent(req));
}

void
tg_req_attempt_failed(struct tg_req *req, enum tg_end kind)
{
	bool reused = req->up != NULL && req->up->reused;

	if (req->server != NULL)
		tg_cell_add(&req->server->server->cells[req->engine->worker].failures, 1);
	tg_upstream_detach(req, false);
	req->failure = (uint8_t)kind;
	if (req->out_started || req->out_head_done) {
		req->cut = true;
		tg_req_end(req, kind);
		return;
	}
	req->sending = false;
	req->unsent.len = 0;
	if (reused && !req->repeated && kind == TG_END_SERVER_CLOSED && tg_req_safe(req)) {
		/* It was closed while idle, most likely: that says nothing about the server. */
		req->repeated = true;
		req->fresh = true;
		req->step = tg_step_connect;
	} else if (req->backend->options.has_retry) {
		req->step = tg_step_retry;
	} else {
		tg_req_end(req, kind);
		return;
	}
	tg_req_run(req);
}

void
tg_req_server_down(struct tg_req *req)
{
	const struct tg_backend_options *options;
	bool begun, movable;

	TG_CHECK(req, TG_REQ_MAGIC);
	options = &req->backend->options;
	begun = req->out_started || req->out_head_done;
	movable = !begun && options->has_retry && tg_req_safe(req);
	if (options->on_down == TG_ON_DOWN_CLOSE ||
	    (options->on_down == TG_ON_DOWN_RETRY && movable))
		tg_req_attempt_failed(
		    req, req->relaying ? TG_END_RESPONSE_DOWN : TG_END_SERVER_DOWN);
}

void
tg_req_pick_anew(struct tg_req *req)
{
	TG_CHECK(req, TG_REQ_MAGIC);
	tg_queue_leave(req);
	req->view.server = -1; /* it has not failed */
	req->server = NULL;
	req->step = tg_step_pick;
	tg_req_run(req);
}

/* --- end ---------------------------------------------------------------------------------- */

static int64_t
active_in(const struct tg_backend_state *state)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < state->cells_len; i++)
		sum += atomic_load_explicit(&state->cells[i].active, memory_order_relaxed);
	return sum;
}

/* What else is going on, for the log. */
static void
look_around(struct tg_req *req)
{
	req->view.process_connections = tg_limit_used(&req->engine->all->connections);
	req->view.listener_connections = tg_limit_used(&req->client->port->state->connections);
	if (req->backend != NULL)
		req->view.backend_active = (int32_t)active_in(req->backend->state);
	if (req->server != NULL)
		req->view.server_active = (int32_t)tg_server_sum(req->server->server).active;
}

void
tg_req_end(struct tg_req *req, enum tg_end end)
{
	TG_CHECK(req, TG_REQ_MAGIC);
	if (req->view.end != TG_END_NONE)
		return;
	req->view.end = (int32_t)end;
	if (!req->running)
		finish(req);
}

/* Tell the client, as far as that is still possible; whether its connection may go on. */
static bool
settle_client(struct tg_req *req)
{
	const struct tg_end_row *row = tg_end_row((enum tg_end)req->view.end);

	if (req->view.end == TG_END_OK || req->view.end == TG_END_ANSWERED)
		return req->keep_client;
	if (row->status == 0 || req->head_sent || req->view.raw)
		return false;
	return tg_answer_error(req, row);
}

/* Before the client is told: who has an error in hand finds it counted. */
static void
account(struct tg_req *req)
{
	const struct tg_end_row *row = tg_end_row((enum tg_end)req->view.end);
	struct tg_counters *counters = req->engine->counters;

	req->view.end_name = row->name;
	req->view.end_code = row->code;
	req->view.total_ms = (int32_t)(tg_loop_now(req->engine->loop) - req->began);
	if (!req->view.empty || (req->view.raw && !req->admitted))
		tg_cell_add(&counters->ends[req->view.end], 1);
	if (req->view.empty)
		return;
	tg_gauge_add(&counters->active, -1);
	if (req->backend != NULL)
		tg_gauge_add(&req->backend->state->cells[req->engine->worker].active, -1);
}

static void
release_memory(struct tg_req *req)
{
	struct tg_generation *generation = req->generation;

	req->view.serial = ++req->engine->next_serial; /* handles are stale from here on */
	tg_tcp_drop_early(req);
	tg_arena_reset(&req->arena);
	req->client = NULL;
	req->generation = NULL;
	tg_list_push_front(&req->engine->free_requests, &req->link);
	tg_generation_put(generation);
}

/* Is there nothing more of the client that somebody would miss? Of a request: all was read, and the client
 * has said that nothing more comes. Where a server takes no more, the client has still to read what that
 * one has said. */
static bool
ends_clean(const struct tg_req *req)
{
	if (req->view.raw)
		return req->view.end != TG_END_RESPONSE_CUT;
	return (req->head_done && req->in_done && !req->in.keep_alive) || req->view.empty;
}

/* The one place where requests end. */
static void
finish(struct tg_req *req)
{
	struct tg_client *client = req->client;
	const struct tg_hooks *hooks = req->generation->hooks;
	bool whole = req->view.end == TG_END_OK || req->view.end == TG_END_ANSWERED;
	bool cut = req->view.raw ? req->cut : req->head_sent && !whole && !req->tunnel;
	bool clean = ends_clean(req), admitted = req->admitted;
	bool keep;

	if (req->hook == TG_HOOK_WAITS)
		hooks->cancel(req);
	req->hook = TG_HOOK_FREE;
	tg_upstream_detach(req, false);
	tg_queue_leave(req);
	tg_queue_give(req);
	account(req);
	keep = settle_client(req);
	req->view.raw = req->tcp; /* in mode "http" it is an empty request, to the log */
	if (!req->admitted &&
	    (req->view.empty ? req->listener->options.log_empty
	                     : req->listener->options.has_finish)) {
		look_around(req);
		hooks->finish(req);
	}
	if (req->view.has_context)
		hooks->release(req);
	client->req = NULL;
	release_memory(req);
	if (admitted)
		tg_client_begin(client);
	else if (cut) /* an answer that is not whole must not look whole */
		tg_client_close(client, true);
	else
		tg_client_next(client, keep, clean);
}

void
tg_requests_fini(struct tg_engine *engine)
{
	struct tg_link *link;

	while ((link = tg_list_pop_front(&engine->all_requests)) != NULL) {
		struct tg_req *req = tg_container_of(link, struct tg_req, all);

		tg_arena_reset(&req->arena);
		free(req);
	}
}
