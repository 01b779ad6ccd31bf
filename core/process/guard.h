/* A thread that waits for nobody and only looks: it names scripts that hold up their thread, and
 * ends the process when the orderly way out is blocked. A loop in compiled Lua cannot be
 * interrupted (it runs no hook of LuaJIT's), so without this thread a script that never returns
 * would leave SIGKILL as the only way to stop.
 */
#ifndef TG_PROCESS_GUARD_H
#define TG_PROCESS_GUARD_H

#include <stdatomic.h>
#include <uv.h>

#include "policy/vm.h"

/* A thread that runs scripts. */
struct tg_guarded {
	struct tg_watch *watch;
	unsigned entries; /* of `watch`, at the last look */
	unsigned seconds; /* how long it has been in the same script */
};

struct tg_guard {
	uv_thread_t thread;
	uv_loop_t loop;
	uv_timer_t look, last; /* `last`: the end of all patience */
	uv_signal_t signals[2];
	uv_async_t wake;
	atomic_bool done;       /* any thread */
	atomic_int leaving;     /* any thread: the exit status; -1: not yet */
	atomic_bool stuck;      /* any thread: some thread does not come out of a script */
	_Atomic uint64_t grace; /* any thread: ms that SIGTERM lets requests run */
	uint64_t patience;      /* when `last` is due, ms of this loop; 0: never */
	unsigned interrupts;    /* SIGINTs so far */
	unsigned count;
	struct tg_guarded *guarded; /* workers, then the control thread */
};

/* Start the thread; call tg_guard_grace before. Takes SIGINT and SIGTERM beside whoever else does. 0 or negative. */
TG_MUST_USE int tg_guard_start(struct tg_guard *guard, struct tg_guarded *guarded, unsigned count);

/* From now on SIGTERM lets requests run for so long. Any thread. */
void tg_guard_grace(struct tg_guard *guard, uint64_t ms);

/* Is some thread in the same script as a second ago, or longer? Any thread. */
bool tg_guard_stuck(struct tg_guard *guard);

/* All requests have ended; what remains (lookups that cannot be cancelled, the last log lines)
 * has a few seconds before the process ends with `status` all the same. */
void tg_guard_leaving(struct tg_guard *guard, int status);

/* End the thread, after everything else. */
void tg_guard_stop(struct tg_guard *guard);

#endif
