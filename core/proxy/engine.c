#include "proxy/engine.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/client.h"
#include "proxy/req.h"
#include "proxy/upstream.h"

enum {
	ENGINE_MAGIC = 0xe461e,
	PORT_MAGIC = 0x9047,
	KEEP_CONNECTIONS = 1024,
	SAY_MS = 10000,
	FAREWELL_MS = 1000
};

static void run_room(struct tg_message *message, void *receiver);

void
tg_engine_init(struct tg_engine *engine, struct tg_engines *all, struct tg_loop *loop,
    struct tg_mailbox *mailbox, unsigned worker, struct tg_counters *counters)
{
	memset(engine, 0, sizeof(*engine));
	engine->magic = ENGINE_MAGIC;
	engine->worker = worker;
	engine->loop = loop;
	engine->mailbox = mailbox;
	engine->counters = counters;
	engine->all = all;
	all->list[all->count++] = engine;
	engine->room.run = run_room;
	tg_link_init(&engine->ports);
	tg_link_init(&engine->clients);
	tg_link_init(&engine->upstreams);
	tg_link_init(&engine->waiters);
	tg_link_init(&engine->handshake_line);
	tg_link_init(&engine->free_requests);
	tg_link_init(&engine->all_requests);
	tg_blocks_init(&engine->client_blocks, sizeof(struct tg_client), KEEP_CONNECTIONS);
	tg_blocks_init(&engine->upstream_blocks, sizeof(struct tg_upstream), KEEP_CONNECTIONS);
	engine->next_serial = 1;
}

void
tg_engine_fini(struct tg_engine *engine)
{
	TG_CHECK(engine, ENGINE_MAGIC);
	tg_assert(engine->open_handles == 0 && engine->current == NULL);
	tg_pools_clear(engine);
	free(engine->pools);
	tg_requests_fini(engine);
	tg_blocks_fini(&engine->client_blocks);
	tg_blocks_fini(&engine->upstream_blocks);
	engine->magic = 0;
}

void
tg_generation_put(struct tg_generation *generation)
{
	tg_assert(generation->users > 0);
	if (--generation->users == 0)
		generation->on_unused(generation);
}

/* --- ports -------------------------------------------------------------------------------- */

static void
on_connection(struct tg_listener *listener, int fd, const struct tg_addr *peer)
{
	tg_client_accept(tg_container_of(listener, struct tg_port, listener), fd, peer);
}

static void
on_port_closed(struct tg_listener *listener)
{
	struct tg_port *port = tg_container_of(listener, struct tg_port, listener);
	struct tg_engine *engine = port->engine;

	tg_port_put(port);
	tg_engine_closed(engine);
}

/* Once in a while, whichever thread it is: a site that is full says so, and not a thousand times. */
static void
say_full(struct tg_engine *engine, int most)
{
	uint64_t now = tg_loop_now(engine->loop), last = atomic_load(&engine->all->said_at);

	if ((last == 0 || now >= last + SAY_MS) &&
	    atomic_compare_exchange_strong(&engine->all->said_at, &last, now))
		tg_log(TG_LOG_WARNING,
		    "accepting pauses: the limit of connections, %d, is reached "
		    "(max_connections, or what there are file descriptors for)",
		    most);
}

/* A place for one more client, of the process and of the listener; `must`: beyond the limits. */
static bool
admit(struct tg_listener *listener, bool must)
{
	struct tg_port *port = tg_container_of(listener, struct tg_port, listener);
	struct tg_engines *all = port->engine->all;
	int most = must ? 0 : atomic_load_explicit(&all->max_connections, memory_order_relaxed);
	int here = must ? 0 : tg_port_options(port)->max_connections;

	if (!tg_limit_want(&all->connections, most)) {
		say_full(port->engine, most);
		return false;
	}
	if (tg_limit_want(&port->state->connections, here))
		return true;
	if (tg_limit_give(&all->connections))
		tg_engines_room(all);
	return false;
}

static void
dismiss(struct tg_listener *listener)
{
	tg_port_leave(tg_container_of(listener, struct tg_port, listener));
}

void
tg_port_leave(struct tg_port *port)
{
	struct tg_engines *all = port->engine->all;
	bool here = tg_limit_give(&port->state->connections);

	if (tg_limit_give(&all->connections) || here)
		tg_engines_room(all);
}

static void
resume_ports(struct tg_engine *engine)
{
	struct tg_link *link;

	for (link = engine->ports.next; link != &engine->ports; link = link->next)
		tg_listener_resume(&tg_container_of(link, struct tg_port, link)->listener);
}

static void
run_room(struct tg_message *message, void *receiver)
{
	struct tg_engine *engine = tg_container_of(message, struct tg_engine, room);

	(void)receiver;
	TG_CHECK(engine, ENGINE_MAGIC);
	atomic_store(&engine->room_sent, false);
	resume_ports(engine);
}

void
tg_engines_room(struct tg_engines *all)
{
	for (unsigned i = 0; i < all->count; i++)
		if (!atomic_exchange(&all->list[i]->room_sent, true))
			tg_mailbox_send(all->list[i]->mailbox, &all->list[i]->room);
}

static bool
is_tunnel(const struct tg_client *client)
{
	return client->state == TG_CLIENT_BUSY && client->req->tunnel;
}

/* Its tunnels have had their time. Those that have become one since get a second. */
static void
on_farewell(struct tg_timer *timer)
{
	struct tg_port *port = tg_container_of(timer, struct tg_port, farewell);
	struct tg_engine *engine = port->engine;
	struct tg_link *link, *next;

	for (link = engine->clients.next; link != &engine->clients; link = next) {
		struct tg_client *client = tg_container_of(link, struct tg_client, link);

		next = link->next;
		if (client->port == port && is_tunnel(client))
			tg_req_end(client->req, TG_END_SHUTDOWN);
	}
	tg_loop_timer_start(engine->loop, &port->farewell, FAREWELL_MS);
}

int
tg_engine_listen(struct tg_engine *engine, struct tg_listener_state *state, int fd, bool is_unix)
{
	struct tg_port *port = calloc(1, sizeof(*port));
	int err = UV_ENOMEM;

	if (port != NULL)
		err = tg_listener_open(
		    &port->listener, engine->loop, fd, on_connection, on_port_closed);
	if (err != 0) {
		free(port);
		close(fd);
		return err;
	}
	port->listener.admit = admit;
	port->listener.dismiss = dismiss;
	port->magic = PORT_MAGIC;
	port->engine = engine;
	port->users = 1;
	port->index = -1;
	port->is_unix = is_unix;
	port->state = tg_listener_state_get(state);
	tg_timer_init(&port->farewell, on_farewell);
	tg_link_init(&port->link);
	tg_list_push_back(&engine->ports, &port->link);
	engine->open_handles++;
	return 0;
}

/* Clients of the port finish what they do, and what they have asked already is answered, by the
 * generation that still named the port; those that are idle go. */
static void
close_port(struct tg_engine *engine, struct tg_port *port)
{
	struct tg_link *link, *next;

	tg_link_remove(&port->link);
	tg_listener_close(&port->listener);
	port->closed = true;
	port->last = engine->current;
	port->last->users++;
	tg_loop_timer_start(
	    engine->loop, &port->farewell, (uint64_t)port->last->plan->process.tunnel_grace_ms);
	for (link = engine->clients.next; link != &engine->clients; link = next) {
		struct tg_client *client = tg_container_of(link, struct tg_client, link);

		next = link->next;
		if (client->port == port && client->state <= TG_CLIENT_IDLE &&
		    client->state != TG_CLIENT_SECURING && tg_conn_quiet(&client->conn))
			tg_client_next(client, false, true);
	}
}

static int
index_of(const struct tg_plan *plan, struct tg_str address)
{
	for (unsigned i = 0; i < plan->listener_count; i++)
		if (tg_str_eq(plan->listeners[i].address, address))
			return (int)i;
	return -1;
}

void
tg_engine_switch(struct tg_engine *engine, struct tg_generation *generation)
{
	struct tg_generation *old = engine->current;
	struct tg_link *link, *next;

	TG_CHECK(engine, ENGINE_MAGIC);
	for (link = engine->ports.next; link != &engine->ports; link = next) {
		struct tg_port *port = tg_container_of(link, struct tg_port, link);

		next = link->next;
		if (index_of(generation->plan, port->state->address) < 0)
			close_port(engine, port);
	}
	engine->current = generation;
	for (link = engine->ports.next; link != &engine->ports; link = link->next) {
		struct tg_port *port = tg_container_of(link, struct tg_port, link);

		port->index = index_of(generation->plan, port->state->address);
	}
	resume_ports(engine); /* limits may have changed */
	tg_pools_sync(engine);
	if (old != NULL)
		tg_generation_put(old);
}

/* --- servers ------------------------------------------------------------------------------ */

void
tg_engine_server_closed(struct tg_engine *engine, const struct tg_server *server, bool down)
{
	struct tg_link *last, *link;

	TG_CHECK(engine, ENGINE_MAGIC);
	if (down || !tg_server_usable(server))
		tg_pool_drop(engine, server);
	tg_queue_closed(engine, server);
	if (!down)
		return;
	/* Not those that come up meanwhile: they know. None goes: upstreams leave the list in
	 * on_closed, which only the loop calls. */
	last = engine->upstreams.prev;
	for (link = &engine->upstreams; link != last;) {
		struct tg_upstream *up;

		link = link->next;
		up = tg_container_of(link, struct tg_upstream, all);
		if (up->server == server && up->req != NULL)
			tg_req_server_down(up->req);
	}
}

/* --- the end ------------------------------------------------------------------------------ */

static void
check_idle(struct tg_engine *engine)
{
	if (engine->draining && engine->open_handles == 0 && engine->on_idle != NULL) {
		void (*on_idle)(struct tg_engine *) = engine->on_idle;

		engine->on_idle = NULL;
		on_idle(engine);
	}
}

void
tg_engine_closed(struct tg_engine *engine)
{
	tg_assert(engine->open_handles > 0);
	engine->open_handles--;
	check_idle(engine);
}

void
tg_engine_drain(struct tg_engine *engine)
{
	TG_CHECK(engine, ENGINE_MAGIC);
	engine->draining = true;
	while (!tg_list_empty(&engine->ports))
		close_port(engine, tg_container_of(engine->ports.next, struct tg_port, link));
	tg_pools_clear(engine);
	check_idle(engine);
}

void
tg_engine_stop(struct tg_engine *engine, bool tunnels)
{
	struct tg_link *link, *next;

	tg_engine_drain(engine);
	for (link = engine->clients.next; link != &engine->clients; link = next) {
		struct tg_client *client = tg_container_of(link, struct tg_client, link);

		next = link->next;
		if (!tunnels && is_tunnel(client))
			continue;
		if (client->state == TG_CLIENT_BUSY)
			tg_req_end(client->req, TG_END_SHUTDOWN);
		if (client->state != TG_CLIENT_CLOSING)
			tg_client_close(client, false);
	}
}
