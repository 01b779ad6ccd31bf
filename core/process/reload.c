#include "process/reload.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/intern.h"
#include "base/log.h"
#include "process/descriptors.h"
#include "process/file_watch.h"
#include "process/logger.h"
#include "process/notify.h"
#include "process/ports.h"
#include "process/privileges.h"
#include "process/servers.h"
#include "process/start.h"

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
	struct tg_ports ports;     /* of the new listeners */
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

static void
free_reload(struct tg_reload *reload)
{
	struct tg_control *control = reload->control;

	tg_tls_files_drop(control->tls_files); /* unless they were kept */
	tg_ports_drop(&reload->ports);
	for (unsigned i = 0; reload->worker_vms != NULL && i < control->worker_count; i++)
		if (reload->worker_vms[i] != NULL)
			tg_vm_close(reload->worker_vms[i], NULL, NULL);
	if (reload->vm != NULL)
		tg_vm_close(reload->vm, NULL, NULL);
	if (reload->plan != NULL)
		tg_plan_put(reload->plan);
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
	tg_chunks_sweep(&control->chunks);
	tg_tls_rings_sweep(control->tls_rings);
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
	if (first) {
		tg_log(TG_LOG_ERROR, "the configuration has errors: not started");
	} else {
		tg_log(TG_LOG_ERROR, "reload failed: generation %u goes on", control->plan->id);
		tg_notify(
		    "READY=1", "generation %u goes on: the last reload failed", control->plan->id);
	}
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
		.share = control->options.share,
		.plan = reload->plan,
		.registry = &control->registry,
		.shared = control->shared,
		.chunks = &control->chunks,
		.tls_files = control->tls_files,
		.tls_rings = control->tls_rings,
		.before = control->plan,
		.log_line = tg_logger_line,
		.log_check = tg_logger_check,
		.user_error = control->settled ? NULL : tg_identity_error,
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
	if (first)
		tg_start_ready(control);
	tg_notify(first && control->options.daemon ? "" : "READY=1", "generation %u on %s",
	    plan->id, text);
}

/* What only a new process can change is said, not done. */
static void
compare(const struct tg_process_options *old, const struct tg_process_options *new)
{
	if (old->workers != new->workers || old->daemon != new->daemon ||
	    !tg_str_eq(old->control, new->control) || !tg_str_eq(old->user, new->user) ||
	    !tg_str_eq(old->group, new->group) || !tg_str_eq(old->chroot, new->chroot) ||
	    !tg_str_eq(old->pid_file, new->pid_file))
		tg_log(TG_LOG_WARNING,
		    "%s: tide.process has changed: all but `grace`, `tunnel_grace`, "
		    "`max_connections` and "
		    "`max_handshakes` takes effect with a restart",
		    new->where.len > 0 ? new->where.ptr : "the configuration");
}

/* What is strange about the new configuration, to the log; and to who asked, behind `text`. NULL: out
 * of memory. */
static char *
warn(const struct tg_plan *plan, const char *text)
{
	char *whole = NULL;
	size_t size;
	FILE *out = open_memstream(&whole, &size);

	if (out != NULL)
		fputs(text, out);
	for (unsigned i = 0; i < plan->warning_count; i++) {
		tg_log(TG_LOG_WARNING, "%s", plan->warnings[i].ptr);
		if (out != NULL)
			fprintf(out, "warning: %s\n", plan->warnings[i].ptr);
	}
	if (out != NULL)
		fclose(out);
	return whole;
}

/* All workers have switched. */
static void
commit(struct tg_reload *reload)
{
	struct tg_control *control = reload->control;
	bool first = control->plan == NULL;
	char text[40], *whole;

	if (control->vm != NULL)
		tg_vm_wind_up(control->vm, &control->old_vms);
	tg_ports_remove_files(control->plan, reload->plan);
	if (!first) {
		compare(&control->plan->process, &reload->plan->process);
		tg_plan_put(control->plan);
	}
	control->plan = reload->plan;
	control->vm = reload->vm;
	tg_guard_grace(&control->guard, tg_patience(&control->plan->process));
	reload->plan = NULL;
	reload->vm = NULL;
	tg_tls_files_keep(control->tls_files);
	tg_health_follow(control->plan);
	tg_logger_follow(control->plan);
	tg_vm_start(control->vm, &control->loop, NULL, &control->watch);
	snprintf(text, sizeof(text), "generation %u\n", control->plan->id);
	whole = warn(control->plan, text);
	finish(reload, true, whole != NULL ? whole : text);
	free(whole);
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
	unsigned n = reload->ports.count;

	reload->waiting = control->worker_count;
	atomic_store(&control->engines.max_connections, reload->max_connections);
	tg_servers_declare(control, reload->plan);
	for (unsigned i = 0; i < control->worker_count; i++) {
		int err = tg_worker_switch(&control->workers[i], reload->worker_vms[i],
		    tg_plan_get(reload->plan), &reload->ports.list[i * n], n);

		tg_assert(err == 0); /* all threads or none */
		reload->worker_vms[i] = NULL;
		for (unsigned p = 0; p < n; p++)
			reload->ports.list[i * n + p].fd = -1;
	}
}

/* Bind what the plan adds. At the start the process becomes, in between, what it is to be: low
 * ports are bound by root, files are made and found by the user who will make and find them at
 * reloads. */
static bool
bind_new(struct tg_reload *reload)
{
	struct tg_control *control = reload->control;
	struct tg_plan *plan = reload->plan, *old = control->plan;
	bool good;

	if (tg_ports_init(&reload->ports, plan, old, control->worker_count) != 0)
		return false;
	good = tg_ports_bind(&reload->ports, plan, old, TG_PORTS_TCP);
	if (old == NULL)
		good = good && tg_start_settle(control, plan);
	return (good || old != NULL) && tg_ports_bind(&reload->ports, plan, old, TG_PORTS_UNIX);
}

static void
begin(struct tg_reload *reload)
{
	struct tg_control *control = reload->control;
	bool loaded, bound;

	if (control->plan != NULL)
		tg_notify_reloading();
	reload->plan = tg_plan_new(control->worker_count + 1);
	reload->worker_vms = calloc(control->worker_count, sizeof(struct tg_vm *));
	tg_assert(reload->plan != NULL && reload->worker_vms != NULL);
	reload->plan->id = control->generations + 1;
	loaded = load_all(reload);
	bound = loaded && find_room(reload) && bind_new(reload);
	if (control->options.watch)
		tg_file_watch_set(control, reload->plan);
	if (!bound) {
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
	struct tg_link *link;

	tg_reload_drop(control);
	tg_assert(control->reload == NULL);
	while ((link = tg_list_pop_front(&control->old_vms)) != NULL)
		tg_vm_close(tg_container_of(link, struct tg_vm, winding), NULL, NULL);
	if (control->vm != NULL)
		tg_vm_close(control->vm, NULL, NULL);
	control->vm = NULL;
	tg_ports_remove_files(control->plan, NULL);
	if (control->plan != NULL)
		tg_plan_put(control->plan);
	control->plan = NULL;
}
