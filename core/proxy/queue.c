#include "proxy/queue.h"

#include <stdlib.h>

#include "proxy/client.h"
#include "proxy/req.h"

enum {
	WAITER_MAGIC = 0x3a17e4,
	/* A client whose body we have not begun to read is not being read: whether it has gone must
	 * be asked. (One of mode "tcp" is read, and may have ended its side: tcp.h.) */
	LOOK_MS = 1000,
};

/* A request in line. Its worker owns it, but for what is under the lock of the queue; it outlives the
 * request when that leaves while the message with its slot is on the way. */
struct tg_waiter {
	uint32_t magic;
	struct tg_message message; /* to its worker, with the slot */
	struct tg_link link;       /* under lock: in a line; not in one: the message was sent */
	struct tg_link mine;       /* in engine->waiters */
	struct tg_engine *engine;
	struct tg_req *req;                    /* NULL: it has left */
	const struct tg_plan_backend *backend; /* constant; holds while it is in line */
	struct tg_backend_state *state;        /* counted */
	struct tg_server *bound;               /* constant: the one it waits for; NULL: any */
	const struct tg_server *avoid;         /* constant: but not this one, which has failed */
	struct tg_server *granted;             /* with the message: counted */
	uint64_t age;                          /* under lock: who came first */
	uint64_t came_after;                   /* under lock: `served` of its line when it came */
	uint64_t served_before;                /* once it is out of the line: of those before it */
	uint64_t due;                          /* ms of the loop's clock; 0: no limit */
	struct tg_timer timer;
};

int
tg_queue_init(struct tg_queue *queue)
{
	tg_link_init(&queue->any);
	return uv_mutex_init(&queue->lock);
}

void
tg_queue_fini(struct tg_queue *queue)
{
	tg_assert(tg_list_empty(&queue->any));
	uv_mutex_destroy(&queue->lock);
}

/* --- slots -------------------------------------------------------------------------------- */

/* The place of a server in a backend that may be of another generation; -1: not there. */
static int
place_of(const struct tg_plan_backend *backend, const struct tg_server *server)
{
	for (unsigned i = 0; i < backend->count; i++)
		if (backend->servers[i].server == server)
			return (int)i;
	return -1;
}

static void
choose(struct tg_req *req, unsigned index)
{
	req->view.server = (int32_t)index;
	req->server = &req->backend->servers[index];
}

/* Take a slot of that server for the request. One without a limit is not counted. */
static bool
take(struct tg_req *req, unsigned index)
{
	struct tg_server *server = req->backend->servers[index].server;
	int most = atomic_load_explicit(&server->max_connections, memory_order_relaxed);

	if (most > 0 && !tg_limit_take(&server->slots, most))
		return false;
	choose(req, index);
	if (most > 0)
		req->slot = tg_server_get(server);
	return true;
}

/* Of the server that was picked, or (not `bound`) of the next one that will do. */
static bool
take_any(struct tg_req *req, bool bound)
{
	unsigned picked = (unsigned)req->view.server;

	if (take(req, picked))
		return true;
	for (unsigned i = 1; !bound && i < req->backend->count; i++) {
		unsigned other = (picked + i) % req->backend->count;

		if (req->backend->servers[other].server != req->avoid &&
		    tg_plan_candidate(req->backend, other) && take(req, other))
			return true;
	}
	return false;
}

/* --- lines (all under lock) --------------------------------------------------------------- */

static struct tg_link *
line_of(const struct tg_waiter *waiter)
{
	return waiter->bound != NULL ? &waiter->bound->waiters : &waiter->state->queue.any;
}

static uint64_t *
served_in(const struct tg_waiter *waiter)
{
	return waiter->bound != NULL ? &waiter->bound->served : &waiter->state->queue.served;
}

static struct tg_waiter *
waiter_at(struct tg_link *link)
{
	return tg_container_of(link, struct tg_waiter, link);
}

static bool
accepts(const struct tg_waiter *waiter, const struct tg_server *server)
{
	int place = place_of(waiter->backend, server);

	return place >= 0 && server != waiter->avoid &&
	    (waiter->bound != NULL || tg_plan_candidate(waiter->backend, (unsigned)place));
}

/* The oldest of those in line that the server will do for; NULL: nobody, or it takes nobody. */
static struct tg_waiter *
next_for(struct tg_queue *queue, struct tg_server *server)
{
	struct tg_waiter *bound = NULL, *any = NULL;
	struct tg_link *link = tg_server_open(server) ? queue->any.next : &queue->any;

	if (!tg_server_usable(server))
		return NULL;
	if (!tg_list_empty(&server->waiters))
		bound = waiter_at(server->waiters.next);
	for (; any == NULL && link != &queue->any; link = link->next)
		if (accepts(waiter_at(link), server))
			any = waiter_at(link);
	if (bound == NULL || (any != NULL && any->age < bound->age))
		return any;
	return bound;
}

static void
take_out(struct tg_waiter *waiter)
{
	waiter->served_before = *served_in(waiter) - waiter->came_after;
	tg_link_remove(&waiter->link);
	atomic_fetch_sub(&waiter->state->queue.waiting, 1);
}

/* A slot that was taken for it is on its way. */
static void
grant(struct tg_waiter *waiter, struct tg_server *server)
{
	take_out(waiter);
	++*served_in(waiter);
	waiter->granted = tg_server_get(server);
	tg_mailbox_send(waiter->engine->mailbox, &waiter->message);
}

void
tg_queue_open(struct tg_backend_state *state, struct tg_server *server)
{
	struct tg_queue *queue = &state->queue;
	struct tg_waiter *waiter;

	if (atomic_load(&queue->waiting) == 0)
		return;
	uv_mutex_lock(&queue->lock);
	while ((waiter = next_for(queue, server)) != NULL &&
	    tg_limit_take(&server->slots, atomic_load(&server->max_connections)))
		grant(waiter, server);
	uv_mutex_unlock(&queue->lock);
}

/* A slot comes back while there are lines: the next in line gets it as it is, so that nobody who
 * comes now can be faster. Unless nobody wants it, or it is one too many by now. */
static void
pass_on(struct tg_backend_state *state, struct tg_server *server)
{
	struct tg_queue *queue = &state->queue;
	int most = atomic_load(&server->max_connections);
	struct tg_waiter *waiter = NULL;

	uv_mutex_lock(&queue->lock);
	if (most == 0 || tg_limit_used(&server->slots) <= most)
		waiter = next_for(queue, server);
	if (waiter != NULL)
		grant(waiter, server);
	else
		(void)tg_limit_give(&server->slots);
	uv_mutex_unlock(&queue->lock);
}

/* --- the way through ---------------------------------------------------------------------- */

static void
give_back(struct tg_backend_state *state, struct tg_server *server)
{
	if (atomic_load(&state->queue.waiting) > 0) {
		pass_on(state, server);
	} else {
		(void)tg_limit_give(&server->slots);
		tg_queue_open(state, server); /* for who got in line just now */
	}
	tg_server_put(server);
}

void
tg_queue_give(struct tg_req *req)
{
	struct tg_server *server = req->slot;

	req->slot = NULL;
	if (server != NULL)
		give_back(req->backend->state, server);
}

static void
free_waiter(struct tg_waiter *waiter)
{
	struct tg_engine *engine = waiter->engine;

	tg_backend_state_put(waiter->state);
	waiter->magic = 0;
	free(waiter);
	tg_engine_closed(engine);
}

/* The request and its waiter part. Its place in line, for the log, is the number of those that
 * were served before it, and itself. */
static void
part(struct tg_waiter *waiter)
{
	int32_t place = (int32_t)(waiter->served_before + 1);

	if (waiter->bound != NULL)
		waiter->req->view.server_queue += place;
	else
		waiter->req->view.backend_queue += place;
	waiter->req->view.wait_ms =
	    (int32_t)(tg_loop_now(waiter->engine->loop) - waiter->req->head_at);
	tg_loop_timer_stop(waiter->engine->loop, &waiter->timer);
	tg_link_remove(&waiter->mine);
	waiter->req->waiter = NULL;
	waiter->req = NULL;
}

/* On its worker: it has a slot. */
static void
run_granted(struct tg_message *message, void *receiver)
{
	struct tg_waiter *waiter = tg_container_of(message, struct tg_waiter, message);
	struct tg_req *req = waiter->req;
	struct tg_server *server = waiter->granted;
	int place;

	(void)receiver;
	TG_CHECK(waiter, WAITER_MAGIC);
	if (req == NULL) {
		give_back(waiter->state, server);
		free_waiter(waiter);
		return;
	}
	place = place_of(waiter->backend, server);
	tg_assert(place >= 0);
	part(waiter);
	free_waiter(waiter);
	choose(req, (unsigned)place);
	req->slot = server;
	tg_req_run(req);
}

void
tg_queue_leave(struct tg_req *req)
{
	struct tg_waiter *waiter = req->waiter;
	struct tg_queue *queue;
	bool in_line;

	if (waiter == NULL)
		return;
	TG_CHECK(waiter, WAITER_MAGIC);
	queue = &waiter->state->queue;
	uv_mutex_lock(&queue->lock);
	in_line = tg_link_linked(&waiter->link);
	if (in_line)
		take_out(waiter);
	uv_mutex_unlock(&queue->lock);
	part(waiter);
	if (in_line)
		free_waiter(waiter); /* else run_granted will */
}

static void
start_timer(struct tg_waiter *waiter)
{
	struct tg_loop *loop = waiter->engine->loop;
	uint64_t now = tg_loop_now(loop), ms = waiter->due > now ? waiter->due - now : 0;

	if (!waiter->req->in_done && !waiter->req->tcp && (waiter->due == 0 || ms > LOOK_MS))
		ms = LOOK_MS;
	else if (waiter->due == 0)
		return;
	tg_loop_timer_start(loop, &waiter->timer, ms);
}

static void
on_timer(struct tg_timer *timer)
{
	struct tg_waiter *waiter = tg_container_of(timer, struct tg_waiter, timer);
	struct tg_req *req = waiter->req;

	TG_CHECK(waiter, WAITER_MAGIC);
	if (waiter->due != 0 && tg_loop_now(waiter->engine->loop) >= waiter->due)
		tg_req_end(req, TG_END_QUEUE_TIMEOUT);
	else if (!req->tcp && tg_conn_gone(&req->client->conn))
		tg_req_end(req, TG_END_CLIENT_GONE_QUEUE);
	else
		start_timer(waiter);
}

static struct tg_waiter *
new_waiter(struct tg_req *req, bool bound)
{
	struct tg_waiter *waiter = calloc(1, sizeof(*waiter));
	int64_t limit_ms = req->backend->options.queue_ms;

	if (waiter == NULL)
		return NULL;
	waiter->magic = WAITER_MAGIC;
	waiter->message.run = run_granted;
	waiter->engine = req->engine;
	waiter->req = req;
	waiter->backend = req->backend;
	waiter->state = tg_backend_state_get(req->backend->state);
	waiter->bound = bound ? req->server->server : NULL;
	waiter->avoid = req->avoid;
	waiter->due = limit_ms > 0 ? tg_loop_now(req->engine->loop) + (uint64_t)limit_ms : 0;
	tg_timer_init(&waiter->timer, on_timer);
	tg_link_init(&waiter->link);
	tg_link_init(&waiter->mine);
	req->engine->open_handles++;
	return waiter;
}

/* Under lock: to the end of its line, unless that is full or a slot was given back meanwhile. */
static enum tg_queue_result
get_in_line(struct tg_waiter *waiter)
{
	struct tg_queue *queue = &waiter->state->queue;
	struct tg_req *req = waiter->req;
	int longest = req->backend->options.queue_length;

	/* First the count: who gives a slot back from now on looks for us. */
	if (atomic_fetch_add(&queue->waiting, 1) >= (unsigned)longest && longest > 0) {
		atomic_fetch_sub(&queue->waiting, 1);
		return TG_QUEUE_FULL;
	}
	if (take_any(req, waiter->bound != NULL)) {
		atomic_fetch_sub(&queue->waiting, 1);
		return TG_QUEUE_GO;
	}
	waiter->age = queue->next_age++;
	waiter->came_after = *served_in(waiter);
	tg_list_push_back(line_of(waiter), &waiter->link);
	return TG_QUEUE_WAITS;
}

enum tg_queue_result
tg_queue_enter(struct tg_req *req, bool bound)
{
	struct tg_queue *queue = &req->backend->state->queue;
	enum tg_queue_result result;
	struct tg_waiter *waiter;

	tg_assert(req->slot == NULL && req->waiter == NULL);
	if (take_any(req, bound))
		return TG_QUEUE_GO;
	waiter = new_waiter(req, bound);
	if (waiter == NULL)
		return TG_QUEUE_MEMORY;
	uv_mutex_lock(&queue->lock);
	result = get_in_line(waiter);
	uv_mutex_unlock(&queue->lock);
	if (result != TG_QUEUE_WAITS) {
		free_waiter(waiter);
		return result;
	}
	req->waiter = waiter;
	if (!bound) { /* what was picked may not be what it gets */
		req->view.server = -1;
		req->server = NULL;
	}
	tg_list_push_back(&req->engine->waiters, &waiter->mine);
	start_timer(waiter);
	return TG_QUEUE_WAITS;
}

/* Does it wait in vain, now that the server takes no more, or only its own? */
static bool
in_vain(const struct tg_waiter *waiter, const struct tg_server *server)
{
	if (waiter->bound != NULL)
		return waiter->bound == server && !tg_server_usable(server);
	return place_of(waiter->backend, server) >= 0 && !tg_plan_has_candidate(waiter->backend);
}

void
tg_queue_closed(struct tg_engine *engine, const struct tg_server *server)
{
	struct tg_link all;

	tg_link_init(&all);
	tg_list_append(&all, &engine->waiters);
	while (!tg_list_empty(&all)) {
		struct tg_waiter *waiter = tg_container_of(all.next, struct tg_waiter, mine);
		struct tg_req *req = waiter->req;

		tg_link_remove(&waiter->mine);
		tg_list_push_back(&engine->waiters, &waiter->mine);
		if (in_vain(waiter, server))
			tg_req_pick_anew(req);
	}
}
