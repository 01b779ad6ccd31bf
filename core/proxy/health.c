#include "proxy/health.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/plan.h"
#include "proxy/queue.h"

enum { REASON_MAX = 500, ROW_MAX = 1000000 };

static int64_t
now_ms(void)
{
	return (int64_t)(tg_clock_us() / 1000);
}

void
tg_health_begin(struct tg_server *server, bool up, int credit)
{
	struct tg_health *health = &server->health;

	if (health->begun)
		return;
	health->begun = true;
	health->credit = credit;
	atomic_store(&health->duration_ms, -1);
	atomic_store(&health->since_ms, now_ms());
	atomic_store(&server->up, up);
}

/* Without memory for it there is no reason: the log has it all the same. */
static void
keep_reason(struct tg_health *health, struct tg_str reason)
{
	free(health->reason);
	health->reason = NULL;
	if (reason.len > 0)
		health->reason =
		    strndup(reason.ptr, reason.len < REASON_MAX ? reason.len : REASON_MAX);
}

int
tg_health_record(struct tg_server *server, bool good, int64_t duration_ms, struct tg_str reason)
{
	struct tg_health *health = &server->health;
	int sign = good ? 1 : -1;

	health->checks++;
	health->failures += !good;
	health->failed = !good;
	health->checked_ms = now_ms();
	atomic_store(
	    &health->duration_ms, (int32_t)(duration_ms < INT32_MAX ? duration_ms : INT32_MAX));
	if (!good || health->reason != NULL)
		keep_reason(health, good ? TG_STR("") : reason);
	if (health->row * sign < 0)
		health->row = 0;
	if (health->credit * sign < 0)
		health->credit = 0;
	if (abs(health->row) < ROW_MAX)
		health->row += sign;
	return health->row + health->credit;
}

void
tg_health_doubt(struct tg_server *server)
{
	struct tg_health *health = &server->health;

	health->row = 0;
	health->credit = atomic_load(&server->up) ? -ROW_MAX : ROW_MAX;
	atomic_store(&health->duration_ms, -1);
}

int64_t
tg_health_touch(struct tg_server *server)
{
	struct tg_health *health = &server->health;
	int64_t now = now_ms(), lasted = now - atomic_load(&health->since_ms);

	if (!atomic_load(&server->up))
		health->down_ms += lasted;
	atomic_store(&health->since_ms, now);
	return lasted;
}

bool
tg_health_turn(struct tg_server *server, bool up)
{
	if (atomic_load(&server->up) == up)
		return false;
	tg_health_touch(server);
	atomic_store(&server->up, up);
	server->health.downs += !up;
	return true;
}

void
tg_health_follow(struct tg_plan *plan)
{
	for (unsigned b = 0; b < plan->backend_count; b++) {
		struct tg_plan_backend *backend = &plan->backends[b];

		for (unsigned s = 0; s < backend->count; s++) {
			struct tg_server *server = backend->servers[s].server;

			server->health.wanted = backend->servers[s].options.checked != 0;
			if (server->health.wanted || !tg_health_turn(server, true))
				continue;
			server->health.row = 0;
			atomic_fetch_add(&backend->state->epoch, 1);
			tg_queue_open(backend->state, server);
			tg_log(TG_LOG_NOTICE,
			    "backend %s: server %s is up: it is not checked any more",
			    backend->name.ptr, server->name.ptr);
		}
	}
}
