#include "process/certificates.h"

#include "base/log.h"

enum { DAY_MS = 24 * 60 * 60 * 1000 };

static void
warn(void *arg, const char *text)
{
	(void)arg;
	tg_log(TG_LOG_WARNING, "%s", text);
}

static void
on_day(struct tg_timer *timer)
{
	struct tg_control *control = tg_container_of(timer, struct tg_control, expiry);
	const struct tg_plan *plan = control->plan;

	for (unsigned i = 0; plan != NULL && i < plan->tls_count; i++)
		tg_tls_context_warn(plan->tls[i], time(NULL), warn, NULL);
	tg_loop_timer_start(&control->loop, timer, DAY_MS);
}

void
tg_certificates_start(struct tg_control *control)
{
	tg_timer_init(&control->expiry, on_day);
	tg_loop_timer_start(&control->loop, &control->expiry, DAY_MS);
}

void
tg_certificates_stop(struct tg_control *control)
{
	tg_loop_timer_stop(&control->loop, &control->expiry);
}
