#include "net/loop.h"

#include <stdlib.h>

enum { LOOP_MAGIC = 0x10090a11, KEEP_SMALL = 4096, KEEP_LARGE = 256 };

/* Let the tick fire at `when`, or not at all. */
static void
arm(struct tg_loop *loop, uint64_t when)
{
	uint64_t now = uv_now(&loop->uv);

	loop->armed = when;
	if (when == TG_WHEEL_NEVER)
		uv_timer_stop(&loop->tick);
	else
		uv_timer_start(&loop->tick, loop->tick.timer_cb, when > now ? when - now : 0, 0);
}

static void
on_tick(uv_timer_t *tick)
{
	struct tg_loop *loop = tick->data;

	tg_wheel_advance(&loop->wheel, uv_now(&loop->uv));
	arm(loop, tg_wheel_next(&loop->wheel));
}

/* What these defer in turn runs too. */
static void
run_deferred(struct tg_loop *loop)
{
	struct tg_link *link;

	while ((link = tg_list_pop_front(&loop->deferred)) != NULL) {
		struct tg_deferred *deferred = tg_container_of(link, struct tg_deferred, link);

		deferred->run(deferred);
	}
	uv_unref((uv_handle_t *)&loop->before_wait);
}

static void
on_before_wait(uv_prepare_t *prepare)
{
	run_deferred(prepare->data);
}

static void
on_after_wait(uv_check_t *check)
{
	struct tg_loop *loop = check->data;

	loop->turn++;
	run_deferred(loop);
}

void
tg_loop_defer(struct tg_loop *loop, struct tg_deferred *deferred)
{
	if (tg_link_linked(&deferred->link))
		return;
	tg_list_push_back(&loop->deferred, &deferred->link);
	uv_ref((uv_handle_t *)&loop->before_wait); /* or a loop that nothing else keeps would end */
}

int
tg_loop_init(struct tg_loop *loop)
{
	int err = uv_loop_init(&loop->uv);

	if (err != 0)
		return err;
	loop->magic = LOOP_MAGIC;
	loop->tls_buffers = NULL;
	loop->read_buffer = malloc(TG_READ_SIZE);
	if (loop->read_buffer == NULL) {
		uv_loop_close(&loop->uv);
		return UV_ENOMEM;
	}
	uv_timer_init(&loop->uv, &loop->tick);
	loop->tick.data = loop;
	loop->tick.timer_cb = on_tick;
	uv_unref((uv_handle_t *)&loop->tick);
	tg_link_init(&loop->deferred);
	uv_prepare_init(&loop->uv, &loop->before_wait);
	uv_check_init(&loop->uv, &loop->after_wait);
	loop->before_wait.data = loop->after_wait.data = loop;
	uv_prepare_start(&loop->before_wait, on_before_wait);
	uv_check_start(&loop->after_wait, on_after_wait);
	uv_unref((uv_handle_t *)&loop->before_wait);
	uv_unref((uv_handle_t *)&loop->after_wait);
	tg_wheel_init(&loop->wheel, uv_now(&loop->uv));
	loop->armed = TG_WHEEL_NEVER;
	tg_blocks_init(&loop->small, TG_SMALL_BLOCK, KEEP_SMALL);
	tg_blocks_init(&loop->large, TG_LARGE_BLOCK, KEEP_LARGE);
	return 0;
}

void
tg_loop_run(struct tg_loop *loop)
{
	TG_CHECK(loop, LOOP_MAGIC);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void
tg_loop_fini(struct tg_loop *loop)
{
	int err;

	TG_CHECK(loop, LOOP_MAGIC);
	tg_assert(tg_list_empty(&loop->deferred));
	uv_close((uv_handle_t *)&loop->tick, NULL);
	uv_close((uv_handle_t *)&loop->before_wait, NULL);
	uv_close((uv_handle_t *)&loop->after_wait, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	err = uv_loop_close(&loop->uv);
	tg_assert(err == 0);
	tg_blocks_fini(&loop->small);
	tg_blocks_fini(&loop->large);
	free(loop->read_buffer);
	free(loop->tls_buffers);
	loop->magic = 0;
}

void
tg_loop_timer_start(struct tg_loop *loop, struct tg_timer *timer, uint64_t delay)
{
	uint64_t now = uv_now(&loop->uv);

	/* The wheel's clock stands where the last tick left it; the delay counts from now. */
	tg_timer_start(&loop->wheel, timer, now - loop->wheel.now + delay);
	if (now + delay < loop->armed)
		arm(loop, now + delay);
}
