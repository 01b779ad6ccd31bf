/* Changes of what is wanted of a server (drain, disabled, ready), on their way to the control
 * thread's VM: they are made by others (process/servers.c), and told to scripts by a timer of the
 * runtime that sleeps until there is one. Control thread only.
 */
#include <stdlib.h>

#include "policy/task.h"

struct change {
	struct tg_link link;
	int backend, server; /* indexes into the VM's plan */
	int admin;           /* enum tg_admin_state: what was wanted before */
	int64_t lasted_ms;
	struct tg_str by; /* of `text` */
	char text[];
};

/* Where the server stands in the plan; false: it does not. */
static bool
find(const struct tg_plan *plan, const struct tg_server *server, struct change *out)
{
	for (unsigned b = 0; b < plan->backend_count; b++)
		for (unsigned s = 0; s < plan->backends[b].count; s++)
			if (plan->backends[b].servers[s].server == server) {
				out->backend = (int)b;
				out->server = (int)s;
				return true;
			}
	return false;
}

bool
tg_vm_changed(struct tg_vm *vm, const struct tg_server *server, int old_admin, int64_t lasted_ms,
    struct tg_str by)
{
	struct change *change;

	TG_CHECK(vm, TG_VM_MAGIC);
	if (vm->changes_timer < 0)
		return false;
	change = calloc(1, sizeof(*change) + by.len);
	if (change == NULL || !find(vm->config.plan, server, change)) {
		free(change);
		return false;
	}
	change->admin = old_admin;
	change->lasted_ms = lasted_ms;
	change->by = (struct tg_str){ memcpy(change->text, by.ptr, by.len), by.len };
	tg_link_init(&change->link);
	tg_list_push_back(&vm->changes, &change->link);
	tg_ffi_timer_wake(vm, vm->changes_timer);
	return true;
}

/* Free the first change, which has been told. */
static void
drop_first(struct tg_vm *vm)
{
	free(tg_container_of(tg_list_pop_front(&vm->changes), struct change, link));
	vm->change_taken = false;
}

int
tg_ffi_change_next(struct tg_vm *vm, struct tg_change *out)
{
	const struct change *change;

	if (vm->change_taken)
		drop_first(vm);
	if (tg_list_empty(&vm->changes))
		return TG_FFI_MISSING;
	change = tg_container_of(vm->changes.next, struct change, link);
	*out = (struct tg_change){
		.backend = change->backend,
		.server = change->server,
		.admin = change->admin,
		.lasted_ms = change->lasted_ms,
		.by = change->by,
	};
	vm->change_taken = true;
	return 0;
}

int
tg_ffi_plan_changes(struct tg_vm *vm, int timer)
{
	vm->changes_timer = timer;
	return 0;
}

void
tg_vm_changes_free(struct tg_vm *vm)
{
	while (!tg_list_empty(&vm->changes))
		drop_first(vm);
}
