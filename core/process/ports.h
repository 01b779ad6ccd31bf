/* The listening descriptors that a new plan adds to those of the old one: one per worker for each
 * listener, bound for each with SO_REUSEPORT (shared for a UNIX socket), so that every worker has a
 * queue of its own in the kernel. What no worker has got when they are dropped is closed, and
 * nothing has changed. Control thread only.
 */
#ifndef TG_PROCESS_PORTS_H
#define TG_PROCESS_PORTS_H

#include "process/worker.h"

struct tg_ports {
	struct tg_new_port *list; /* `count` for worker 0, then for worker 1…; fd -1: not bound */
	unsigned count;           /* new listeners */
	unsigned workers;
};

/* TCP is bound first, as who started the process may bind low ports; UNIX sockets are files, and
 * belong to whom the process becomes, where that will find them at the next reload too. */
enum tg_ports_kind { TG_PORTS_TCP, TG_PORTS_UNIX };

/* Room for the listeners of `plan` that `old` (or NULL) does not have. 0 or UV_ENOMEM. */
TG_MUST_USE int tg_ports_init(struct tg_ports *ports, const struct tg_plan *plan,
    const struct tg_plan *old, unsigned workers);

/* Bind those of one kind; false: errors were added to the plan. */
TG_MUST_USE bool tg_ports_bind(struct tg_ports *ports, struct tg_plan *plan,
    const struct tg_plan *old, enum tg_ports_kind kind);

/* Close all that still have a descriptor here. Safe twice. */
void tg_ports_drop(struct tg_ports *ports);

/* Remove the files of the UNIX sockets that `old` listened on and `plan` (NULL: nothing) does not. */
void tg_ports_remove_files(const struct tg_plan *old, const struct tg_plan *plan);

#endif
