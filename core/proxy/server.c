#include "proxy/server.h"

#include <stdlib.h>
#include <uv.h>

enum {
	SERVER_MAGIC = 0x5e4be4,
	TRY_EVERY_MS = 1000,
	TRY_ANYHOW_MS = 10000,
	TELL_EVERY_MS = 10000,
};

static atomic_uint next_id;

/* Old addresses are kept to the server's end: a worker may be connecting to one. They are
 * chained through this. */
struct old_addr {
	struct tg_addr addr; /* first: what workers point at */
	struct old_addr *next;
};

/* Copy the view to `*at`, NUL-terminated, and move `*at` behind it. */
static struct tg_str
place(char **at, struct tg_str from)
{
	struct tg_str copy = { *at, from.len };

	if (from.len > 0)
		memcpy(*at, from.ptr, from.len);
	(*at)[from.len] = '\0';
	*at += from.len + 1;
	return copy;
}

struct tg_server *
tg_server_new(unsigned workers, struct tg_str backend, struct tg_str name, struct tg_str address)
{
	size_t cells = sizeof(struct tg_server) + workers * sizeof(struct tg_server_cell);
	size_t size = cells + backend.len + name.len + 2 * address.len + INET6_ADDRSTRLEN + 4;
	struct tg_server *server = aligned_alloc(64, (size + 63) & ~(size_t)63);
	struct tg_addr addr;
	struct tg_str host;
	char *text, ip[INET6_ADDRSTRLEN];
	int parsed;

	if (server == NULL)
		return NULL;
	memset(server, 0, size);
	text = (char *)server + cells;
	server->magic = SERVER_MAGIC;
	server->id = atomic_fetch_add(&next_id, 1);
	server->cells_len = workers;
	atomic_init(&server->refs, 1);
	atomic_init(&server->up, true);
	atomic_init(&server->addr, NULL);
	tg_link_init(&server->waiters);
	server->backend = place(&text, backend);
	server->name = place(&text, name);
	server->address = place(&text, address);
	parsed = tg_addr_parse(server->address, false, &addr, &host, &server->port);
	tg_assert(parsed >= 0);
	if (parsed == 1)
		server->host = server->identity = place(&text, host);
	else if (tg_addr_ip(&addr, ip, sizeof(ip)) >= 0)
		server->identity = place(&text, tg_str_of(ip));
	if (parsed != 1 && tg_server_set_addr(server, &addr) != 0) {
		tg_server_put(server);
		return NULL;
	}
	return server;
}

struct tg_server *
tg_server_get(struct tg_server *server)
{
	TG_CHECK(server, SERVER_MAGIC);
	atomic_fetch_add(&server->refs, 1);
	return server;
}

void
tg_server_put(struct tg_server *server)
{
	struct old_addr *old, *next;

	TG_CHECK(server, SERVER_MAGIC);
	if (atomic_fetch_sub(&server->refs, 1) != 1)
		return;
	for (old = (struct old_addr *)(void *)atomic_load(&server->addr); old != NULL; old = next) {
		next = old->next;
		free(old);
	}
	free(server->health.reason);
	server->magic = 0;
	free(server);
}

int
tg_server_set_addr(struct tg_server *server, const struct tg_addr *addr)
{
	struct tg_addr *now = atomic_load(&server->addr);
	struct old_addr *fresh;

	if (now != NULL && tg_addr_equal(now, addr))
		return 0;
	fresh = malloc(sizeof(*fresh));
	if (fresh == NULL)
		return UV_ENOMEM;
	fresh->addr = *addr;
	fresh->next = (struct old_addr *)(void *)now;
	atomic_store(&server->addr, &fresh->addr);
	return 0;
}

bool
tg_server_unheard(struct tg_server *server, uint64_t since, uint64_t now)
{
	uint64_t spoken = 0;

	for (unsigned i = 0; i < server->cells_len; i++)
		if (atomic_load_explicit(&server->cells[i].heard_at, memory_order_relaxed) >= since)
			return false;
	return atomic_compare_exchange_strong(&server->try_at, &spoken, now + TRY_EVERY_MS);
}

bool
tg_server_heard(struct tg_server *server, unsigned worker, uint64_t now)
{
	atomic_store_explicit(&server->cells[worker].heard_at, now, memory_order_relaxed);
	return tg_server_silent(server) && atomic_exchange(&server->try_at, 0) != 0;
}

bool
tg_server_try(struct tg_server *server, bool harmless, uint64_t now)
{
	uint64_t at = atomic_load(&server->try_at);
	uint64_t from = harmless ? at : at + TRY_ANYHOW_MS;

	return at != 0 && now >= from &&
	    atomic_compare_exchange_strong(&server->try_at, &at, now + TRY_EVERY_MS);
}

struct tg_server_sums
tg_server_sum(const struct tg_server *server)
{
	struct tg_server_sums sum = { 0 };

	for (unsigned i = 0; i < server->cells_len; i++) {
		const struct tg_server_cell *cell = &server->cells[i];

		sum.requests += atomic_load_explicit(&cell->requests, memory_order_relaxed);
		sum.connects += atomic_load_explicit(&cell->connects, memory_order_relaxed);
		sum.failures += atomic_load_explicit(&cell->failures, memory_order_relaxed);
		sum.active += atomic_load_explicit(&cell->active, memory_order_relaxed);
		sum.idle += atomic_load_explicit(&cell->idle, memory_order_relaxed);
	}
	return sum;
}

bool
tg_server_may_tell(struct tg_server *server, uint64_t now)
{
	uint64_t last = atomic_load(&server->told_at);

	return (last == 0 || now >= last + TELL_EVERY_MS) &&
	    atomic_compare_exchange_strong(&server->told_at, &last, now);
}
