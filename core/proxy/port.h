/* An address that a worker accepts on. Limits of connections are asked before one is accepted (net/listener.h);
 * clients hold their port, so that it goes with the last of them.
 */
#ifndef TG_PROXY_PORT_H
#define TG_PROXY_PORT_H

#include "proxy/engine.h"

struct tg_listener_options;
struct tg_plan_listener;

struct tg_port {
	uint32_t magic;
	struct tg_link link; /* in engine->ports, until it is closed */
	struct tg_listener listener;
	struct tg_engine *engine;
	unsigned users; /* clients, and 1 while it is open */
	int index;      /* in the listeners of the plan that it serves */
	bool closed;    /* no longer named: what its clients have asked is still answered */
	bool is_unix;
	struct tg_timer farewell;        /* closed: how long its tunnels may go on */
	struct tg_generation *last;      /* closed: the last that named it, one user; else NULL */
	struct tg_listener_state *state; /* counted */
};

/* Accept on `fd` from tg_listener_bind, for what the plan says of `state` (counted by the call). 0 or negative (the
 * descriptor is then closed). Call before the switch to the plan that names it. */
TG_MUST_USE int tg_port_open(
    struct tg_engine *engine, struct tg_listener_state *state, int fd, bool is_unix);

/* No more are accepted. Clients of the port finish what they do, and what they have asked already is
 * answered, by the generation that still named the port; those that are idle go. */
void tg_port_close(struct tg_port *port);

/* What the port's next request is served by: the current generation, or the last that named it. */
struct tg_generation *tg_port_generation(const struct tg_port *port);

const struct tg_plan_listener *tg_port_listener(const struct tg_port *port);
const struct tg_listener_options *tg_port_options(const struct tg_port *port);

/* A client of the port is gone: its place is another's. */
void tg_port_leave(struct tg_port *port);

void tg_port_put(struct tg_port *port);

#endif
