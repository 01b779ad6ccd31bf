#include "proxy/registry.h"

#include <stdlib.h>

void
tg_registry_init(struct tg_registry *registry, unsigned workers)
{
	*registry = (struct tg_registry){ .workers = workers };
}

/* Append to a list of pointers; false: out of memory. */
static bool
append(void ***list, unsigned *count, void *item)
{
	void **grown = realloc(*list, (*count + 1) * sizeof(*grown));

	if (grown == NULL)
		return false;
	*list = grown;
	grown[(*count)++] = item;
	return true;
}

struct tg_server *
tg_registry_server(
    struct tg_registry *registry, struct tg_str backend, struct tg_str name, struct tg_str address)
{
	struct tg_server *server;

	for (unsigned i = 0; i < registry->server_count; i++) {
		server = registry->servers[i];
		if (tg_str_eq(server->backend, backend) && tg_str_eq(server->name, name) &&
		    tg_str_eq(server->address, address))
			return tg_server_get(server);
	}
	server = tg_server_new(registry->workers, backend, name, address);
	if (server == NULL)
		return NULL;
	if (!append((void ***)(void *)&registry->servers, &registry->server_count, server)) {
		tg_server_put(server);
		return NULL;
	}
	return tg_server_get(server);
}

struct tg_backend_state *
tg_registry_state(struct tg_registry *registry, struct tg_str name)
{
	struct tg_backend_state *state;

	for (unsigned i = 0; i < registry->state_count; i++) {
		state = registry->states[i];
		if (tg_str_eq(state->name, name))
			return tg_backend_state_get(state);
	}
	state = tg_backend_state_new(registry->workers, name);
	if (state == NULL)
		return NULL;
	if (!append((void ***)(void *)&registry->states, &registry->state_count, state)) {
		tg_backend_state_put(state);
		return NULL;
	}
	return tg_backend_state_get(state);
}

struct tg_listener_state *
tg_registry_listener(struct tg_registry *registry, struct tg_str address)
{
	struct tg_listener_state *state;

	for (unsigned i = 0; i < registry->listener_count; i++)
		if (tg_str_eq(registry->listeners[i]->address, address))
			return tg_listener_state_get(registry->listeners[i]);
	state = tg_listener_state_new(address);
	if (state == NULL)
		return NULL;
	if (!append((void ***)(void *)&registry->listeners, &registry->listener_count, state)) {
		tg_listener_state_put(state);
		return NULL;
	}
	return tg_listener_state_get(state);
}

void
tg_registry_sweep(struct tg_registry *registry)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < registry->server_count; i++) {
		struct tg_server *server = registry->servers[i];

		if (atomic_load(&server->refs) > 1)
			registry->servers[kept++] = server;
		else
			tg_server_put(server);
	}
	registry->server_count = kept;
	kept = 0;
	for (unsigned i = 0; i < registry->state_count; i++) {
		struct tg_backend_state *state = registry->states[i];

		if (atomic_load(&state->refs) > 1)
			registry->states[kept++] = state;
		else
			tg_backend_state_put(state);
	}
	registry->state_count = kept;
	kept = 0;
	for (unsigned i = 0; i < registry->listener_count; i++) {
		struct tg_listener_state *state = registry->listeners[i];

		if (atomic_load(&state->refs) > 1)
			registry->listeners[kept++] = state;
		else
			tg_listener_state_put(state);
	}
	registry->listener_count = kept;
}

void
tg_registry_fini(struct tg_registry *registry)
{
	for (unsigned i = 0; i < registry->server_count; i++)
		tg_server_put(registry->servers[i]);
	for (unsigned i = 0; i < registry->state_count; i++)
		tg_backend_state_put(registry->states[i]);
	for (unsigned i = 0; i < registry->listener_count; i++)
		tg_listener_state_put(registry->listeners[i]);
	free(registry->servers);
	free(registry->states);
	free(registry->listeners);
	*registry = (struct tg_registry){ .workers = 0 };
}
