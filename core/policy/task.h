/* A task: one call of a hook, on a coroutine of its own, which may wait. Coroutines are pooled:
 * one that ended well is used again. Also the only place that resumes Lua.
 */
#ifndef TG_POLICY_TASK_H
#define TG_POLICY_TASK_H

#include "base/wheel.h"
#include "policy/vm.h"

struct tg_resolve;
struct tg_sock;

struct tg_task {
	uint32_t magic;
	struct tg_link link; /* in vm->idle or vm->parked */
	struct tg_vm *vm;
	lua_State *co;
	int ref;                    /* keeps co alive, in the registry */
	int hook;                   /* enum tg_hook */
	struct tg_req *req;         /* NULL for TG_HOOK_TIMER and TG_HOOK_CERTIFICATE */
	struct tg_certify *certify; /* for TG_HOOK_CERTIFICATE */
	int timer_index;            /* for TG_HOOK_TIMER */
	const char *where;          /* interned */
	struct tg_timer timer;      /* sleep, or the limit of the wait */
	struct tg_link socks;       /* tg_sock.in_task: closed at the end of the task */
	struct tg_sock *waits_for;  /* NULL: asleep */
};

/* Run a hook; vm->call holds its input. PARKED: `vm->parked` holds the task, and its end will
 * call tg_req_resume (or start the interval timer again). */
enum tg_hook_result tg_task_start(
    struct tg_vm *vm, int hook, int where_index, struct tg_req *req, struct tg_task **parked);

/* The same for TG_HOOK_CERTIFICATE, whose end will call tg_secured_certified. */
enum tg_hook_result tg_task_certify(
    struct tg_vm *vm, struct tg_certify *certify, struct tg_task **parked);

/* The wait is over: go on with this code and these bytes (valid during the call). */
void tg_task_wake(struct tg_task *task, int code, struct tg_str received);

/* Forget a parked task: its coroutine is dropped, its sockets are closed. */
void tg_task_cancel(struct tg_task *task);

/* Begin to run, and stop, the functions at intervals. */
void tg_vm_timers_start(struct tg_vm *vm);
void tg_vm_timers_stop(struct tg_vm *vm);

/* Is there a call of a timer's function that has not ended, or is about to begin? */
bool tg_vm_timers_busy(const struct tg_vm *vm);

void tg_tasks_free(struct tg_vm *vm);

struct tg_vm_timer {
	struct tg_timer timer;
	struct tg_vm *vm;
	int64_t first_ms, ms;     /* negative: asleep until it is woken */
	struct tg_server *server; /* that it checks; NULL: none. The plan holds it */
	const char *where;        /* of its function, interned */
	int index;
	bool running; /* a call has not ended yet */
};

struct tg_where {
	int hook, index;
	const char *text; /* interned */
};

#endif
