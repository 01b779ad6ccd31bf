#include "proxy/registry.h"

#include <stdlib.h>

enum { SLOTS_MIN = 64 };

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

/* --- the table of servers ----------------------------------------------------------------- */

/* FNV-1a, the text and its end. */
static uint32_t
hash_text(uint32_t hash, struct tg_str text)
{
	for (size_t i = 0; i < text.len; i++)
		hash = (hash ^ (unsigned char)text.ptr[i]) * 16777619U;
	return hash * 16777619U;
}

/* The slot of that server, or the free one where it belongs. There is always a free one. */
static uint32_t *
slot_of(const struct tg_registry *registry, uint32_t hash, struct tg_str backend,
    struct tg_str name, struct tg_str address)
{
	unsigned mask = registry->slot_count - 1, at;

	for (at = hash & mask; registry->slots[at] != 0; at = (at + 1) & mask) {
		const struct tg_server *server = registry->servers[registry->slots[at] - 1];

		if (server->hash == hash && tg_str_eq(server->name, name) &&
		    tg_str_eq(server->address, address) && tg_str_eq(server->backend, backend))
			break;
	}
	return &registry->slots[at];
}

/* Fill the table anew from the list. */
static void
fill_slots(struct tg_registry *registry)
{
	memset(registry->slots, 0, registry->slot_count * sizeof(*registry->slots));
	for (unsigned i = 0; i < registry->server_count; i++) {
		const struct tg_server *server = registry->servers[i];

		*slot_of(registry, server->hash, server->backend, server->name, server->address) =
		    i + 1;
	}
}

/* Room for one more server, with half of the slots free; false: out of memory. */
static bool
make_room(struct tg_registry *registry)
{
	unsigned count = registry->slot_count > 0 ? 2 * registry->slot_count : SLOTS_MIN;
	uint32_t *slots;

	if (2 * (registry->server_count + 1) <= registry->slot_count)
		return true;
	slots = malloc(count * sizeof(*slots));
	if (slots == NULL)
		return false;
	free(registry->slots);
	registry->slots = slots;
	registry->slot_count = count;
	fill_slots(registry);
	return true;
}

struct tg_server *
tg_registry_server(
    struct tg_registry *registry, struct tg_str backend, struct tg_str name, struct tg_str address)
{
	uint32_t hash = hash_text(hash_text(hash_text(2166136261U, backend), name), address);
	struct tg_server *server;
	uint32_t *slot;

	if (!make_room(registry))
		return NULL;
	slot = slot_of(registry, hash, backend, name, address);
	if (*slot != 0)
		return tg_server_get(registry->servers[*slot - 1]);
	server = tg_server_new(registry->workers, backend, name, address);
	if (server == NULL)
		return NULL;
	server->hash = hash;
	if (!append((void ***)(void *)&registry->servers, &registry->server_count, server)) {
		tg_server_put(server);
		return NULL;
	}
	*slot = registry->server_count;
	return tg_server_get(server);
}

/* --- backends ----------------------------------------------------------------------------- */

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

/* --- the end ------------------------------------------------------------------------------ */

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
	if (kept < registry->server_count) {
		registry->server_count = kept;
		fill_slots(registry);
	}
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
	free(registry->slots);
	free(registry->states);
	free(registry->listeners);
	*registry = (struct tg_registry){ .workers = 0 };
}
