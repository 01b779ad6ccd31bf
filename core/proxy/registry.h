/* The servers and backends that the process knows, whatever generation names them: what makes
 * health, counters and pools survive a reload. Servers are found by a hash of their three names,
 * because there may be thousands; backends are few. Control thread only.
 */
#ifndef TG_PROXY_REGISTRY_H
#define TG_PROXY_REGISTRY_H

#include "proxy/plan.h"

struct tg_registry {
	unsigned workers;
	struct tg_server **servers; /* a reference each */
	unsigned server_count;
	uint32_t *slots; /* a hash table: 1 + an index of `servers`, or 0 */
	unsigned slot_count;
	struct tg_backend_state **states; /* a reference each */
	unsigned state_count;
	struct tg_listener_state **listeners; /* a reference each */
	unsigned listener_count;
};

void tg_registry_init(struct tg_registry *registry, unsigned workers);

/* The known one or a new one, with a reference for the caller; NULL: out of memory. */
TG_MUST_USE struct tg_server *tg_registry_server(
    struct tg_registry *registry, struct tg_str backend, struct tg_str name, struct tg_str address);
TG_MUST_USE struct tg_backend_state *tg_registry_state(
    struct tg_registry *registry, struct tg_str name);
TG_MUST_USE struct tg_listener_state *tg_registry_listener(
    struct tg_registry *registry, struct tg_str address);

/* Forget what no plan refers to any more. */
void tg_registry_sweep(struct tg_registry *registry);

void tg_registry_fini(struct tg_registry *registry);

#endif
