/* Servers, logs, time and shared tables, as scripts see them. */
#include <stdlib.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "policy/task.h"
#include "proxy/req.h"

static struct tg_plan_backend *
backend_of(struct tg_vm *vm, int index)
{
	struct tg_plan *plan = vm->config.plan;

	return index >= 0 && (unsigned)index < plan->backend_count ? &plan->backends[index] : NULL;
}

/* A server of the backend (which may be NULL); NULL: there is none. */
static struct tg_plan_server *
entry_of(struct tg_plan_backend *backend, int index)
{
	return backend != NULL && index >= 0 && (unsigned)index < backend->count
	    ? &backend->servers[index]
	    : NULL;
}

struct tg_server_view *
tg_ffi_server_view(struct tg_vm *vm, int backend_index, int server_index)
{
	struct tg_plan_server *entry = entry_of(backend_of(vm, backend_index), server_index);
	struct tg_server_view *view;
	struct tg_server_sums sums;

	if (entry == NULL)
		return NULL;
	view = &entry->views[vm->config.thread];
	sums = tg_server_sum(entry->server);
	view->up = atomic_load_explicit(&entry->server->up, memory_order_relaxed);
	view->resolved = atomic_load_explicit(&entry->server->addr, memory_order_relaxed) != NULL;
	view->admin = atomic_load_explicit(&entry->server->admin, memory_order_relaxed);
	view->usable = tg_server_usable(entry->server);
	view->open = tg_server_open(entry->server);
	view->silent = tg_server_silent(entry->server);
	view->active = (int32_t)sums.active;
	view->requests = (int64_t)sums.requests;
	view->failures = (int64_t)sums.failures;
	view->since_ms =
	    atomic_load_explicit(&entry->server->health.since_ms, memory_order_relaxed);
	view->check_ms =
	    atomic_load_explicit(&entry->server->health.duration_ms, memory_order_relaxed);
	return view;
}

int
tg_ffi_server_try(struct tg_vm *vm, int backend_index, int server_index, struct tg_req_view *view)
{
	struct tg_plan_backend *backend = backend_of(vm, backend_index);
	const struct tg_req *req = (const struct tg_req *)(const void *)view;

	TG_CHECK(req, TG_REQ_MAGIC);
	if (backend == NULL || server_index < 0 || (unsigned)server_index >= backend->count)
		return 0;
	return tg_server_try(backend->servers[server_index].server,
	    req->in_done && tg_req_idempotent(req), tg_loop_now(req->engine->loop));
}

uint32_t
tg_ffi_backend_epoch(struct tg_vm *vm, int index)
{
	struct tg_plan_backend *backend = backend_of(vm, index);

	return backend == NULL ? 0
	                       : atomic_load_explicit(&backend->state->epoch, memory_order_acquire);
}

uint32_t
tg_ffi_backend_turn(struct tg_vm *vm, int index)
{
	struct tg_plan_backend *backend = backend_of(vm, index);

	if (backend == NULL || vm->config.thread >= backend->state->cells_len)
		return 0;
	return backend->state->cells[vm->config.thread].turn++;
}

int
tg_ffi_backend_queued(struct tg_vm *vm, int index)
{
	struct tg_plan_backend *backend = backend_of(vm, index);

	return backend == NULL ? 0 : (int)atomic_load(&backend->state->queue.waiting);
}

int
tg_ffi_server_admin(
    struct tg_vm *vm, int backend_index, int server_index, int admin, const char *by, size_t len)
{
	struct tg_plan_backend *backend = backend_of(vm, backend_index);

	if (backend == NULL || server_index < 0 || (unsigned)server_index >= backend->count)
		return TG_FFI_MISSING;
	if (admin < TG_ADMIN_READY || admin > TG_ADMIN_DISABLED)
		return TG_FFI_INVALID;
	if (vm->config.server_admin == NULL) /* `tidegate check` */
		return TG_FFI_STATE;
	vm->config.server_admin(vm->config.server_arg, backend->state,
	    backend->servers[server_index].server, admin, (struct tg_str){ by, len });
	return 0;
}

int
tg_ffi_server_peer(struct tg_vm *vm, int backend, int server, int port, struct tg_str *out)
{
	struct tg_plan_server *entry = entry_of(backend_of(vm, backend), server);
	struct tg_addr *now = entry != NULL ? atomic_load(&entry->server->addr) : NULL;
	struct tg_addr addr;
	int len;

	if (now == NULL)
		return TG_FFI_MISSING;
	addr = *now;
	if (port > 0 && port <= UINT16_MAX && addr.sa.sa_family == AF_INET)
		addr.in.sin_port = htons((uint16_t)port);
	else if (port > 0 && port <= UINT16_MAX && addr.sa.sa_family == AF_INET6)
		addr.in6.sin6_port = htons((uint16_t)port);
	len = tg_addr_format(&addr, vm->peer, sizeof(vm->peer));
	if (len < 0)
		return TG_FFI_INVALID;
	*out = (struct tg_str){ vm->peer, (size_t)len };
	return len;
}

/* --- health: the control thread's VM only ------------------------------------------------- */

int
tg_ffi_server_probed(struct tg_vm *vm, int backend, int server, int good, int64_t took_ms,
    const char *reason, size_t len)
{
	struct tg_plan_server *entry = entry_of(backend_of(vm, backend), server);

	if (entry == NULL || vm->config.role != TG_VM_CONTROL)
		return 0;
	return tg_health_record(entry->server, good != 0, took_ms, (struct tg_str){ reason, len });
}

int
tg_ffi_server_turn(struct tg_vm *vm, int backend_index, int server, int up)
{
	struct tg_plan_backend *backend = backend_of(vm, backend_index);
	struct tg_plan_server *entry = entry_of(backend, server);

	if (entry == NULL)
		return TG_FFI_MISSING;
	if (vm->config.role != TG_VM_CONTROL)
		return TG_FFI_STATE;
	if (!entry->server->health.wanted || !tg_health_turn(entry->server, up != 0))
		return 0;
	atomic_fetch_add(&backend->state->epoch, 1);
	vm->config.server_health(vm->config.server_arg, backend->state, entry->server, up != 0);
	return 1;
}

int
tg_ffi_backend_open(struct tg_vm *vm, int index, int backup)
{
	struct tg_plan_backend *backend = backend_of(vm, index);
	int open = 0;

	for (unsigned i = 0; backend != NULL && i < backend->count; i++) {
		const struct tg_plan_server *entry = &backend->servers[i];

		open += (entry->options.backup != 0) == (backup != 0) &&
		    entry->options.weight > 0 && tg_server_open(entry->server);
	}
	return open;
}

/* --- logs and clocks ---------------------------------------------------------------------- */

void
tg_ffi_log(int level, const char *text, size_t len)
{
	if (level < TG_LOG_DEBUG || level > TG_LOG_ERROR)
		level = TG_LOG_INFO;
	tg_log((enum tg_log_level)level, "%.*s", (int)len, text);
}

int
tg_ffi_log_line(struct tg_vm *vm, int sink, int level, const char *line, size_t len)
{
	struct tg_plan *plan = vm->config.plan;

	if (sink < 0 || (unsigned)sink >= plan->sink_count)
		return TG_FFI_MISSING;
	if (level < TG_LOG_DEBUG || level > TG_LOG_ERROR)
		level = TG_LOG_INFO;
	return vm->config.log_line(&plan->sinks[sink], (enum tg_log_level)level, line, len) == 0
	    ? 0
	    : TG_FFI_MEMORY;
}

int64_t
tg_ffi_now(void)
{
	return (int64_t)(tg_clock_us() / 1000);
}

int64_t
tg_ffi_wall(void)
{
	return (int64_t)tg_clock_wall_ms();
}

const char *
tg_ffi_strerror(int code)
{
	switch (code) {
	case TG_FFI_ENDED:
		return "the request has ended";
	case TG_FFI_MEMORY:
		return "out of memory";
	case TG_FFI_INVALID:
		return "invalid";
	case TG_FFI_FORBIDDEN:
		return "not allowed: it belongs to the engine";
	case TG_FFI_TOO_LARGE:
		return "too large";
	case TG_FFI_STATE:
		return "not possible now";
	case TG_FFI_MISSING:
		return "not found";
	case TG_FFI_MISMATCH:
		return "differs between threads";
	case UV_ETIMEDOUT:
		return "timeout";
	case UV_EOF:
		return "closed";
	default:
		return uv_strerror(code);
	}
}

/* --- shared tables ------------------------------------------------------------------------ */

static bool
known(int table)
{
	return table >= 0 && table < TG_SHARED_TABLES;
}

int
tg_ffi_shared_open(struct tg_vm *vm, const char *name, size_t len)
{
	int table = tg_shared_open(vm->config.shared, (struct tg_str){ name, len });

	return table >= 0 ? table : TG_FFI_MEMORY;
}

int
tg_ffi_shared_bound(struct tg_vm *vm, int table, int64_t most)
{
	if (!known(table) || most < 1)
		return TG_FFI_INVALID;
	tg_shared_bound(vm->config.shared, table, (size_t)most);
	return 0;
}

int
tg_ffi_shared_get(struct tg_vm *vm, int table, const char *key, size_t key_len, struct tg_str *out)
{
	struct tg_str value;
	int code;

	if (!known(table))
		return TG_FFI_INVALID;
	code = tg_shared_get(vm->config.shared, table, (struct tg_str){ key, key_len }, &value);
	if (code != 0)
		return code > 0 ? TG_FFI_MISSING : TG_FFI_MEMORY;
	free(vm->shared_value);
	vm->shared_value = (char *)(uintptr_t)value.ptr;
	*out = value;
	return 0;
}

int
tg_ffi_shared_set(struct tg_vm *vm, int table, const char *key, size_t key_len, const char *value,
    size_t value_len, int64_t ttl_ms)
{
	if (!known(table))
		return TG_FFI_INVALID;
	return tg_shared_set(vm->config.shared, table, (struct tg_str){ key, key_len },
	           (struct tg_str){ value, value_len }, ttl_ms) == 0
	    ? 0
	    : TG_FFI_MEMORY;
}

int
tg_ffi_shared_delete(struct tg_vm *vm, int table, const char *key, size_t key_len)
{
	if (!known(table))
		return TG_FFI_INVALID;
	return tg_shared_delete(vm->config.shared, table, (struct tg_str){ key, key_len })
	    ? 0
	    : TG_FFI_MISSING;
}

int
tg_ffi_shared_incr(struct tg_vm *vm, int table, const char *key, size_t key_len, double by,
    double initial, int64_t ttl_ms, double *result)
{
	int code;

	if (!known(table))
		return TG_FFI_INVALID;
	code = tg_shared_incr(
	    vm->config.shared, table, (struct tg_str){ key, key_len }, by, initial, ttl_ms, result);
	return code == 0 ? 0 : code > 0 ? TG_FFI_INVALID : TG_FFI_MEMORY;
}
