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

void tg_tasks_free(struct tg_vm *vm);

#endif
