/* What a configuration declares, recorded by the control thread's VM and compared by the
 * workers': the same file must say the same in every thread.
 */
#include <stdlib.h>

#include "base/intern.h"
#include "policy/task.h"
#include "policy/timers.h"

static bool
builds(const struct tg_vm *vm)
{
	return vm->config.role != TG_VM_WORKER;
}

int
tg_ffi_plan_backend(
    struct tg_vm *vm, const char *name, size_t len, const struct tg_backend_options *options)
{
	struct tg_plan *plan = vm->config.plan;
	struct tg_str text = { name, len };
	struct tg_backend_state *state;
	int index;

	if (options->tls < 0 || (unsigned)options->tls > plan->tls_count)
		return TG_FFI_INVALID;
	if (!builds(vm)) {
		unsigned i = vm->backends_seen++;

		vm->servers_seen = 0;
		return i < plan->backend_count && tg_str_eq(plan->backends[i].name, text)
		    ? (int)i
		    : TG_FFI_MISMATCH;
	}
	state = tg_registry_state(vm->config.registry, text);
	if (state == NULL)
		return TG_FFI_MEMORY;
	index = tg_plan_add_backend(plan, state, options);
	return index < 0 ? TG_FFI_MEMORY : index;
}

/* Abstract UNIX sockets can be listened on, but libuv cannot connect to one. */
static bool
can_connect(struct tg_str address)
{
	struct tg_addr addr;
	struct tg_str host;
	uint16_t port;
	int parsed = tg_addr_parse(address, false, &addr, &host, &port);

	return parsed == TG_ADDR_RESOLVE ||
	    (parsed == TG_ADDR_OK && (addr.sa.sa_family != AF_UNIX || addr.un.sun_path[0] != '\0'));
}

int
tg_ffi_plan_server(struct tg_vm *vm, int backend, const char *name, size_t name_len,
    const char *address, size_t address_len, const struct tg_server_options *options)
{
	struct tg_plan *plan = vm->config.plan;
	struct tg_str name_text = { name, name_len }, address_text = { address, address_len };
	struct tg_plan_backend *owner;
	struct tg_server *server;
	int index;

	if (backend < 0 || (unsigned)backend >= plan->backend_count)
		return TG_FFI_INVALID;
	owner = &plan->backends[backend];
	if (!builds(vm)) {
		unsigned i = vm->servers_seen++;

		vm->all_servers_seen++;
		return i < owner->count && tg_str_eq(owner->servers[i].server->name, name_text) &&
		        tg_str_eq(owner->servers[i].server->address, address_text)
		    ? (int)i
		    : TG_FFI_MISMATCH;
	}
	if (!can_connect(address_text))
		return TG_FFI_INVALID;
	server = tg_registry_server(vm->config.registry, owner->name, name_text, address_text);
	if (server == NULL)
		return TG_FFI_MEMORY;
	tg_health_begin(server, options->init_up != 0, options->init_credit);
	index = tg_plan_add_server(plan, (unsigned)backend, server, options);
	return index < 0 ? TG_FFI_MEMORY : index;
}

int
tg_ffi_plan_listener(
    struct tg_vm *vm, const char *address, size_t len, const struct tg_listener_options *options)
{
	struct tg_plan *plan = vm->config.plan;
	struct tg_str text = { address, len }, host;
	struct tg_listener_state *state;
	struct tg_addr addr;
	uint16_t port;
	int index;

	if (options->tls < 0 || (unsigned)options->tls > plan->tls_count)
		return TG_FFI_INVALID;
	if (!builds(vm)) {
		unsigned i = vm->listeners_seen++;

		return i < plan->listener_count && tg_str_eq(plan->listeners[i].address, text)
		    ? (int)i
		    : TG_FFI_MISMATCH;
	}
	if (tg_addr_parse(text, true, &addr, &host, &port) != TG_ADDR_OK)
		return TG_FFI_INVALID;
	state = tg_registry_listener(vm->config.registry, text);
	if (state == NULL)
		return TG_FFI_MEMORY;
	index = tg_plan_add_listener(plan, state, &addr, options);
	return index < 0 ? TG_FFI_MEMORY : index;
}

int
tg_ffi_plan_capture(
    struct tg_vm *vm, int listener, int side, int cookie, const char *name, size_t len, int max)
{
	struct tg_plan *plan = vm->config.plan;
	struct tg_capture capture = {
		.name = { name, len },
		.side = side == TG_SIDE_REQUEST ? TG_SIDE_REQUEST : TG_SIDE_RESPONSE,
		.cookie = cookie != 0,
		.max = (uint32_t)max,
	};
	int index;

	if (!builds(vm))
		return 0;
	if (listener < 0 || (unsigned)listener >= plan->listener_count || len == 0 || max < 1)
		return TG_FFI_INVALID;
	index = tg_plan_add_capture(plan, (unsigned)listener, &capture);
	return index < 0 ? TG_FFI_MEMORY : index;
}

int
tg_ffi_is_network(const char *text, size_t len)
{
	struct tg_network network;

	return tg_network_parse((struct tg_str){ text, len }, &network);
}

int
tg_ffi_plan_network(struct tg_vm *vm, int listener, const char *text, size_t len)
{
	struct tg_plan *plan = vm->config.plan;
	struct tg_network network;
	int index;

	if (!builds(vm))
		return 0;
	if (listener < 0 || (unsigned)listener >= plan->listener_count ||
	    !tg_network_parse((struct tg_str){ text, len }, &network))
		return TG_FFI_INVALID;
	index = tg_plan_add_network(plan, (unsigned)listener, &network);
	return index < 0 ? TG_FFI_MEMORY : index;
}

int
tg_ffi_plan_sink(
    struct tg_vm *vm, const char *target, size_t len, const struct tg_sink_options *options)
{
	struct tg_plan *plan = vm->config.plan;
	struct tg_str text = { target, len };
	int index;

	if (!builds(vm)) {
		unsigned i = vm->sinks_seen++;

		return i < plan->sink_count && tg_str_eq(plan->sinks[i].target, text)
		    ? (int)i
		    : TG_FFI_MISMATCH;
	}
	/* Where the process has yet to become another user, that one is to open it: process/ looks
	 * then. (The settings of the process come before the sinks.) */
	if (vm->config.user_error == NULL || !tg_plan_drops(plan)) {
		index = vm->config.log_check(text);
		if (index < 0)
			return index; /* libuv's codes are the negative errno */
	}
	index = tg_plan_add_sink(plan, text, options);
	return index < 0 ? TG_FFI_MEMORY : index;
}

bool
tg_plan_complete(const struct tg_vm *vm)
{
	const struct tg_plan *plan = vm->config.plan;
	unsigned servers = 0;

	for (unsigned i = 0; i < plan->backend_count; i++)
		servers += plan->backends[i].count;
	return builds(vm) ||
	    (vm->listeners_seen == plan->listener_count &&
	        vm->backends_seen == plan->backend_count && vm->tls_seen == plan->tls_count &&
	        vm->sinks_seen == plan->sink_count && vm->all_servers_seen == servers);
}

int
tg_ffi_plan_process(struct tg_vm *vm, const struct tg_process_options *options)
{
	if (!builds(vm))
		return 0;
	if (options->workers < 0 || options->workers > TG_WORKERS_MAX ||
	    options->max_connections < 0 || options->grace_ms < 0)
		return TG_FFI_INVALID;
	return tg_plan_set_process(vm->config.plan, options) < 0 ? TG_FFI_MEMORY : 0;
}

const char *
tg_ffi_user_error(
    struct tg_vm *vm, const char *user, size_t user_len, const char *group, size_t group_len)
{
	if (!builds(vm) || vm->config.user_error == NULL)
		return NULL;
	return vm->config.user_error(
	    (struct tg_str){ user, user_len }, (struct tg_str){ group, group_len });
}

int
tg_ffi_plan_timer(struct tg_vm *vm, int64_t first_ms, int64_t ms)
{
	struct tg_vm_timer *grown =
	    realloc(vm->timers, (vm->timer_count + 1) * sizeof(*vm->timers));

	if (grown == NULL)
		return TG_FFI_MEMORY;
	vm->timers = grown;
	grown[vm->timer_count] = (struct tg_vm_timer){
		.first_ms = first_ms,
		.ms = ms == 0 ? 1 : ms,
		.where = "?",
		.index = (int)vm->timer_count,
	};
	return (int)vm->timer_count++;
}

int
tg_ffi_plan_check(struct tg_vm *vm, int timer, int backend, int server)
{
	struct tg_plan *plan = vm->config.plan;

	if (timer < 0 || (unsigned)timer >= vm->timer_count || backend < 0 ||
	    (unsigned)backend >= plan->backend_count || server < 0 ||
	    (unsigned)server >= plan->backends[backend].count)
		return TG_FFI_MISSING;
	vm->timers[timer].server = plan->backends[backend].servers[server].server;
	return 0;
}

int
tg_ffi_plan_where(struct tg_vm *vm, int hook, int index, const char *where, size_t len)
{
	const char *text = tg_intern((struct tg_str){ where, len });
	struct tg_wheres *list;
	unsigned place;
	const char **grown;

	if (hook == TG_HOOK_TIMER) {
		if (index < 0 || (unsigned)index >= vm->timer_count)
			return TG_FFI_MISSING;
		vm->timers[index].where = text;
		return 0;
	}
	if (hook < 0 || hook >= TG_HOOK_COUNT)
		return TG_FFI_MISSING;
	list = &vm->wheres[hook];
	place = tg_wheres_place(index);
	if (place >= list->count) {
		grown = realloc(list->texts, ((size_t)place + 1) * sizeof(*grown));
		if (grown == NULL)
			return TG_FFI_MEMORY;
		list->texts = grown;
		while (list->count <= place)
			grown[list->count++] = NULL;
	}
	list->texts[place] = text;
	return 0;
}

int
tg_ffi_plan_file(struct tg_vm *vm, const char *path, size_t len)
{
	struct tg_plan *plan = vm->config.plan;

	if (!builds(vm))
		return 0;
	return tg_plan_add_text(&plan->files, &plan->file_count, (struct tg_str){ path, len }) < 0
	    ? TG_FFI_MEMORY
	    : 0;
}

int
tg_ffi_plan_error(struct tg_vm *vm, const char *text, size_t len)
{
	struct tg_plan *plan = vm->config.plan;

	vm->failed = true;
	return tg_plan_add_text(&plan->errors, &plan->error_count, (struct tg_str){ text, len }) < 0
	    ? TG_FFI_MEMORY
	    : 0;
}

int
tg_ffi_plan_warning(struct tg_vm *vm, const char *text, size_t len)
{
	struct tg_plan *plan = vm->config.plan;

	if (!builds(vm))
		return 0;
	return tg_plan_add_text(
	           &plan->warnings, &plan->warning_count, (struct tg_str){ text, len }) < 0
	    ? TG_FFI_MEMORY
	    : 0;
}

const char *
tg_ffi_address_error(const char *address, size_t len, int listen)
{
	struct tg_str text = { address, len }, host;
	struct tg_addr addr;
	uint16_t port;
	int parsed = tg_addr_parse(text, listen != 0, &addr, &host, &port);

	if (parsed < 0)
		return tg_addr_strerror(parsed);
	if (listen && parsed == TG_ADDR_RESOLVE)
		return "a listener needs a literal address: write the IP, '*:PORT' or 'unix:/path'";
	if (!listen && parsed == TG_ADDR_OK && addr.sa.sa_family == AF_UNIX &&
	    addr.un.sun_path[0] == '\0')
		return "a server cannot be an abstract UNIX socket: use one with a path";
	return NULL;
}
