/* A virtual machine: one generation's scripts on one thread. C enters Lua here and nowhere else
 * (load, and run in task.c), always on a known lua_State and always protected.
 *
 * It is made on the control thread, with its configuration loaded, and then handed to the thread
 * that owns it (tg_vm_start): so a worker never pauses to load, and a configuration that fails in
 * any thread's VM is refused before any thread has changed. Rejected: loading on each worker and
 * voting, which stalls traffic for as long as scripts take to load.
 */
#ifndef TG_POLICY_VM_H
#define TG_POLICY_VM_H

#include <lua.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/log.h"
#include "base/view.h"
#include "net/loop.h"
#include "net/tls_context.h"
#include "policy/shared.h"
#include "proxy/hooks.h"
#include "proxy/registry.h"

#include "policy/ffi.h"

enum { TG_VM_MAGIC = 0x1a5e4 };

struct tg_chunks;
struct tg_engine;
struct tg_task;

enum tg_vm_role { TG_VM_CONTROL, TG_VM_WORKER, TG_VM_CHECK };

/* Which script a thread is in, for the guard (process/). Written by the owner only; the
 * text is interned. */
struct tg_watch {
	_Atomic(const char *) where; /* NULL: in no hook */
	atomic_uint entries;         /* moves with every hook entered */
};

static inline void
tg_watch_enter(struct tg_watch *watch, const char *where)
{
	unsigned entries = atomic_load_explicit(&watch->entries, memory_order_relaxed);

	atomic_store_explicit(&watch->entries, entries + 1, memory_order_relaxed);
	atomic_store_explicit(&watch->where, where, memory_order_release);
}

static inline void
tg_watch_leave(struct tg_watch *watch)
{
	atomic_store_explicit(&watch->where, NULL, memory_order_relaxed);
}

/* A line for a sink of the plan (process/). 0, or negative when it was dropped. */
typedef int (*tg_log_line_fn)(
    const struct tg_plan_sink *sink, enum tg_log_level level, const char *line, size_t len);

/* Can lines be written to that target? 0, or a negative errno. */
typedef int (*tg_log_check_fn)(struct tg_str target);

/* What is wrong with these names of a user and a group, and the remedy; NULL: nothing. */
typedef const char *(*tg_user_error_fn)(struct tg_str user, struct tg_str group);

/* A server was marked up or down (control thread): the others are to know (process/). */
typedef void (*tg_server_health_fn)(
    void *arg, struct tg_backend_state *backend, struct tg_server *server, bool up);

/* A script, on any thread, wants something of a server: enum tg_admin_state (process/). */
typedef void (*tg_server_admin_fn)(void *arg, struct tg_backend_state *backend,
    struct tg_server *server, int admin, struct tg_str by);

struct tg_vm_config {
	enum tg_vm_role role;
	unsigned thread;              /* index of the worker; control: number of workers */
	const char *file;             /* absolute path, or NULL: */
	const char *source;           /* text of the configuration */
	const char *scripts;          /* the user's directory, or NULL */
	const char *share;            /* holds lua/ and scripts/ */
	struct tg_plan *plan;         /* control: to be filled; worker: to be compared with */
	struct tg_registry *registry; /* control: known servers; worker: NULL */
	struct tg_shared *shared;
	struct tg_chunks *chunks;       /* what text compiles to; NULL: that is not kept */
	struct tg_tls_files *tls_files; /* control: what TLS reads; worker: not used */
	struct tg_tls_rings *tls_rings; /* the same of its ticket keys */
	const struct tg_plan
	    *before; /* control, while loading: its TLS goes on where it is the same; or NULL */
	tg_log_line_fn log_line;
	tg_log_check_fn log_check;
	tg_user_error_fn user_error; /* NULL: the process is what it was to become */
	tg_server_health_fn server_health;
	tg_server_admin_fn server_admin;
	void *server_arg;
};

struct tg_vm_timer; /* a function that runs at intervals */

/* Where the functions of one hook are defined: interned, or NULL. Of the things that they belong to those with an
 * index below 0 (hooks.c) lie between the others. */
struct tg_wheres {
	const char **texts;
	unsigned count;
};

static inline unsigned
tg_wheres_place(int index)
{
	return index < 0 ? 2 * (unsigned)(-1 - index) + 1 : 2 * (unsigned)index;
}

struct tg_vm {
	uint32_t magic;
	lua_State *lua;
	struct tg_call call;
	struct tg_vm_config config; /* strings are valid during the load only */
	int hooks[TG_HOOK_COUNT];   /* registry references of the hook functions */

	/* While it compares: how far it has come. */
	unsigned listeners_seen, backends_seen, sinks_seen, tls_seen;
	unsigned servers_seen, all_servers_seen; /* of the last backend; of all */
	bool failed;                             /* an error was recorded */

	/* From tg_vm_start on. */
	struct tg_loop *loop;
	struct tg_engine *engine; /* NULL on the control thread */
	struct tg_watch *watch;
	struct tg_link idle;     /* tasks with a coroutine to reuse */
	struct tg_link parked;   /* tasks that wait */
	struct tg_task *current; /* the one that runs */
	unsigned tasks_open;     /* tasks and sockets that still need the loop */
	bool retired;            /* timers run no more */
	bool winding_up;         /* see tg_vm_wind_up */
	bool closing;
	struct tg_link winding; /* in the list that tg_vm_wind_up was given */
	void (*on_closed)(void *arg);
	void *on_closed_arg;
	struct tg_link socks; /* all sockets */
	int next_sock;
	struct tg_vm_timer *timers;
	unsigned timer_count;
	struct tg_wheres wheres[TG_HOOK_COUNT];
	struct tg_link changes; /* see changes.c; the first one is being told if change_taken */
	bool change_taken;
	int changes_timer;           /* whose function tells them; -1: none does */
	char tls_error[1024];        /* of the last tg_ffi_plan_tls */
	char *shared_value;          /* of the last tg_ffi_shared_get */
	char peer[TG_ADDR_TEXT_MAX]; /* of the last tg_ffi_server_peer */
};

/* Load a configuration; the errors, if any, are in config->plan->errors. NULL: it failed. */
TG_MUST_USE struct tg_vm *tg_vm_load(const struct tg_vm_config *config);

/* The caller's thread owns the VM from now on: timers run, hooks may be called. */
void tg_vm_start(
    struct tg_vm *vm, struct tg_loop *loop, struct tg_engine *engine, struct tg_watch *watch);

/* Stop everything and free the VM, after which `on_closed` is called (perhaps at once). */
void tg_vm_close(struct tg_vm *vm, void (*on_closed)(void *arg), void *arg);

/* A task or socket has come to its end: frees a closing VM that was waiting for it. */
void tg_vm_settled(struct tg_vm *vm);

/* Control thread: what is wanted of the server has changed (process/), from `old_admin`, after it had
 * been in its state for `lasted_ms`. Scripts and the log are told soon. False: nobody is told. */
TG_MUST_USE bool tg_vm_changed(struct tg_vm *vm, const struct tg_server *server, int old_admin,
    int64_t lasted_ms, struct tg_str by);
void tg_vm_changes_free(struct tg_vm *vm);

/* Another configuration takes over: timers run no more, what waits goes on to its end. */
void tg_vm_retire(struct tg_vm *vm);

/* The same for the control thread's VM, which has no requests to wait for: functions at intervals are
 * cancelled, but health checks that run come to their result, and what sleepers (tg_ffi_timer_wake)
 * still have to tell is told. Then it closes itself; until then it is in `list`. */
void tg_vm_wind_up(struct tg_vm *vm, struct tg_link *list);

/* Did this VM declare all that the control thread's did? (What it declared was compared.) */
bool tg_plan_complete(const struct tg_vm *vm);

/* Where the function behind a hook is defined; "?" when unknown. */
const char *tg_vm_where(const struct tg_vm *vm, int hook, int index);

/* The hook table that runs Lua; generation->policy is the VM. */
extern const struct tg_hooks tg_policy_hooks;

#endif
