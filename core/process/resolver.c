#include "process/resolver.h"

#include <stdlib.h>

#include "base/log.h"
#include "net/resolve.h"

/* A name that did not resolve is looked up again soon, since its server is of no use till then. */
enum { AGAIN_MS = 30000, SOON_MS = 2000, READY_MS = 3000 };

struct job {
	struct tg_link link;
	struct tg_resolver *resolver;
	struct tg_server *server; /* counted */
	struct tg_resolve *lookup;
	bool quiet; /* it was said already that the name does not resolve */
};

static void
end_job(struct job *job)
{
	tg_link_remove(&job->link);
	tg_server_put(job->server);
	free(job);
}

static void
tell_ready(struct tg_resolver *resolver)
{
	void (*ready)(void *) = resolver->ready;

	tg_loop_timer_stop(resolver->loop, &resolver->limit);
	resolver->ready = NULL;
	if (ready != NULL)
		ready(resolver->arg);
}

/* The backend's lists of usable servers are made anew, and who is in line has one more. */
static void
tell_backend(struct tg_registry *registry, struct tg_server *server)
{
	for (unsigned i = 0; i < registry->state_count; i++) {
		struct tg_backend_state *state = registry->states[i];

		if (!tg_str_eq(state->name, server->backend))
			continue;
		atomic_fetch_add(&state->epoch, 1);
		tg_queue_open(state, server);
	}
}

static void
on_done(void *arg, int status, const struct tg_addr *addr)
{
	struct job *job = arg;
	struct tg_resolver *resolver = job->resolver;
	struct tg_server *server = job->server;
	bool first = atomic_load(&server->addr) == NULL;

	if (status != 0) {
		if (first && !job->quiet)
			tg_log(TG_LOG_WARNING, "backend %s: server %s: %s does not resolve: %s",
			    server->backend.ptr, server->name.ptr, server->host.ptr,
			    uv_strerror(status));
	} else if (tg_server_set_addr(server, addr) == 0 && first) {
		tell_backend(resolver->registry, server);
	}
	end_job(job);
	if (tg_list_empty(&resolver->jobs))
		tell_ready(resolver);
}

static void
begin(struct tg_resolver *resolver, struct tg_server *server, bool quiet)
{
	struct job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return;
	job->resolver = resolver;
	job->quiet = quiet;
	job->server = tg_server_get(server);
	tg_link_init(&job->link);
	tg_list_push_back(&resolver->jobs, &job->link);
	job->lookup = tg_resolve_start(resolver->loop, server->host, server->port, on_done, job);
	if (job->lookup == NULL)
		end_job(job);
}

/* Not one that is being looked up already. */
static bool
in_flight(const struct tg_resolver *resolver, const struct tg_server *server)
{
	for (struct tg_link *link = resolver->jobs.next; link != &resolver->jobs; link = link->next)
		if (tg_container_of(link, struct job, link)->server == server)
			return true;
	return false;
}

static void
look_up(struct tg_resolver *resolver, bool all, bool quiet)
{
	for (unsigned i = 0; i < resolver->registry->server_count; i++) {
		struct tg_server *server = resolver->registry->servers[i];

		if (server->host.ptr != NULL && (all || atomic_load(&server->addr) == NULL) &&
		    !in_flight(resolver, server))
			begin(resolver, server, quiet);
	}
}

static void
on_again(struct tg_timer *timer)
{
	struct tg_resolver *resolver = tg_container_of(timer, struct tg_resolver, again);

	resolver->turn = (resolver->turn + 1) % (AGAIN_MS / SOON_MS);
	look_up(resolver, resolver->turn == 0, resolver->turn != 0);
	tg_loop_timer_start(resolver->loop, &resolver->again, SOON_MS);
}

static void
on_limit(struct tg_timer *timer)
{
	tell_ready(tg_container_of(timer, struct tg_resolver, limit));
}

void
tg_resolver_init(struct tg_resolver *resolver, struct tg_loop *loop, struct tg_registry *registry)
{
	*resolver = (struct tg_resolver){ .loop = loop, .registry = registry };
	tg_link_init(&resolver->jobs);
	tg_timer_init(&resolver->again, on_again);
	tg_timer_init(&resolver->limit, on_limit);
	tg_loop_timer_start(loop, &resolver->again, SOON_MS);
}

void
tg_resolver_wait(struct tg_resolver *resolver, void (*ready)(void *arg), void *arg)
{
	resolver->ready = ready;
	resolver->arg = arg;
	look_up(resolver, false, false);
	if (tg_list_empty(&resolver->jobs))
		tell_ready(resolver);
	else
		tg_loop_timer_start(resolver->loop, &resolver->limit, READY_MS);
}

void
tg_resolver_forget(struct tg_resolver *resolver)
{
	tg_loop_timer_stop(resolver->loop, &resolver->limit);
	resolver->ready = NULL;
}

void
tg_resolver_stop(struct tg_resolver *resolver)
{
	tg_loop_timer_stop(resolver->loop, &resolver->again);
	tg_resolver_forget(resolver);
	while (!tg_list_empty(&resolver->jobs)) {
		struct job *job = tg_container_of(resolver->jobs.next, struct job, link);

		tg_resolve_cancel(job->lookup);
		end_job(job);
	}
}
