#include "proxy/port.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/arrival.h"
#include "proxy/client.h"
#include "proxy/req.h"
#include "proxy/session.h"

enum {
	PORT_MAGIC = 0x9047,
	SAY_MS = 10000,
	FAREWELL_MS = 1000,
};

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
		if (client->port == port && tg_client_is_tunnel(client))
			tg_req_end(client->req, TG_END_SHUTDOWN);
	}
	tg_loop_timer_start(engine->loop, &port->farewell, FAREWELL_MS);
}

int
tg_port_open(struct tg_engine *engine, struct tg_listener_state *state, int fd, bool is_unix)
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

void
tg_port_close(struct tg_port *port)
{
	struct tg_engine *engine = port->engine;
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
		if (client->port != port)
			continue;
		if (client->state == TG_CLIENT_SESSION)
			tg_session_drain(client->session);
		else if (client->state <= TG_CLIENT_IDLE && client->state != TG_CLIENT_SECURING &&
		    tg_conn_quiet(&client->conn))
			tg_client_next(client, false, true);
	}
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
