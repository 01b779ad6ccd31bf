#include "process/worker.h"

#include <stdlib.h>

#include "base/log.h"
#include "proxy/port.h"

/* One generation on this worker. */
struct generation {
	struct tg_generation shared; /* what the engine sees */
	struct tg_worker *worker;
};

struct switch_message {
	struct tg_message message;
	struct tg_vm *vm;
	struct tg_plan *plan;
	unsigned count;
	struct tg_new_port ports[];
};

struct server_message {
	struct tg_message message;
	struct tg_server *server; /* counted */
	bool down;
};

struct simple_message {
	struct tg_message message;
	struct tg_worker *worker; /* for messages to the control thread */
	enum tg_finish how;
};

/* --- answers to the control thread -------------------------------------------------------- */

static void
run_switched(struct tg_message *message, void *receiver)
{
	struct tg_worker *worker = ((struct simple_message *)(void *)message)->worker;

	(void)receiver;
	free(message);
	worker->on_switched(worker, worker->arg);
}

static void
run_done(struct tg_message *message, void *receiver)
{
	struct tg_worker *worker = ((struct simple_message *)(void *)message)->worker;

	(void)receiver;
	free(message);
	worker->on_done(worker, worker->arg);
}

/* A message without content. Memory failure here would leave the process unable to reload or
 * stop: it is one of the few that are fatal. */
static struct simple_message *
new_message(struct tg_worker *worker, void (*run)(struct tg_message *, void *))
{
	struct simple_message *message = calloc(1, sizeof(*message));

	tg_assert(message != NULL);
	message->message.run = run;
	message->worker = worker;
	return message;
}

static void
answer(struct tg_worker *worker, void (*run)(struct tg_message *, void *))
{
	tg_mailbox_send(worker->control, &new_message(worker, run)->message);
}

/* --- generations -------------------------------------------------------------------------- */

static void
check_done(struct tg_worker *worker)
{
	if (worker->drained && worker->generations == 0) {
		worker->drained = false;
		answer(worker, run_done);
	}
}

static void
on_vm_closed(void *arg)
{
	struct generation *generation = arg;
	struct tg_worker *worker = generation->worker;

	tg_plan_put(generation->shared.plan);
	free(generation);
	worker->generations--;
	check_done(worker);
}

static void
on_unused(struct tg_generation *shared)
{
	struct generation *generation = tg_container_of(shared, struct generation, shared);

	tg_vm_close(shared->policy, on_vm_closed, generation);
}

static void
run_switch(struct tg_message *message, void *receiver)
{
	struct switch_message *order = (struct switch_message *)(void *)message;
	struct tg_worker *worker = receiver;
	struct generation *generation = calloc(1, sizeof(*generation));

	tg_assert(generation != NULL); /* all threads or none: there is no way back from here */
	generation->worker = worker;
	generation->shared = (struct tg_generation){
		.plan = order->plan,
		.hooks = &tg_policy_hooks,
		.policy = order->vm,
		.users = 1,
		.on_unused = on_unused,
	};
	worker->generations++;
	for (unsigned i = 0; i < order->count; i++) {
		const struct tg_new_port *port = &order->ports[i];
		int err = tg_port_open(&worker->engine, port->state, port->fd, port->is_unix);

		if (err != 0)
			tg_log(TG_LOG_ERROR, "worker %u cannot accept on %.*s: %s", worker->index,
			    (int)port->state->address.len, port->state->address.ptr,
			    uv_strerror(err));
	}
	if (worker->engine.current != NULL)
		tg_vm_retire(worker->engine.current->policy);
	tg_vm_start(order->vm, &worker->loop, &worker->engine, &worker->watch);
	tg_engine_switch(&worker->engine, &generation->shared);
	free(order);
	answer(worker, run_switched);
}

int
tg_worker_switch(struct tg_worker *worker, struct tg_vm *vm, struct tg_plan *plan,
    const struct tg_new_port *ports, unsigned count)
{
	struct switch_message *order = calloc(1, sizeof(*order) + count * sizeof(order->ports[0]));

	if (order == NULL)
		return UV_ENOMEM;
	order->message.run = run_switch;
	order->vm = vm;
	order->plan = plan;
	order->count = count;
	if (count > 0)
		memcpy(order->ports, ports, count * sizeof(*ports));
	tg_mailbox_send(&worker->mailbox, &order->message);
	return 0;
}

/* --- servers ------------------------------------------------------------------------------ */

static void
run_server_closed(struct tg_message *message, void *receiver)
{
	struct server_message *order = (struct server_message *)(void *)message;
	struct tg_worker *worker = receiver;

	tg_engine_server_closed(&worker->engine, order->server, order->down);
	tg_server_put(order->server);
	free(order);
}

void
tg_worker_server_closed(struct tg_worker *worker, struct tg_server *server, bool down)
{
	struct server_message *message = calloc(1, sizeof(*message));

	if (message == NULL) {
		tg_log(
		    TG_LOG_ERROR, "out of memory: requests on server %s wait on", server->name.ptr);
		return;
	}
	message->message.run = run_server_closed;
	message->server = tg_server_get(server);
	message->down = down;
	tg_mailbox_send(&worker->mailbox, &message->message);
}

/* --- the end ------------------------------------------------------------------------------ */

static void
on_idle(struct tg_engine *engine)
{
	struct tg_worker *worker = engine->owner;
	struct tg_generation *last = engine->current;

	engine->current = NULL;
	worker->drained = true;
	if (last != NULL)
		tg_generation_put(last);
	check_done(worker);
}

static void
run_finish(struct tg_message *message, void *receiver)
{
	struct tg_worker *worker = receiver;
	enum tg_finish how = ((struct simple_message *)(void *)message)->how;

	free(message);
	if (how == TG_FINISH_DRAIN)
		tg_engine_drain(&worker->engine);
	else
		tg_engine_stop(&worker->engine, how == TG_FINISH_ALL);
}

void
tg_worker_finish(struct tg_worker *worker, enum tg_finish how)
{
	struct simple_message *message = new_message(worker, run_finish);

	message->how = how;
	tg_mailbox_send(&worker->mailbox, &message->message);
}

static void
run_exit(struct tg_message *message, void *receiver)
{
	struct tg_worker *worker = receiver;

	free(message);
	tg_mailbox_close(&worker->mailbox);
}

void
tg_worker_join(struct tg_worker *worker)
{
	tg_mailbox_send(&worker->mailbox, &new_message(worker, run_exit)->message);
	uv_thread_join(&worker->thread);
}

static void
worker_main(void *arg)
{
	struct tg_worker *worker = arg;

	tg_loop_run(&worker->loop);
	tg_engine_fini(&worker->engine);
	tg_loop_fini(&worker->loop);
}

int
tg_worker_start(struct tg_worker *worker, unsigned index, struct tg_engines *engines,
    struct tg_mailbox *control)
{
	int err = tg_loop_init(&worker->loop);

	if (err != 0)
		return err;
	worker->index = index;
	worker->control = control;
	tg_engine_init(
	    &worker->engine, engines, &worker->loop, &worker->mailbox, index, &worker->counters);
	worker->engine.on_idle = on_idle;
	worker->engine.owner = worker;
	err = tg_mailbox_open(&worker->mailbox, &worker->loop.uv, worker);
	if (err == 0)
		err = uv_thread_create(&worker->thread, worker_main, worker);
	return err;
}
