#include "process/guard.h"

#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "process/logger.h"

enum {
	LOOK_MS = 1000,
	AT_ONCE_MS = 3000, /* after SIGINT, or after the grace of SIGTERM */
	LEAVING_MS = 5000,
	FLUSH_MS = 500,
};

/* --- looking ------------------------------------------------------------------------------ */

static void
name_thread(const struct tg_guard *guard, unsigned i, char *text, size_t size)
{
	if (i + 1 < guard->count)
		snprintf(text, size, "worker %u", i);
	else
		snprintf(text, size, "the control thread");
}

/* A script that the thread entered before the last look and has not left holds up everything on
 * that thread. */
static void
look_at(struct tg_guard *guard, unsigned i)
{
	struct tg_guarded *guarded = &guard->guarded[i];
	unsigned entries = atomic_load_explicit(&guarded->watch->entries, memory_order_relaxed);
	const char *where = atomic_load_explicit(&guarded->watch->where, memory_order_acquire);
	char name[40];

	if (where == NULL || entries != guarded->entries)
		guarded->seconds = 0;
	else if (++guarded->seconds == 1 || guarded->seconds % 10 == 0) {
		name_thread(guard, i, name, sizeof(name));
		tg_log(TG_LOG_ERROR,
		    "%s has been in a script for over %u s, everything on it waits: "
		    "the function defined at %s",
		    name, guarded->seconds, where);
	}
	guarded->entries = entries;
}

static void
on_look(uv_timer_t *timer)
{
	struct tg_guard *guard = timer->data;
	bool stuck = false;

	for (unsigned i = 0; i < guard->count; i++) {
		look_at(guard, i);
		stuck |= guard->guarded[i].seconds > 0;
	}
	atomic_store(&guard->stuck, stuck);
}

/* --- the end of patience ------------------------------------------------------------------ */

static void
on_last(uv_timer_t *timer)
{
	struct tg_guard *guard = timer->data;
	int status = atomic_load(&guard->leaving);
	char name[40];

	for (unsigned i = 0; i < guard->count; i++) {
		const char *where = atomic_load(&guard->guarded[i].watch->where);

		if (where == NULL)
			continue;
		name_thread(guard, i, name, sizeof(name));
		tg_log(TG_LOG_ERROR, "%s does not come back from the script at %s", name, where);
	}
	if (status >= 0)
		tg_log(TG_LOG_NOTICE, "leaving without waiting for the last lookups or log lines");
	else
		tg_log(TG_LOG_ERROR, "cannot end in order: ending at once");
	tg_logger_flush(FLUSH_MS);
	_exit(status >= 0 ? status : 1);
}

/* The first to run out counts. */
static void
end_within(struct tg_guard *guard, uint64_t ms)
{
	uint64_t due = uv_now(&guard->loop) + ms;

	if (guard->patience != 0 && guard->patience <= due)
		return;
	guard->patience = due;
	uv_timer_start(&guard->last, on_last, ms, 0);
}

static void
on_signal(uv_signal_t *handle, int number)
{
	struct tg_guard *guard = handle->data;

	if (number == SIGTERM)
		end_within(guard, atomic_load(&guard->grace) + AT_ONCE_MS);
	else
		end_within(guard, ++guard->interrupts > 1 ? 0 : AT_ONCE_MS);
}

/* As in control.c; after this nobody listens for them, and what is left of the end is short. */
static void
stop_signals(struct tg_guard *guard)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	uv_close((uv_handle_t *)&guard->signals[0], NULL);
	uv_close((uv_handle_t *)&guard->signals[1], NULL);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
}

static void
on_wake(uv_async_t *async)
{
	struct tg_guard *guard = async->data;

	if (atomic_load(&guard->leaving) >= 0)
		end_within(guard, LEAVING_MS);
	if (!atomic_load(&guard->done))
		return;
	uv_close((uv_handle_t *)&guard->look, NULL);
	uv_close((uv_handle_t *)&guard->last, NULL);
	stop_signals(guard);
	uv_close((uv_handle_t *)&guard->wake, NULL);
}

/* --- life --------------------------------------------------------------------------------- */

static void
guard_main(void *arg)
{
	struct tg_guard *guard = arg;

	uv_run(&guard->loop, UV_RUN_DEFAULT);
}

int
tg_guard_start(struct tg_guard *guard, struct tg_guarded *guarded, unsigned count)
{
	static const int numbers[] = { SIGINT, SIGTERM };
	int err = uv_loop_init(&guard->loop);

	if (err != 0)
		return err;
	guard->guarded = guarded;
	guard->count = count;
	atomic_init(&guard->done, false);
	atomic_init(&guard->leaving, -1);
	atomic_init(&guard->stuck, false);
	uv_timer_init(&guard->loop, &guard->look);
	uv_timer_init(&guard->loop, &guard->last);
	guard->look.data = guard->last.data = guard->wake.data = guard;
	uv_timer_start(&guard->look, on_look, LOOK_MS, LOOK_MS);
	for (unsigned i = 0; i < 2; i++) {
		uv_signal_init(&guard->loop, &guard->signals[i]);
		guard->signals[i].data = guard;
		uv_signal_start(&guard->signals[i], on_signal, numbers[i]);
	}
	err = uv_async_init(&guard->loop, &guard->wake, on_wake);
	return err != 0 ? err : uv_thread_create(&guard->thread, guard_main, guard);
}

void
tg_guard_grace(struct tg_guard *guard, uint64_t ms)
{
	atomic_store(&guard->grace, ms);
}

bool
tg_guard_stuck(struct tg_guard *guard)
{
	return atomic_load(&guard->stuck);
}

void
tg_guard_leaving(struct tg_guard *guard, int status)
{
	atomic_store(&guard->leaving, status);
	uv_async_send(&guard->wake);
}

void
tg_guard_stop(struct tg_guard *guard)
{
	int err;

	atomic_store(&guard->done, true);
	uv_async_send(&guard->wake);
	uv_thread_join(&guard->thread);
	err = uv_loop_close(&guard->loop);
	tg_assert(err == 0);
}
