#include "proxy/engine.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/client.h"
#include "proxy/req.h"
#include "proxy/stream.h"
#include "proxy/upstream.h"

enum {
	ENGINE_MAGIC = 0xe461e,
	KEEP_CONNECTIONS = 1024,
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
	tg_blocks_init(&engine->stream_blocks, sizeof(struct tg_stream), KEEP_CONNECTIONS);
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
	tg_blocks_fini(&engine->stream_blocks);
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
			tg_port_close(port);
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
		tg_port_close(tg_container_of(engine->ports.next, struct tg_port, link));
	tg_pools_clear(engine);
	check_idle(engine);
}

/* Its streams have ended, but for tunnels that may go on. */
static void
stop_session(struct tg_client *client)
{
	bool busy = tg_session_busy(client->session);

	tg_session_goaway(client->session);
	if (!busy && client->state != TG_CLIENT_CLOSING)
		tg_client_close(client, false);
}

void
tg_engine_stop(struct tg_engine *engine, bool tunnels)
{
	struct tg_link *link, *next;

	tg_engine_drain(engine);
	for (link = engine->clients.next; link != &engine->clients; link = next) {
		struct tg_client *client = tg_container_of(link, struct tg_client, link);

		next = link->next;
		if (!tunnels && tg_client_is_tunnel(client))
			continue;
		if (client->state == TG_CLIENT_BUSY)
			tg_req_end(client->req, TG_END_SHUTDOWN);
		if (client->state != TG_CLIENT_CLOSING && client->state != TG_CLIENT_SESSION)
			tg_client_close(client, false);
	}
	for (link = engine->clients.next; link != &engine->clients; link = link->next) {
		struct tg_client *client = tg_container_of(link, struct tg_client, link);

		if (client->state == TG_CLIENT_SESSION)
			stop_session(client);
	}
}
