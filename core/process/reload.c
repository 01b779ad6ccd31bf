#include "process/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/intern.h"
#include "base/log.h"
#include "process/descriptors.h"
#include "process/file_watch.h"
#include "process/logger.h"
#include "process/servers.h"

struct asker {
	struct asker *next;
	tg_reload_done_fn done;
	void *arg;
};

struct tg_reload {
	struct tg_control *control;
	struct asker *askers; /* of this one */
	struct asker *later;  /* of the next one */
	bool again;           /* somebody asked meanwhile */
	struct tg_plan *plan;
	struct tg_vm *vm;          /* control's */
	struct tg_vm **worker_vms; /* one per worker; NULL once handed over */
	struct tg_new_port *ports; /* worker_count for each new listener, worker by worker */
	unsigned port_count;       /* new listeners */
	int max_connections;       /* of the process */
	unsigned waiting;          /* workers that have not switched yet */
};

static void begin(struct tg_reload *reload);

static struct tg_reload *
new_reload(struct tg_control *control)
{
	struct tg_reload *reload = calloc(1, sizeof(*reload));

	tg_assert(reload != NULL);
	reload->control = control;
	control->reload = reload;
	return reload;
}

/* --- the verdict -------------------------------------------------------------------------- */

static void
add_asker(struct asker **list, tg_reload_done_fn done, void *arg)
{
	struct asker *asker = done != NULL ? calloc(1, sizeof(*asker)) : NULL;

	if (asker == NULL)
		return;
	asker->done = done;
	asker->arg = arg;
	asker->next = *list;
	*list = asker;
}

static void
tell(struct asker *list, bool good, const char *text)
{
	struct asker *next;

	for (; list != NULL; list = next) {
		next = list->next;
		if (list->done != NULL)
			list->done(list->arg, good, text);
		free(list);
	}
}

void
tg_reload_forget(struct tg_control *control, void *arg)
{
	struct tg_reload *reload = control->reload;

	if (reload == NULL)
		return;
	for (struct asker *asker = reload->askers; asker != NULL; asker = asker->next)
		if (asker->arg == arg)
			asker->done = NULL;
	for (struct asker *asker = reload->later; asker != NULL; asker = asker->next)
		if (asker->arg == arg)
			asker->done = NULL;
}

/* A descriptor that no worker got. `first`: it is worker 0's, who stands for the file too. */
static void
drop_port(const struct tg_new_port *port, bool first)
{
	const char *path =
	    port->fd >= 0 && port->is_unix ? strchr(port->state->address.ptr, '/') : NULL;

	if (port->fd >= 0)
		close(port->fd);
	if (first && path != NULL)
		unlink(path);
}

static void
free_reload(struct tg_reload *reload)
{
	struct tg_control *control = reload->control;

	for (unsigned i = 0;
	     reload->ports != NULL && i < reload->port_count * control->worker_count; i++)
		drop_port(&reload->ports[i], i < reload->port_count);
	for (unsigned i = 0; reload->worker_vms != NULL && i < control->worker_count; i++)
		if (reload->worker_vms[i] != NULL)
			tg_vm_close(reload->worker_vms[i], NULL, NULL);
	if (reload->vm != NULL)
		tg_vm_close(reload->vm, NULL, NULL);
	if (reload->plan != NULL)
		tg_plan_put(reload->plan);
	free(reload->ports);
	free(reload->worker_vms);
	free(reload);
}

/* This one is over: tell who asked. If somebody asked meanwhile, the next one stands ready for
 * go_on(); they are in its list before anybody is told, so that they can be forgotten. */
static void
finish(struct tg_reload *reload, bool good, const char *text)
{
	struct tg_control *control = reload->control;
	struct asker *askers = reload->askers, *later = reload->later;
	bool again = reload->again;

	control->reload = NULL;
	if (good)
		control->reloads_good += control->plan->id > 1; /* the first is the start */
	else
		control->reloads_bad++;
	free_reload(reload);
	tg_registry_sweep(&control->registry);
	if (again)
		new_reload(control)->askers = later;
	tell(askers, good, text);
	if (!good && control->plan == NULL) { /* nothing runs: this was the start */
		control->exit_status = 1;
		tg_control_stop(control, true);
	} else if (control->stopping) {
		tg_reload_drop(control);
	}
}

/* Begin the reload that was asked for during the last one. */
static void
go_on(struct tg_control *control)
{
	if (control->reload != NULL)
		begin(control->reload);
}

/* All errors of the plan, to the log and to who asked. */
static void
fail(struct tg_reload *reload)
{
	struct tg_control *control = reload->control;
	const struct tg_plan *plan = reload->plan;
	bool first = control->plan == NULL;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (unsigned i = 0; i < plan->error_count; i++) {
		tg_log(TG_LOG_ERROR, "%s", plan->errors[i].ptr);
		if (out != NULL)
			fprintf(out, "%s\n", plan->errors[i].ptr);
	}
	if (out != NULL)
		fclose(out);
	if (first)
		tg_log(TG_LOG_ERROR, "the configuration has errors: not started");
	else
		tg_log(TG_LOG_ERROR, "reload failed: generation %u goes on", control->plan->id);
	finish(reload, false, text != NULL ? text : "out of memory\n");
	free(text);
	go_on(control);
}

static void
fail_with(struct tg_reload *reload, const char *text)
{
	if (tg_plan_add_text(&reload->plan->errors, &reload->plan->error_count, tg_str_of(text)) <
	    0)
		tg_log(TG_LOG_ERROR, "%s", text);
	fail(reload);
}

/* --- load --------------------------------------------------------------------------------- */

static struct tg_vm *
load_vm(struct tg_reload *reload, enum tg_vm_role role, unsigned thread)
{
	struct tg_control *control = reload->control;
	struct tg_vm_config config = {
		.role = role,
		.thread = thread,
		.file = control->options.file,
		.source = control->options.source,
		.scripts = control->options.scripts,
		.share = TG_SHARE_DIR,
		.plan = reload->plan,
		.registry = &control->registry,
		.shared = control->shared,
		.log_line = tg_logger_line,
		.log_check = tg_logger_check,
		.server_health = tg_servers_health,
		.server_admin = tg_servers_admin,
		.server_arg = control,
	};

	return tg_vm_load(&config);
}

static bool
load_all(struct tg_reload *reload)
{
	struct tg_control *control = reload->control;
	struct tg_str file =
	    tg_str_of(control->options.file != NULL ? control->options.file : "the command line");
	bool loaded = false;

	tg_watch_enter(&control->watch, tg_intern(file));
	reload->vm = load_vm(reload, TG_VM_CONTROL, control->worker_count);
	loaded = reload->vm != NULL;
	for (unsigned i = 0; loaded && i < control->worker_count; i++) {
		reload->worker_vms[i] = load_vm(reload, TG_VM_WORKER, i);
		loaded = reload->worker_vms[i] != NULL;
	}
	tg_watch_leave(&control->watch);
	return loaded;
}

/* Descriptors for what the plan allows; false: an error was recorded. */
static bool
find_room(struct tg_reload *reload)
{
	struct tg_plan *plan = reload->plan;
	char why[512];

	reload->max_connections =
	    tg_descriptors_raise(plan, reload->control->worker_count, why, sizeof(why));
	if (reload->max_connections >= 0)
		return true;
	(void)!tg_plan_add_text(&plan->errors, &plan->error_count, tg_str_of(why));
	return false;
}

/* --- listeners ---------------------------------------------------------------------------- */

static bool
names(const struct tg_plan *plan, struct tg_str address)
{
	for (unsigned i = 0; plan != NULL && i < plan->listener_count; i++)
		if (tg_str_eq(plan->listeners[i].address, address))
			return true;
	return false;
}

/* The files of UNIX sockets that `old` listened on and `plan` (NULL: nothing) no longer does. */
static void
remove_sockets(const struct tg_plan *old, const struct tg_plan *plan)
{
	for (unsigned i = 0; old != NULL && i < old->listener_count; i++) {
		const struct tg_plan_listener *listener = &old->listeners[i];

		if (listener->addr.sa.sa_family == AF_UNIX &&
		    listener->addr.un.sun_path[0] != '\0' && !names(plan, listener->address))
			unlink(listener->addr.un.sun_path);
	}
}

/* One descriptor per worker: bound for each with SO_REUSEPORT, shared for a UNIX socket. With
 * port 0 the first choice of the kernel holds for all. 0 or a negative code. */
static int
bind_one(
    struct tg_reload *reload, const struct tg_plan_listener *listener, struct tg_new_port *ports)
{
	bool is_unix = listener->addr.sa.sa_family == AF_UNIX;
	struct tg_addr addr = listener->addr, at;

	for (unsigned w = 0; w < reload->control->worker_count; w++) {
		struct tg_new_port *port = &ports[w * reload->port_count];

		port->state = listener->state;
		port->is_unix = is_unix;
		if (is_unix && w > 0)
			port->fd = dup(ports[0].fd);
		else
			port->fd = tg_listener_bind(&addr, &at);
		if (port->fd < 0)
			return port->fd;
		addr = at;
	}
	return 0;
}

/* SO_REUSEPORT lets a second process of the same user share a port silently, and steal half of
 * the connections: refuse, by a probe without that option. */
static int
probe(const struct tg_addr *addr)
{
	int fd, on = 1, off = 0, err = 0;

	if (addr->sa.sa_family == AF_UNIX || tg_addr_port(addr) == 0)
		return 0;
	fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (addr->sa.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, &addr->sa, addr->len) != 0)
		err = -errno;
	close(fd);
	return err;
}

/* Bind what the plan adds; false: an error was recorded. */
static bool
bind_new(struct tg_reload *reload)
{
	struct tg_plan *plan = reload->plan;
	unsigned added = 0, total;
	char text[256];

	for (unsigned i = 0; i < plan->listener_count; i++)
		reload->port_count += !names(reload->control->plan, plan->listeners[i].address);
	total = reload->port_count * reload->control->worker_count;
	reload->ports = calloc(total + 1, sizeof(*reload->ports));
	if (reload->ports == NULL)
		return false;
	for (unsigned i = 0; i < total; i++)
		reload->ports[i].fd = -1;
	for (unsigned i = 0; i < plan->listener_count; i++) {
		const struct tg_plan_listener *listener = &plan->listeners[i];
		int err;

		if (names(reload->control->plan, listener->address))
			continue;
		err = probe(&listener->addr);
		if (err == 0)
			err = bind_one(reload, listener, &reload->ports[added++]);
		if (err == 0)
			continue;
		snprintf(text, sizeof(text), "cannot listen on %s: %s", listener->address.ptr,
		    uv_strerror(err));
		if (tg_plan_add_text(&plan->errors, &plan->error_count, tg_str_of(text)) < 0)
			return false;
	}
	return plan->error_count == 0;
}

/* --- switch ------------------------------------------------------------------------------- */

static void
announce(struct tg_control *control, bool first)
{
	const struct tg_plan *plan = control->plan;
	char text[1024];
	size_t len = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < plan->listener_count && len < sizeof(text) - 1; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i > 0 ? ", " : "",
		    plan->listeners[i].address.ptr);
	tg_log(TG_LOG_NOTICE, "%s: generation %u, %u worker%s, listening on %s",
	    first ? "tidegate ready" : "reloaded", plan->id, control->worker_count,
	    control->worker_count == 1 ? "" : "s", text);
}

/* All workers have switched. */
static void
commit(struct tg_reload *reload)
{
	struct tg_control *control = reload->control;
	bool first = control->plan == NULL;
	char text[40];

	if (control->vm != NULL)
		tg_vm_close(control->vm, NULL, NULL);
	remove_sockets(control->plan, reload->plan);
	if (control->plan != NULL)
		tg_plan_put(control->plan);
	control->plan = reload->plan;
	control->vm = reload->vm;
	reload->plan = NULL;
	reload->vm = NULL;
	tg_vm_start(control->vm, &control->loop, NULL, &control->watch);
	snprintf(text, sizeof(text), "generation %u\n", control->plan->id);
	finish(reload, true, text);
	if (!control->stopping)
		announce(control, first); /* "ready" means that the control socket answers too */
	go_on(control);
}

void
tg_reload_switched(struct tg_control *control)
{
	struct tg_reload *reload = control->reload;

	tg_assert(reload != NULL && reload->waiting > 0);
	if (--reload->waiting == 0)
		commit(reload);
}

/* Everything is loaded, bound and resolved: from here on nothing can fail. */
static void
on_ready(void *arg)
{
	struct tg_reload *reload = arg;
	struct tg_control *control = reload->control;
	unsigned n = reload->port_count;

	reload->waiting = control->worker_count;
	atomic_store(&control->engines.max_connections, reload->max_connections);
	tg_servers_declare(control, reload->plan);
	for (unsigned i = 0; i < control->worker_count; i++) {
		int err = tg_worker_switch(&control->workers[i], reload->worker_vms[i],
		    tg_plan_get(reload->plan), &reload->ports[i * n], n);

		tg_assert(err == 0); /* all threads or none */
		reload->worker_vms[i] = NULL;
		for (unsigned p = 0; p < n; p++)
			reload->ports[i * n + p].fd = -1;
	}
}

static void
begin(struct tg_reload *reload)
{
	struct tg_control *control = reload->control;
	bool loaded;

	reload->plan = tg_plan_new(control->worker_count + 1);
	reload->worker_vms = calloc(control->worker_count, sizeof(struct tg_vm *));
	tg_assert(reload->plan != NULL && reload->worker_vms != NULL);
	reload->plan->id = control->generations + 1;
	loaded = load_all(reload);
	if (control->options.watch)
		tg_file_watch_set(control, reload->plan);
	if (!loaded || !find_room(reload) || !bind_new(reload)) {
		if (reload->plan->error_count == 0)
			fail_with(reload, "out of memory while loading");
		else
			fail(reload);
		return;
	}
	control->generations++;
	tg_resolver_wait(&control->resolver, on_ready, reload);
}

void
tg_reload_start(struct tg_control *control, tg_reload_done_fn done, void *arg)
{
	struct tg_reload *reload = control->reload;

	if (control->stopping) {
		if (done != NULL)
			done(arg, false, "tidegate is shutting down\n");
		return;
	}
	if (reload != NULL) {
		add_asker(&reload->later, done, arg);
		reload->again = true;
		return;
	}
	reload = new_reload(control);
	add_asker(&reload->askers, done, arg);
	begin(reload);
}

void
tg_reload_drop(struct tg_control *control)
{
	static const char reason[] = "tidegate is shutting down\n";
	struct tg_reload *reload = control->reload;
	struct asker *askers, *later;

	if (reload == NULL || reload->waiting > 0)
		return;
	askers = reload->askers;
	later = reload->later;
	control->reload = NULL;
	tg_resolver_forget(&control->resolver);
	free_reload(reload);
	tell(askers, false, reason);
	tell(later, false, reason);
}

void
tg_reload_fini(struct tg_control *control)
{
	tg_reload_drop(control);
	tg_assert(control->reload == NULL);
	if (control->vm != NULL)
		tg_vm_close(control->vm, NULL, NULL);
	control->vm = NULL;
	remove_sockets(control->plan, NULL);
	if (control->plan != NULL)
		tg_plan_put(control->plan);
	control->plan = NULL;
}
