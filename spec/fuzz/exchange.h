/* The real engine of one worker, with a client and a server that are ours: sockets of this process, and
 * one thread for all. A turn lets the loop look once at its sockets; whoever drives it takes turns until
 * nothing happens any more.
 *
 * The hooks are C. Each request gets an X-Id, which the server sees; what a server answers is marked
 * with the id of the request that it was taken for.
 */
#ifndef TG_FUZZ_EXCHANGE_H
#define TG_FUZZ_EXCHANGE_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/arrival.h"
#include "proxy/client.h"
#include "proxy/req.h"
#include "proxy/upstream.h"

enum { EXCHANGE_REQUESTS = 64, ID_BASE = 100, EXCHANGE_MS = 1000000 };

/* A hook that waits: it is called again after so many turns. */
struct exchange_parked {
	struct tg_req *req;
	enum tg_hook_result (*hook)(struct tg_req *req);
	unsigned turns;
};

/* What the engine made of one request. */
struct exchange_request {
	uint8_t method; /* enum tg_method */
	bool routed;    /* it has an id: ID_BASE and its place */
	bool tunnel;    /* its server has changed the protocol */
	bool ended;
	int32_t end;      /* enum tg_end */
	int64_t bytes_in; /* of its body */
};

struct exchange {
	struct tg_loop loop;
	struct tg_mailbox mailbox;
	struct tg_engines engines;
	struct tg_counters counters;
	struct tg_engine engine;
	struct tg_generation generation;
	struct tg_server *server; /* the plan's */
	char folder[40];
	int listener; /* of our server, in that folder */
	struct exchange_request requests[EXCHANGE_REQUESTS];
	unsigned count; /* of these, in the order of their clients */
	void (*on_response)(struct tg_req *req, int id);

	struct exchange_parked parked[EXCHANGE_REQUESTS];
	unsigned parked_count;
	uint32_t park; /* state of a random number; 0: no hook waits */
	bool waking;   /* the hook that is called has waited */
};

static struct exchange exchange;

/* --- hooks -------------------------------------------------------------------------------- */

static int
exchange_id(const struct tg_head *head)
{
	const struct tg_field *field = tg_head_find(head, TG_STR("X-Id"), NULL);
	char text[8] = "";

	if (field != NULL && field->value.len > 0 && field->value.len < sizeof(text))
		memcpy(text, field->value.ptr, field->value.len);
	return atoi(text);
}

/* Now and then a hook waits before it decides. */
static bool
exchange_parks(struct tg_req *req, enum tg_hook_result (*hook)(struct tg_req *req))
{
	if (exchange.park == 0 || exchange.waking || exchange.parked_count == EXCHANGE_REQUESTS)
		return false;
	exchange.park = exchange.park * 1103515245u + 12345u;
	if ((exchange.park >> 16 & 1) != 0)
		return false;
	exchange.parked[exchange.parked_count++] =
	    (struct exchange_parked){ req, hook, 1 + (exchange.park >> 17 & 15) };
	return true;
}

static enum tg_hook_result
exchange_route(struct tg_req *req)
{
	char id[8];

	if (exchange_parks(req, exchange_route))
		return TG_HOOK_PARKED;
	if (exchange.count == EXCHANGE_REQUESTS)
		return TG_HOOK_FAILED;
	snprintf(id, sizeof(id), "%u", ID_BASE + exchange.count);
	if (tg_head_set(&req->in, TG_STR("X-Id"), tg_str_of(id)) != 0)
		return TG_HOOK_FAILED;
	exchange.requests[exchange.count++] = (struct exchange_request){
		.method = req->in.method_id,
		.routed = true,
	};
	req->view.backend = 0;
	return TG_HOOK_DONE;
}

static enum tg_hook_result
exchange_response(struct tg_req *req)
{
	char id[8];

	if (exchange_parks(req, exchange_response))
		return TG_HOOK_PARKED;
	if (req->out.status == 101)
		exchange.requests[exchange_id(&req->in) - ID_BASE].tunnel = true;

	snprintf(id, sizeof(id), "%d", exchange_id(&req->in));
	if (exchange.on_response != NULL)
		exchange.on_response(req, exchange_id(&req->in));
	return tg_head_set(&req->out, TG_STR("X-Answers"), tg_str_of(id)) == 0 ? TG_HOOK_DONE
	                                                                       : TG_HOOK_FAILED;
}

static enum tg_hook_result
exchange_decide(struct tg_req *req)
{
	if (exchange_parks(req, exchange_decide))
		return TG_HOOK_PARKED;
	req->verdict =
	    tg_req_safe(req) && req->view.retries < 2 ? TG_VERDICT_RETRY : TG_VERDICT_GIVE_UP;
	return TG_HOOK_DONE;
}

/* What was answered, or refused, before it was routed is entered here. */
static void
exchange_finish(struct tg_req *req)
{
	int id = req->backend != NULL ? exchange_id(&req->in) - ID_BASE : (int)exchange.count;

	if (id < 0 || id > (int)exchange.count || id >= EXCHANGE_REQUESTS)
		return;
	if (id == (int)exchange.count)
		exchange.requests[exchange.count++] = (struct exchange_request){
			.method = req->in.method_id,
		};
	exchange.requests[id].ended = true;
	exchange.requests[id].end = req->view.end;
	exchange.requests[id].bytes_in = req->view.bytes_in;
}

static enum tg_hook_result
exchange_retry(struct tg_req *req, enum tg_end failure)
{
	(void)failure;
	return exchange_decide(req);
}

static void
exchange_nothing(struct tg_req *req)
{
	(void)req;
}

static void
exchange_cancel(struct tg_req *req)
{
	for (unsigned i = 0; i < exchange.parked_count; i++)
		if (exchange.parked[i].req == req) {
			exchange.parked[i] = exchange.parked[--exchange.parked_count];
			return;
		}
	abort();
}

/* Hooks whose time has come decide. False: none waits. */
static inline bool
exchange_wake(void)
{
	bool waited = exchange.parked_count > 0;

	for (unsigned i = 0; i < exchange.parked_count; i++) {
		struct exchange_parked parked = exchange.parked[i];
		enum tg_hook_result result;

		if (--exchange.parked[i].turns > 0)
			continue;
		exchange.parked[i--] = exchange.parked[--exchange.parked_count];
		exchange.waking = true;
		result = parked.hook(parked.req);
		exchange.waking = false;
		tg_req_resume(parked.req, result);
	}
	return waited;
}

static const struct tg_hooks exchange_hooks = {
	.route = exchange_route,
	.response = exchange_response,
	.retry = exchange_retry,
	.finish = exchange_finish,
	.release = exchange_nothing,
	.cancel = exchange_cancel,
};

static void
exchange_unused(struct tg_generation *generation)
{
	tg_plan_put(generation->plan);
}

/* --- the engine --------------------------------------------------------------------------- */

static void
exchange_quiet(const struct tg_log_message *message)
{
	(void)message;
}

static void
exchange_need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "exchange: cannot set up %s\n", what);
	exit(2);
}

static struct tg_addr
exchange_address(const char *text)
{
	struct tg_addr addr;
	struct tg_str host;
	uint16_t port;

	exchange_need(tg_addr_parse(tg_str_of(text), true, &addr, &host, &port) == 0, text);
	return addr;
}

static struct tg_plan *
exchange_plan(const char *listen, const char *server)
{
	static const struct tg_listener_options listening = {
		.max_head = 2048,
		.max_uri = 256,
		.max_fields = 16,
		.max_body = 20000,
		.client_ms = EXCHANGE_MS,
		.head_ms = EXCHANGE_MS,
		.keep_alive_ms = EXCHANGE_MS,
		.backend = -1,
		.has_route = 1,
		.has_finish = 1,
		.via = 1,
		.forwarded_for = 1,
	};
	static const struct tg_backend_options backend = {
		.connect_ms = EXCHANGE_MS,
		.server_ms = EXCHANGE_MS,
		.tunnel_ms = EXCHANGE_MS,
		.retry_body = 4096,
		.pool_size = 8,
		.has_response = 1,
		.has_retry = 1,
	};
	static const struct tg_server_options options = { .weight = 1, .init_up = 1 };
	struct tg_addr addr = exchange_address(listen);
	struct tg_plan *plan = tg_plan_new(2);

	exchange_need(plan != NULL, "a plan");
	exchange_need(tg_plan_add_listener(
	                  plan, tg_listener_state_new(tg_str_of(listen)), &addr, &listening) == 0,
	    "a listener");
	exchange_need(
	    tg_plan_add_backend(plan, tg_backend_state_new(1, TG_STR("web")), &backend) == 0,
	    "a backend");
	exchange.server = tg_server_new(1, TG_STR("web"), TG_STR("a"), tg_str_of(server));
	exchange_need(tg_plan_add_server(plan, 0, exchange.server, &options) == 0, "a server");
	return plan;
}

static void
exchange_open(void)
{
	char listen[64], server[64];
	struct tg_addr addr, at;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	tg_log_set_sink(exchange_quiet);
	memset(&exchange, 0, sizeof(exchange));
	snprintf(listen, sizeof(listen), "unix:@tidegate-exchange-%ld", (long)getpid());
	snprintf(exchange.folder, sizeof(exchange.folder), "/tmp/tidegate-exchange-XXXXXX");
	exchange_need(mkdtemp(exchange.folder) != NULL, exchange.folder);
	snprintf(server, sizeof(server), "unix:%s/s", exchange.folder);
	exchange_need(tg_loop_init(&exchange.loop) == 0, "a loop");
	exchange_need(
	    tg_mailbox_open(&exchange.mailbox, &exchange.loop.uv, NULL) == 0, "a mailbox");
	tg_engine_init(&exchange.engine, &exchange.engines, &exchange.loop, &exchange.mailbox, 0,
	    &exchange.counters);
	exchange.generation = (struct tg_generation){
		.plan = exchange_plan(listen, server),
		.hooks = &exchange_hooks,
		.users = 1,
		.on_unused = exchange_unused,
	};
	addr = exchange_address(server);
	exchange.listener = tg_listener_bind(&addr, &at);
	exchange_need(exchange.listener >= 0, server);
	addr = exchange_address(listen);
	fd = tg_listener_bind(&addr, &at);
	exchange_need(fd >= 0, listen);
	exchange_need(tg_port_open(&exchange.engine, exchange.generation.plan->listeners[0].state,
	                  fd, true) == 0,
	    listen);
	tg_engine_switch(&exchange.engine, &exchange.generation);
}

/* One look at all sockets. */
static void
exchange_turn(void)
{
	uv_run(&exchange.loop.uv, UV_RUN_NOWAIT);
}

/* A client's end of a new connection. */
static int
exchange_connect(void)
{
	struct tg_port *port = tg_container_of(exchange.engine.ports.next, struct tg_port, link);
	struct tg_addr peer = { .len = 0 };
	int ends[2];

	exchange_need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0,
	    "a connection");
	exchange_need(port->listener.admit(&port->listener, true), "a client");
	tg_client_accept(port, ends[1], &peer);
	return ends[0];
}

/* Is there for every request somebody who will end it: a timer, or a hook that waits? */
static inline bool
exchange_all_watched(void)
{
	struct tg_link *clients = &exchange.engine.clients, *link;

	for (link = clients->next; link != clients; link = link->next) {
		const struct tg_client *client = tg_container_of(link, struct tg_client, link);
		const struct tg_req *req = client->req;

		if (client->state == TG_CLIENT_CLOSING || tg_timer_active(&client->timer))
			continue;
		if (client->state == TG_CLIENT_SESSION) /* its streams are looked at one by one */
			continue;
		if (req == NULL ||
		    (req->hook != TG_HOOK_WAITS &&
		        (req->up == NULL || !tg_timer_active(&req->up->timer))))
			return false;
	}
	return true;
}

/* End whatever is going on, and forget it. */
static void
exchange_clear(void)
{
	struct tg_engine *engine = &exchange.engine;
	struct tg_link *link, *next;

	for (link = engine->clients.next; link != &engine->clients; link = next) {
		struct tg_client *client = tg_container_of(link, struct tg_client, link);

		next = link->next;
		if (client->state == TG_CLIENT_BUSY)
			tg_req_end(client->req, TG_END_SHUTDOWN);
		if (client->state != TG_CLIENT_CLOSING)
			tg_client_close(client, false);
	}
	tg_pool_drop(engine, exchange.server);
	while (!tg_list_empty(&engine->clients) || !tg_list_empty(&engine->upstreams))
		exchange_turn();
	exchange.count = 0;
}

static void
exchange_idle(struct tg_engine *engine)
{
	struct tg_generation *last = engine->current;

	engine->current = NULL;
	tg_generation_put(last);
	tg_mailbox_close(&exchange.mailbox);
}

static void
exchange_close(void)
{
	char path[64];

	exchange_clear();
	exchange.engine.on_idle = exchange_idle;
	tg_engine_stop(&exchange.engine, true);
	while (exchange.engine.current != NULL)
		exchange_turn();
	exchange_turn();
	tg_engine_fini(&exchange.engine);
	tg_loop_fini(&exchange.loop);
	close(exchange.listener);
	snprintf(path, sizeof(path), "%s/s", exchange.folder);
	unlink(path);
	rmdir(exchange.folder);
}

#endif
