#include "policy/vm.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/chunks.h"
#include "policy/task.h"
#include "policy/timers.h"

extern const char tg_ffi_cdef[]; /* made by the build: base/view.h, proxy/view.h, policy/ffi.h */

static const char *const role_names[] = { "control", "worker", "check" };

/* --- loading ------------------------------------------------------------------------------ */

static void
set_string(lua_State *lua, const char *key, const char *value)
{
	if (value == NULL)
		return;
	lua_pushstring(lua, value);
	lua_setfield(lua, -2, key);
}

/* The argument of lua/tidegate/boot.lua. */
static void
push_arguments(struct tg_vm *vm, lua_State *lua)
{
	const struct tg_vm_config *config = &vm->config;

	lua_newtable(lua);
	lua_pushlightuserdata(lua, vm);
	lua_setfield(lua, -2, "vm");
	lua_pushlightuserdata(lua, &vm->call);
	lua_setfield(lua, -2, "call");
	lua_pushinteger(lua, (lua_Integer)config->thread);
	lua_setfield(lua, -2, "worker");
	set_string(lua, "cdef", tg_ffi_cdef);
	set_string(lua, "role", role_names[config->role]);
	set_string(lua, "file", config->file);
	set_string(lua, "source", config->source);
	set_string(lua, "scripts", config->scripts);
	set_string(lua, "share", config->share);
	tg_chunks_push(&config->chunks, lua);
	lua_setfield(lua, -2, "compile");
}

/* lua_pcall's message handler: an error while loading that boot.lua did not catch is a bug of
 * the runtime, so it comes with a traceback. */
static int
traceback(lua_State *lua)
{
	luaL_traceback(lua, lua, lua_tostring(lua, 1), 1);
	return 1;
}

static void
record_failure(struct tg_vm *vm, lua_State *lua)
{
	const char *text = lua_tostring(lua, -1);

	tg_ffi_plan_error(vm, text != NULL ? text : "?", text != NULL ? strlen(text) : 1);
}

/* Take the hook functions from the table that boot.lua has returned. */
static void
take_hooks(struct tg_vm *vm, lua_State *lua)
{
	for (int hook = 0; hook < TG_HOOK_COUNT; hook++) {
		lua_rawgeti(lua, -1, hook + 1);
		vm->hooks[hook] = luaL_ref(lua, LUA_REGISTRYINDEX);
	}
}

static const char incomplete[] =
    "this configuration is not the same in every thread: one declares less than another";

/* Under lua_cpcall: everything here may run out of memory. */
static int
boot(lua_State *lua)
{
	struct tg_vm *vm = lua_touserdata(lua, 1);
	char path[4096];

	luaL_openlibs(lua);
	lua_settop(lua, 0);
	lua_pushcfunction(lua, traceback);
	snprintf(path, sizeof(path), "%s/lua/tidegate/boot.lua", vm->config.share);
	if (luaL_loadfile(lua, path) != 0) {
		record_failure(vm, lua);
		return 0;
	}
	push_arguments(vm, lua);
	if (lua_pcall(lua, 1, 1, 1) != 0)
		record_failure(vm, lua);
	else if (lua_istable(lua, -1) && !tg_plan_complete(vm))
		tg_ffi_plan_error(vm, incomplete, sizeof(incomplete) - 1);
	else if (lua_istable(lua, -1))
		take_hooks(vm, lua);
	else if (!vm->failed)
		tg_ffi_plan_error(vm, "the configuration did not load", 30);
	return 0;
}

static void
run_boot(struct tg_vm *vm)
{
	if (lua_cpcall(vm->lua, boot, vm) != 0)
		record_failure(vm, vm->lua);
	lua_settop(vm->lua, 0);
}

static void
free_vm(struct tg_vm *vm)
{
	void (*on_closed)(void *) = vm->on_closed;
	void *arg = vm->on_closed_arg;

	tg_link_remove(&vm->winding);
	tg_tasks_free(vm);
	if (vm->lua != NULL)
		lua_close(vm->lua); /* finalizers may still look at the plan */
	tg_plan_put(vm->config.plan);
	tg_vm_changes_free(vm);
	free(vm->timers);
	for (int hook = 0; hook < TG_HOOK_COUNT; hook++)
		free(vm->wheres[hook].texts);
	free(vm->shared_value);
	vm->magic = 0;
	free(vm);
	if (on_closed != NULL)
		on_closed(arg);
}

struct tg_vm *
tg_vm_load(const struct tg_vm_config *config)
{
	struct tg_vm *vm = calloc(1, sizeof(*vm));

	if (vm == NULL)
		return NULL;
	vm->magic = TG_VM_MAGIC;
	vm->config = *config;
	tg_plan_get(vm->config.plan);
	tg_link_init(&vm->idle);
	tg_link_init(&vm->parked);
	tg_link_init(&vm->socks);
	tg_link_init(&vm->changes);
	tg_link_init(&vm->winding);
	vm->changes_timer = -1;
	vm->lua = luaL_newstate();
	if (vm->lua == NULL) {
		free_vm(vm);
		return NULL;
	}
	run_boot(vm);
	if (vm->failed) {
		free_vm(vm);
		return NULL;
	}
	vm->config.file = vm->config.source = vm->config.scripts = vm->config.share = NULL;
	vm->config.chunks = NULL; /* its scripts may load others when it runs elsewhere */
	return vm;
}

/* --- life --------------------------------------------------------------------------------- */

void
tg_vm_start(
    struct tg_vm *vm, struct tg_loop *loop, struct tg_engine *engine, struct tg_watch *watch)
{
	TG_CHECK(vm, TG_VM_MAGIC);
	vm->loop = loop;
	vm->engine = engine;
	vm->watch = watch;
	tg_vm_timers_start(vm);
}

void
tg_vm_retire(struct tg_vm *vm)
{
	TG_CHECK(vm, TG_VM_MAGIC);
	vm->retired = true;
	tg_vm_timers_stop(vm);
}

void
tg_vm_settled(struct tg_vm *vm)
{
	if (vm->closing && vm->tasks_open == 0)
		free_vm(vm);
}

void
tg_vm_close(struct tg_vm *vm, void (*on_closed)(void *arg), void *arg)
{
	TG_CHECK(vm, TG_VM_MAGIC);
	vm->on_closed = on_closed;
	vm->on_closed_arg = arg;
	if (vm->loop != NULL) {
		tg_vm_timers_stop(vm);
		while (!tg_list_empty(&vm->parked))
			tg_task_cancel(tg_container_of(vm->parked.next, struct tg_task, link));
	}
	vm->closing = true;
	tg_vm_settled(vm);
}

const char *
tg_vm_where(const struct tg_vm *vm, int hook, int index)
{
	unsigned place;

	if (hook == TG_HOOK_TIMER)
		return vm->timers[index].where;
	place = tg_wheres_place(index);
	if (place < vm->wheres[hook].count && vm->wheres[hook].texts[place] != NULL)
		return vm->wheres[hook].texts[place];
	return "shipped script";
}
