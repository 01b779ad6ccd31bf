#include "process/servers.h"

#include <stdlib.h>

#include "base/log.h"

enum { ANSWER_MAX = 512 };

static const char *const admin_names[] = { "ready", "drain", "disabled" };

/* --- health ------------------------------------------------------------------------------- */

static void
tell_workers(struct tg_control *control, struct tg_server *server, bool down)
{
	if (control->workers_done == control->worker_count)
		return; /* nothing runs any more, and the mailboxes are closed */
	for (unsigned w = 0; w < control->worker_count; w++)
		tg_worker_server_closed(&control->workers[w], server, down);
}

/* Others may take its place now (backup servers): for those in line too. */
static void
open_others(const struct tg_plan *plan, struct tg_backend_state *state)
{
	for (unsigned b = 0; plan != NULL && b < plan->backend_count; b++) {
		const struct tg_plan_backend *backend = &plan->backends[b];

		for (unsigned s = 0; backend->state == state && s < backend->count; s++)
			tg_queue_open(state, backend->servers[s].server);
	}
}

void
tg_servers_health(void *arg, struct tg_backend_state *backend, struct tg_server *server, bool up)
{
	const struct tg_control *control = arg;

	if (up) {
		tg_queue_open(backend, server);
	} else {
		tell_workers(arg, server, true);
		open_others(control->plan, backend);
	}
}

/* --- what is wanted ----------------------------------------------------------------------- */

/* What is wanted of it does not show in the state of a server that is down anyhow: the VM, which
 * tells of changes of the state, says nothing then. */
static bool
shows(const struct tg_server *server, int old, int admin)
{
	return old == TG_ADMIN_DISABLED || admin == TG_ADMIN_DISABLED || tg_server_usable(server);
}

/* Control thread. False: it was so already. */
static bool
set_admin(struct tg_control *control, struct tg_backend_state *backend, struct tg_server *server,
    int admin, const char *by)
{
	int old = atomic_exchange(&server->admin, admin);
	int64_t lasted;

	if (old == admin)
		return false;
	lasted = tg_health_touch(server);
	if (old == TG_ADMIN_DISABLED)
		tg_health_doubt(server);
	atomic_fetch_add(&backend->epoch, 1);
	if (admin != TG_ADMIN_READY) {
		tell_workers(control, server, false);
		open_others(control->plan, backend);
	}
	if (admin != TG_ADMIN_DISABLED)
		tg_queue_open(backend, server);
	if (!shows(server, old, admin) || control->vm == NULL ||
	    !tg_vm_changed(control->vm, server, old, lasted, tg_str_of(by)))
		tg_log(TG_LOG_NOTICE, "backend %s: server %s: %s (was %s), by %s",
		    server->backend.ptr, server->name.ptr, admin_names[admin], admin_names[old],
		    by);
	return true;
}

struct admin_message {
	struct tg_message message;
	struct tg_backend_state *backend; /* counted */
	struct tg_server *server;         /* counted */
	int admin;
	char by[];
};

static void
run_admin(struct tg_message *message, void *receiver)
{
	struct admin_message *order = (struct admin_message *)(void *)message;

	set_admin(receiver, order->backend, order->server, order->admin, order->by);
	tg_backend_state_put(order->backend);
	tg_server_put(order->server);
	free(order);
}

void
tg_servers_admin(void *arg, struct tg_backend_state *backend, struct tg_server *server, int admin,
    struct tg_str by)
{
	struct tg_control *control = arg;
	struct admin_message *order = calloc(1, sizeof(*order) + by.len + 1);

	if (order == NULL) {
		tg_log(TG_LOG_ERROR, "out of memory: server %s stays as it is", server->name.ptr);
		return;
	}
	order->message.run = run_admin;
	order->backend = tg_backend_state_get(backend);
	order->server = tg_server_get(server);
	order->admin = admin;
	memcpy(order->by, by.ptr, by.len);
	tg_mailbox_send(&control->mailbox, &order->message);
}

/* More room is for those in line at once, whatever generation they came with. */
static void
declare(struct tg_control *control, struct tg_backend_state *state, struct tg_server *server,
    const struct tg_server_options *options)
{
	if (atomic_exchange(&server->max_connections, options->max_connections) !=
	    options->max_connections)
		tg_queue_open(state, server);
	if (options->admin == server->declared)
		return;
	server->declared = options->admin;
	(void)set_admin(control, state, server, options->admin, "the configuration");
}

void
tg_servers_declare(struct tg_control *control, const struct tg_plan *plan)
{
	for (unsigned b = 0; b < plan->backend_count; b++) {
		const struct tg_plan_backend *backend = &plan->backends[b];

		for (unsigned s = 0; s < backend->count; s++) {
			const struct tg_plan_server *entry = &backend->servers[s];

			declare(control, backend->state, entry->server, &entry->options);
		}
	}
}

/* --- the command -------------------------------------------------------------------------- */

static int
admin_of(struct tg_str word)
{
	for (int admin = TG_ADMIN_READY; admin <= TG_ADMIN_DISABLED; admin++)
		if (tg_str_eq(word, tg_str_of(admin_names[admin])))
			return admin;
	return -1;
}

/* The server of that name in the plan that runs; its backend's state in *state. NULL: unknown. */
static struct tg_server *
find(const struct tg_plan *plan, struct tg_str backend, struct tg_str name,
    struct tg_backend_state **state)
{
	for (unsigned b = 0; plan != NULL && b < plan->backend_count; b++) {
		if (!tg_str_eq(plan->backends[b].name, backend))
			continue;
		for (unsigned s = 0; s < plan->backends[b].count; s++)
			if (tg_str_eq(plan->backends[b].servers[s].server->name, name)) {
				*state = plan->backends[b].state;
				return plan->backends[b].servers[s].server;
			}
	}
	return NULL;
}

/* What stands before `byte`, which is taken off with it; all of it when there is none. */
static struct tg_str
split(struct tg_str *text, char byte)
{
	const char *at = memchr(text->ptr, byte, text->len);
	struct tg_str head = { text->ptr, at != NULL ? (size_t)(at - text->ptr) : text->len };
	size_t used = at != NULL ? head.len + 1 : head.len;

	*text = (struct tg_str){ text->ptr + used, text->len - used };
	return head;
}

bool
tg_servers_command(struct tg_control *control, struct tg_str words, const char **answer)
{
	static char text[ANSWER_MAX];
	struct tg_str name = split(&words, ' '), backend = split(&name, '/');
	struct tg_backend_state *state = NULL;
	struct tg_server *server = find(control->plan, backend, name, &state);
	int admin = admin_of(words);
	bool changed;

	*answer = text;
	if (server == NULL) {
		snprintf(text, sizeof(text), "no server \"%.*s/%.*s\": write BACKEND/SERVER\n",
		    (int)(backend.len < 100 ? backend.len : 100), backend.ptr,
		    (int)(name.len < 100 ? name.len : 100), name.ptr);
		return false;
	}
	if (admin < 0) {
		snprintf(text, sizeof(text),
		    "the state of a server can be set to \"ready\", \"drain\" or \"disabled\"\n");
		return false;
	}
	changed = set_admin(control, state, server, admin, "the control socket");
	snprintf(text, sizeof(text), "%s/%s: %s%s\n", server->backend.ptr, server->name.ptr,
	    admin_names[admin], changed ? "" : " already");
	return true;
}
