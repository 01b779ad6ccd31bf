#include "policy/timers.h"

#include "policy/task.h"
#include "proxy/server.h"

/* A call of the timer's function is over; on DONE it may have said when it wants the next. */
static void
restart(struct tg_vm_timer *timer, enum tg_hook_result result)
{
	struct tg_vm *vm = timer->vm;
	int64_t ms = timer->ms;

	timer->running = false;
	if (result == TG_HOOK_DONE && vm->call.next_ms != 0)
		ms = vm->call.next_ms;
	if (timer->server != NULL) {
		timer->server->health.running = false;
		timer->server->health.due_ms = (int64_t)tg_loop_now(vm->loop) + ms;
	}
	if (!vm->closing && !vm->retired && ms >= 0)
		tg_loop_timer_start(vm->loop, &timer->timer, (uint64_t)ms);
}

/* The VM may be gone after this. */
static void
check_wound_up(struct tg_vm *vm)
{
	if (vm->winding_up && !vm->closing && !tg_vm_timers_busy(vm))
		tg_vm_close(vm, NULL, NULL);
}

void
tg_vm_timer_ended(struct tg_vm_timer *timer, enum tg_hook_result result)
{
	restart(timer, result);
	check_wound_up(timer->vm);
}

static void
on_interval(struct tg_timer *link)
{
	struct tg_vm_timer *timer = tg_container_of(link, struct tg_vm_timer, timer);
	struct tg_vm *vm = timer->vm;
	enum tg_hook_result result;

	/* A check that an older configuration has begun: it takes longer than the interval. */
	if (timer->server != NULL && timer->server->health.running) {
		tg_loop_timer_start(vm->loop, link, (uint64_t)timer->ms);
		return;
	}
	vm->call.timer = timer->index;
	timer->running = true;
	if (timer->server != NULL)
		timer->server->health.running = true;
	result = tg_task_start(vm, TG_HOOK_TIMER, timer->index, NULL, NULL);
	if (result == TG_HOOK_PARKED)
		return;
	tg_vm_timer_ended(timer, result);
}

/* When a timer is called first. The check of a server that was checked before comes when it was
 * due anyhow: so reloads neither keep it away nor bring all checks at once. Those that are overdue
 * come one a millisecond. One that the last configuration has begun comes to its result. */
static int64_t
first_ms(const struct tg_vm_timer *timer, int64_t now, unsigned *overdue)
{
	int64_t due = timer->server != NULL ? timer->server->health.due_ms : 0;

	if (timer->server != NULL && timer->server->health.running)
		return timer->ms;
	if (due == 0)
		return timer->first_ms;
	if (due <= now)
		return (*overdue)++;
	return due - now < timer->ms ? due - now : timer->ms;
}

int
tg_ffi_timer_wake(struct tg_vm *vm, int index)
{
	struct tg_vm_timer *timer;

	if (index < 0 || (unsigned)index >= vm->timer_count)
		return TG_FFI_MISSING;
	timer = &vm->timers[index];
	if (vm->loop == NULL || vm->closing || (vm->retired && !vm->winding_up))
		return TG_FFI_STATE;
	if (!timer->running && !tg_timer_active(&timer->timer))
		tg_loop_timer_start(vm->loop, &timer->timer, 0);
	return 0;
}

void
tg_vm_timers_start(struct tg_vm *vm)
{
	int64_t now = (int64_t)tg_loop_now(vm->loop);
	unsigned overdue = 0;

	for (unsigned i = 0; i < vm->timer_count; i++) {
		struct tg_vm_timer *timer = &vm->timers[i];
		int64_t first = first_ms(timer, now, &overdue);

		timer->vm = vm;
		tg_timer_init(&timer->timer, on_interval);
		if (first >= 0)
			tg_loop_timer_start(vm->loop, &timer->timer, (uint64_t)first);
	}
}

bool
tg_vm_timers_busy(const struct tg_vm *vm)
{
	for (unsigned i = 0; i < vm->timer_count; i++)
		if (vm->timers[i].running || tg_timer_active(&vm->timers[i].timer))
			return true;
	return false;
}

/* A function at intervals, neither a check nor a sleeper. */
static bool
is_interval(const struct tg_vm_timer *timer)
{
	return timer->server == NULL && timer->ms >= 0;
}

/* Sleepers have been woken for something: they may still tell it. */
static void
stop_all_but_sleepers(struct tg_vm *vm)
{
	struct tg_link *link, *next;

	for (unsigned i = 0; i < vm->timer_count; i++)
		if (vm->timers[i].ms >= 0)
			tg_loop_timer_stop(vm->loop, &vm->timers[i].timer);
	for (link = vm->parked.next; link != &vm->parked; link = next) {
		struct tg_task *task = tg_container_of(link, struct tg_task, link);

		next = link->next;
		if (is_interval(&vm->timers[task->timer_index])) {
			vm->timers[task->timer_index].running = false;
			tg_task_cancel(task);
		}
	}
}

void
tg_vm_wind_up(struct tg_vm *vm, struct tg_link *list)
{
	TG_CHECK(vm, TG_VM_MAGIC);
	vm->retired = vm->winding_up = true;
	tg_list_push_back(list, &vm->winding);
	stop_all_but_sleepers(vm);
	check_wound_up(vm);
}

void
tg_vm_timers_stop(struct tg_vm *vm)
{
	for (unsigned i = 0; i < vm->timer_count; i++)
		tg_loop_timer_stop(vm->loop, &vm->timers[i].timer);
}
