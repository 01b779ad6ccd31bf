/* A worker thread: a loop, an engine, and the generations it serves. The control thread speaks
 * to it by messages only; it answers by messages. Counters and the watch are read by any thread.
 */
#ifndef TG_PROCESS_WORKER_H
#define TG_PROCESS_WORKER_H

#include "net/mailbox.h"
#include "policy/vm.h"
#include "proxy/engine.h"

/* A listening descriptor on its way to a worker. */
struct tg_new_port {
	struct tg_listener_state *state; /* of the plan, which outlives the message */
	int fd;
	bool is_unix;
};

enum tg_finish {
	TG_FINISH_DRAIN,    /* let what runs come to its end */
	TG_FINISH_REQUESTS, /* end it, but for tunnels, which have a time of their own */
	TG_FINISH_ALL,
};

struct tg_worker {
	unsigned index;
	uv_thread_t thread;
	struct tg_loop loop;
	struct tg_mailbox mailbox;
	struct tg_mailbox *control; /* where answers go */
	struct tg_engine engine;
	struct tg_counters counters;
	struct tg_watch watch;
	unsigned generations; /* loaded here and not freed yet */
	bool drained;

	/* Called on the control thread, by messages. */
	void (*on_switched)(struct tg_worker *worker, void *arg);
	void (*on_done)(struct tg_worker *worker, void *arg); /* nothing runs any more */
	void *arg;
};

/* Start the thread, with an engine that is one of `engines`. 0 or negative. */
TG_MUST_USE int tg_worker_start(struct tg_worker *worker, unsigned index,
    struct tg_engines *engines, struct tg_mailbox *control);

/* New requests get this VM's generation; takes over the VM, a reference of the plan and the
 * descriptors. on_switched will be called. 0, or UV_ENOMEM: nothing was taken over. */
TG_MUST_USE int tg_worker_switch(struct tg_worker *worker, struct tg_vm *vm, struct tg_plan *plan,
    const struct tg_new_port *ports, unsigned count);

/* The server is down or disabled: see tg_engine_server_closed. Counts the server. */
void tg_worker_server_closed(struct tg_worker *worker, struct tg_server *server, bool down);

/* Let running requests end, or end them now, then on_done. May be called again to hurry. */
void tg_worker_finish(struct tg_worker *worker, enum tg_finish how);

/* After on_done: end the thread and wait for it. */
void tg_worker_join(struct tg_worker *worker);

#endif
