#include "policy/task.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/log.h"
#include "policy/sock.h"
#include "policy/timers.h"
#include "proxy/engine.h"
#include "proxy/req.h"
#include "proxy/secured.h"

enum { TASK_MAGIC = 0x7a58 };

static void on_timer(struct tg_timer *timer);

/* --- coroutines --------------------------------------------------------------------------- */

/* lua_cpcall: may run out of memory, and run a finalizer that raises. */
static int
new_coroutine(lua_State *lua)
{
	struct tg_task *task = lua_touserdata(lua, 1);

	task->co = lua_newthread(lua);
	task->ref = luaL_ref(lua, LUA_REGISTRYINDEX);
	return 0;
}

/* A task with a coroutine that is ready to run; NULL: out of memory. */
static struct tg_task *
take_task(struct tg_vm *vm)
{
	struct tg_link *link = tg_list_pop_front(&vm->idle);
	struct tg_task *task;

	if (link != NULL)
		return tg_container_of(link, struct tg_task, link);
	task = calloc(1, sizeof(*task));
	if (task == NULL)
		return NULL;
	task->magic = TASK_MAGIC;
	task->vm = vm;
	tg_link_init(&task->link);
	tg_link_init(&task->socks);
	tg_timer_init(&task->timer, on_timer);
	if (lua_cpcall(vm->lua, new_coroutine, task) == 0)
		return task;
	tg_log(TG_LOG_ERROR, "no coroutine for a script: %s", lua_tostring(vm->lua, -1));
	lua_pop(vm->lua, 1);
	free(task);
	return NULL;
}

static int
collect_all(lua_State *lua)
{
	lua_gc(lua, LUA_GCCOLLECT, 0);
	return 0;
}

/* Memory is out: LuaJIT does not look for garbage then, and the next script would fail too. */
static void
free_garbage(lua_State *lua)
{
	if (lua_cpcall(lua, collect_all, NULL) != 0)
		lua_pop(lua, 1);
}

/* The task is over. A coroutine that ended well serves again; one that failed or was dropped in
 * the middle cannot. */
static void
end_task(struct tg_task *task, bool reusable)
{
	struct tg_vm *vm = task->vm;

	tg_loop_timer_stop(vm->loop, &task->timer);
	tg_link_remove(&task->link);
	tg_socks_close(task);
	task->req = NULL;
	task->certify = NULL;
	task->waits_for = NULL;
	if (reusable) {
		lua_settop(task->co, 0);
		tg_list_push_front(&vm->idle, &task->link);
		return;
	}
	luaL_unref(vm->lua, LUA_REGISTRYINDEX, task->ref);
	if (lua_status(task->co) == LUA_ERRMEM)
		free_garbage(vm->lua);
	task->magic = 0;
	free(task);
}

void
tg_tasks_free(struct tg_vm *vm)
{
	struct tg_link *link;

	while ((link = tg_list_pop_front(&vm->idle)) != NULL)
		free(tg_container_of(
		    link, struct tg_task, link)); /* lua_close takes the coroutine */
}

/* --- entering Lua ------------------------------------------------------------------------- */

static const char *const hook_names[] = { "route", "pick", "response", "retry", "finish", "timer",
	"release", "accept", "certificate" };

static void
count_error(struct tg_vm *vm)
{
	if (vm->engine != NULL)
		tg_cell_add(&vm->engine->counters->hook_errors, 1);
}

/* lua_cpcall: the message and the traceback take memory, which may be what was missing. */
static int
log_error(lua_State *lua)
{
	struct tg_task *task = lua_touserdata(lua, 1);
	const char *text = lua_tostring(task->co, -1);

	if (text == NULL)
		text = lua_pushfstring(lua, "(the error is a %s, not a text)",
		    lua_typename(task->co, lua_type(task->co, -1)));
	luaL_traceback(lua, task->co, text, 0);
	tg_log(TG_LOG_ERROR, "script error in %s (%s): %s", hook_names[task->hook], task->where,
	    lua_tostring(lua, -1));
	return 0;
}

static void
report_error(struct tg_task *task)
{
	lua_State *lua = task->vm->lua;

	if (lua_cpcall(lua, log_error, task) != 0) {
		lua_pop(lua, 1);
		tg_log(TG_LOG_ERROR, "script error in %s (%s): out of memory",
		    hook_names[task->hook], task->where);
	}
	count_error(task->vm);
}

/* Begin what the coroutine has yielded for. 1: it is done already. */
static int
begin_wait(struct tg_task *task, int *code, struct tg_str *received)
{
	struct tg_call *call = &task->vm->call;
	int done = 0;

	task->waits_for = NULL;
	*received = TG_STR("");
	switch (call->wait) {
	case TG_WAIT_SLEEP:
		break;
	case TG_WAIT_CONNECT:
	case TG_WAIT_SECURE:
	case TG_WAIT_SEND:
	case TG_WAIT_BYTES:
	case TG_WAIT_LINE:
	case TG_WAIT_ALL:
		done = tg_sock_wait(task, code, received);
		break;
	default: /* coroutine.yield by a script, outside a coroutine of its own */
		*code = TG_FFI_STATE;
		return 1;
	}
	if (!done && (call->wait_ms > 0 || call->wait == TG_WAIT_SLEEP))
		tg_loop_timer_start(
		    task->vm->loop, &task->timer, call->wait_ms > 0 ? (uint64_t)call->wait_ms : 0);
	return done;
}

/* The one place where C enters Lua. On DONE the result is in vm->call and the task is still
 * there; on FAILED the error was reported. */
static enum tg_hook_result
resume(struct tg_task *task)
{
	struct tg_vm *vm = task->vm;
	struct tg_call *call = &vm->call;

	for (;;) {
		struct tg_str received;
		int status, code = 0;

		call->wait = TG_WAIT_NONE;
		call->next_ms = 0;
		vm->current = task;
		tg_watch_enter(vm->watch, task->where);
		status = lua_resume(task->co, 0);
		tg_watch_leave(vm->watch);
		vm->current = NULL;
		if (status == 0)
			return TG_HOOK_DONE;
		if (status != LUA_YIELD) {
			report_error(task);
			return TG_HOOK_FAILED;
		}
		lua_settop(task->co, 0);
		if (!begin_wait(task, &code, &received))
			return TG_HOOK_PARKED;
		call->code = code;
		call->received = received;
	}
}

/* What the hook has decided, from vm->call into the request. */
static void
collect(struct tg_task *task)
{
	const struct tg_call *call = &task->vm->call;
	struct tg_req *req = task->req;

	switch (task->hook) {
	case TG_HOOK_ROUTE:
		req->view.backend = call->result_backend;
		break;
	case TG_HOOK_PICK:
		req->view.server = call->result_server;
		req->bound = call->result_bound != 0;
		break;
	case TG_HOOK_RETRY:
		req->verdict = (uint8_t)call->verdict;
		break;
	case TG_HOOK_CERTIFICATE:
		if (call->result_certificate != NULL)
			task->certify->certificate =
			    tg_tls_certificate_get(call->result_certificate);
		break;
	default:
		break;
	}
}

/* The first run of a task whose owner is set. */
static enum tg_hook_result
start(struct tg_task *task, int hook, int where_index, struct tg_task **parked)
{
	struct tg_vm *vm = task->vm;
	enum tg_hook_result result;

	task->hook = hook;
	task->timer_index = where_index;
	task->where = tg_vm_where(vm, hook, where_index);
	lua_rawgeti(task->co, LUA_REGISTRYINDEX, vm->hooks[hook]);
	result = resume(task);
	if (result == TG_HOOK_PARKED) {
		tg_list_push_back(&vm->parked, &task->link);
		if (parked != NULL)
			*parked = task;
		return result;
	}
	if (result == TG_HOOK_DONE)
		collect(task);
	end_task(task, result == TG_HOOK_DONE);
	return result;
}

enum tg_hook_result
tg_task_start(
    struct tg_vm *vm, int hook, int where_index, struct tg_req *req, struct tg_task **parked)
{
	struct tg_task *task = take_task(vm);

	if (task == NULL)
		return TG_HOOK_FAILED;
	task->req = req;
	return start(task, hook, where_index, parked);
}

enum tg_hook_result
tg_task_certify(struct tg_vm *vm, struct tg_certify *certify, struct tg_task **parked)
{
	struct tg_task *task = take_task(vm);

	if (task == NULL)
		return TG_HOOK_FAILED;
	task->certify = certify;
	return start(task, TG_HOOK_CERTIFICATE, certify->listener, parked);
}

/* --- waiting ------------------------------------------------------------------------------ */

/* Another script that got hold of the coroutine may have resumed it meanwhile, to its end: then
 * there is nothing to go on with, and resuming a dead coroutine from C is undefined. */
static bool
still_waits(const struct tg_task *task)
{
	if (lua_status(task->co) == LUA_YIELD)
		return true;
	tg_log(TG_LOG_ERROR,
	    "script error in %s (%s): another script resumed its coroutine while it waited",
	    hook_names[task->hook], task->where);
	count_error(task->vm);
	return false;
}

void
tg_task_wake(struct tg_task *task, int code, struct tg_str received)
{
	struct tg_vm *vm = task->vm;
	struct tg_req *req = task->req;
	struct tg_certify *certify = task->certify;
	int timer = task->timer_index;
	enum tg_hook_result result;

	TG_CHECK(task, TASK_MAGIC);
	tg_loop_timer_stop(vm->loop, &task->timer);
	task->waits_for = NULL;
	vm->call.code = code;
	vm->call.received = received;
	result = still_waits(task) ? resume(task) : TG_HOOK_FAILED;
	if (result == TG_HOOK_PARKED)
		return;
	if (result == TG_HOOK_DONE)
		collect(task);
	end_task(task, result == TG_HOOK_DONE);
	if (req != NULL) {
		tg_req_resume(req, result);
	} else if (certify != NULL) {
		tg_secured_certified(certify);
	} else {
		tg_vm_timer_ended(&vm->timers[timer], result);
	}
}

static void
on_timer(struct tg_timer *timer)
{
	struct tg_task *task = tg_container_of(timer, struct tg_task, timer);
	struct tg_sock *sock = task->waits_for;

	TG_CHECK(task, TASK_MAGIC);
	if (sock == NULL) {
		tg_task_wake(task, 0, TG_STR(""));
		return;
	}
	tg_sock_abandon(sock);
	tg_task_wake(task, UV_ETIMEDOUT, tg_sock_partial(sock));
}

void
tg_task_cancel(struct tg_task *task)
{
	TG_CHECK(task, TASK_MAGIC);
	if (task->waits_for != NULL)
		tg_sock_abandon(task->waits_for);
	end_task(task, false);
}
