/* Functions at intervals: those given to tide.every, checks, and sleepers, which run when they are woken. Each
 * call is a task (task.h), and the next is counted from its end.
 */
#ifndef TG_POLICY_TIMERS_H
#define TG_POLICY_TIMERS_H

#include "base/wheel.h"
#include "policy/vm.h"

struct tg_server;

struct tg_vm_timer {
	struct tg_timer timer;
	struct tg_vm *vm;
	int64_t first_ms, ms;     /* negative: asleep until it is woken */
	struct tg_server *server; /* that it checks; NULL: none. The plan holds it */
	const char *where;        /* of its function, interned */
	int index;
	bool running; /* a call has not ended yet */
};

/* Begin to run them, and stop. */
void tg_vm_timers_start(struct tg_vm *vm);
void tg_vm_timers_stop(struct tg_vm *vm);

/* Is there a call that has not ended, or is about to begin? */
bool tg_vm_timers_busy(const struct tg_vm *vm);

/* A call is over, with that result; on DONE vm->call may say when the next is wanted. The VM may be gone
 * after this. */
void tg_vm_timer_ended(struct tg_vm_timer *timer, enum tg_hook_result result);

#endif
