#include "proxy/pool.h"

#include <stdlib.h>

#include "proxy/engine.h"
#include "proxy/trunk.h"
#include "proxy/upstream.h"

static void
move_all(struct tg_link *to, struct tg_link *from)
{
	while (!tg_list_empty(from))
		tg_list_push_back(to, tg_list_pop_front(from));
}

/* The pool of a server id, or NULL when memory is out. Pools are made as ids come up. */
static struct tg_pool *
pool_of(struct tg_engine *engine, uint32_t id)
{
	if (id >= engine->pools_len) {
		unsigned len = id + 16;
		struct tg_pool *pools = malloc(len * sizeof(*pools));

		if (pools == NULL)
			return NULL;
		for (unsigned i = 0; i < len; i++) {
			struct tg_pool *old = i < engine->pools_len ? &engine->pools[i] : NULL;

			pools[i] = (struct tg_pool){ .count = 0 };
			tg_link_init(&pools[i].idle);
			tg_link_init(&pools[i].trunks);
			if (old == NULL)
				continue;
			pools[i].count = old->count;
			pools[i].server = old->server;
			move_all(&pools[i].idle, &old->idle);
			move_all(&pools[i].trunks, &old->trunks);
		}
		free(engine->pools);
		engine->pools = pools;
		engine->pools_len = len;
	}
	return &engine->pools[id];
}

static struct tg_server_cell *
cell_of(struct tg_engine *engine, struct tg_upstream *up)
{
	return &up->server->cells[engine->worker];
}

void
tg_pool_forget(struct tg_engine *engine, struct tg_upstream *up)
{
	if (!tg_link_linked(&up->pooled))
		return;
	tg_link_remove(&up->pooled);
	engine->pools[up->server->id].count--;
	tg_gauge_add(&cell_of(engine, up)->idle, -1);
}

struct tg_link *
tg_pool_trunks(struct tg_engine *engine, const struct tg_server *server)
{
	struct tg_pool *pool = pool_of(engine, server->id);

	return pool != NULL ? &pool->trunks : NULL;
}

bool
tg_pool_takes(struct tg_engine *engine, const struct tg_server *server)
{
	return server->id < engine->pools_len && engine->pools[server->id].server == server;
}

/* How many there were. */
static unsigned
close_idle(struct tg_engine *engine, struct tg_pool *pool)
{
	unsigned closed = pool->count;

	for (struct tg_link *next, *link = pool->trunks.next; link != &pool->trunks; link = next) {
		next = link->next;
		closed += tg_trunk_retire_idle(tg_container_of(link, struct tg_trunk, link));
	}
	while (!tg_list_empty(&pool->idle)) {
		struct tg_upstream *up =
		    tg_container_of(pool->idle.next, struct tg_upstream, pooled);

		tg_pool_forget(engine, up);
		tg_upstream_close(up);
	}
	return closed;
}

static void
close_pool(struct tg_engine *engine, struct tg_pool *pool)
{
	struct tg_server *server = pool->server;

	(void)close_idle(engine, pool);
	while (!tg_list_empty(&pool->trunks))
		tg_trunk_retire(tg_container_of(pool->trunks.next, struct tg_trunk, link));
	pool->server = NULL;
	if (server != NULL)
		tg_server_put(server);
}

void
tg_pool_drop(struct tg_engine *engine, const struct tg_server *server)
{
	if (server->id < engine->pools_len)
		(void)close_idle(engine, &engine->pools[server->id]);
}

unsigned
tg_pools_shrink(struct tg_engine *engine)
{
	unsigned closed = 0;

	for (unsigned i = 0; i < engine->pools_len; i++) {
		closed += close_idle(engine, &engine->pools[i]);
	}
	return closed;
}

void
tg_pools_clear(struct tg_engine *engine)
{
	for (unsigned i = 0; i < engine->pools_len; i++)
		close_pool(engine, &engine->pools[i]);
}

void
tg_pools_sync(struct tg_engine *engine)
{
	const struct tg_plan *plan = engine->current->plan;
	unsigned len = engine->pools_len;
	bool *named = calloc(len + 1, 1);

	for (unsigned b = 0; b < plan->backend_count; b++)
		for (unsigned s = 0; s < plan->backends[b].count; s++) {
			struct tg_server *server = plan->backends[b].servers[s].server;
			struct tg_pool *pool = pool_of(engine, server->id);

			if (pool != NULL && pool->server == NULL)
				pool->server = tg_server_get(server);
			if (named != NULL && server->id < len)
				named[server->id] = true;
		}
	for (unsigned i = 0; named != NULL && i < len; i++)
		if (!named[i])
			close_pool(engine, &engine->pools[i]);
	free(named);
}

/* What came into its pool in this turn of the loop was read from in it. With TLS there may be an end behind the
 * answer that was read with it, and is about to be told. */
static bool
just_read(const struct tg_engine *engine, const struct tg_upstream *up)
{
	return up->tls == NULL && up->idle_since == engine->loop->turn;
}

struct tg_upstream *
tg_pool_take(struct tg_engine *engine, struct tg_server *server, const struct tg_tls_context *tls,
    bool repeatable)
{
	struct tg_pool *pool = server->id < engine->pools_len ? &engine->pools[server->id] : NULL;

	while (pool != NULL && !tg_list_empty(&pool->idle)) {
		struct tg_upstream *up =
		    tg_container_of(pool->idle.next, struct tg_upstream, pooled);

		tg_pool_forget(engine, up);
		if (up->tls == tls &&
		    ((repeatable && just_read(engine, up)) || tg_conn_quiet(&up->conn)))
			return up;
		tg_upstream_close(up);
	}
	return NULL;
}

void
tg_pool_give(struct tg_engine *engine, struct tg_upstream *up, unsigned size, int64_t idle_ms)
{
	struct tg_pool *pool = pool_of(engine, up->server->id);

	if (pool == NULL || pool->server == NULL || engine->draining || size == 0) {
		tg_upstream_close(up);
		return;
	}
	if (pool->count >= size) { /* the one that idles longest goes */
		struct tg_upstream *oldest =
		    tg_container_of(pool->idle.prev, struct tg_upstream, pooled);

		tg_pool_forget(engine, oldest);
		tg_upstream_close(oldest);
	}
	tg_list_push_front(&pool->idle, &up->pooled);
	up->idle_since = engine->loop->turn;
	pool->count++;
	tg_gauge_add(&cell_of(engine, up)->idle, 1);
	if (idle_ms > 0)
		tg_loop_timer_start(engine->loop, &up->timer, (uint64_t)idle_ms);
	else
		tg_loop_timer_stop(engine->loop, &up->timer);
	tg_conn_resume(&up->conn);
}
