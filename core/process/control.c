#include "process/control.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "process/admin.h"
#include "process/certificates.h"
#include "process/daemon.h"
#include "process/file_watch.h"
#include "process/logger.h"
#include "process/notify.h"
#include "process/privileges.h"
#include "process/reload.h"
#include "process/start.h"

const char *
tg_control_default_path(void)
{
	static char path[256];
	const char *service = getenv("RUNTIME_DIRECTORY"), *directory = getenv("XDG_RUNTIME_DIR");

	if (service != NULL && service[0] == '/') /* systemd's; the first of perhaps several */
		snprintf(
		    path, sizeof(path), "%.*s/tidegate.sock", (int)strcspn(service, ":"), service);
	else if (geteuid() == 0)
		snprintf(path, sizeof(path), "/run/tidegate/tidegate.sock");
	else if (directory != NULL && directory[0] == '/')
		snprintf(path, sizeof(path), "%s/tidegate.sock", directory);
	else
		snprintf(path, sizeof(path), "/tmp/tidegate-%u.sock", (unsigned)geteuid());
	return path;
}

/* --- what outlives configurations ----------------------------------------------------------- */

static void
init_known(struct tg_control *control, unsigned workers)
{
	tg_registry_init(&control->registry, workers);
	control->shared = tg_shared_new();
	control->chunks.first = NULL;
	control->tls_files = tg_tls_files_new();
	control->tls_rings = tg_tls_rings_new();
	tg_assert(
	    control->shared != NULL && control->tls_files != NULL && control->tls_rings != NULL);
}

static void
fini_known(struct tg_control *control)
{
	tg_registry_fini(&control->registry);
	tg_shared_free(control->shared);
	tg_chunks_fini(&control->chunks);
	tg_tls_files_free(control->tls_files);
	tg_tls_rings_free(control->tls_rings);
}

/* --- check -------------------------------------------------------------------------------- */

static struct tg_vm *
load(const struct tg_control_options *options, enum tg_vm_role role, struct tg_plan *plan,
    struct tg_control *known)
{
	struct tg_vm_config config = {
		.role = role,
		.thread = role == TG_VM_WORKER ? 0 : 1,
		.file = options->file,
		.source = options->source,
		.scripts = options->scripts,
		.share = options->share,
		.plan = plan,
		.registry = &known->registry,
		.shared = known->shared,
		.chunks = &known->chunks,
		.tls_files = known->tls_files,
		.tls_rings = known->tls_rings,
		.log_line = tg_logger_line,
		.log_check = tg_logger_check,
		.user_error = tg_identity_error,
	};

	return tg_vm_load(&config);
}

static void
fill_in(struct tg_control_options *options, const struct tg_plan *plan)
{
	if (options->workers == 0)
		options->workers = (unsigned)plan->process.workers;
	options->daemon = !options->foreground && (options->daemon || plan->process.daemon);
}

int
tg_control_check(struct tg_control_options *options, bool trial)
{
	struct tg_control known; /* only what a load needs */
	struct tg_plan *plan = tg_plan_new(2);
	struct tg_vm *check, *worker = NULL;
	int status;

	init_known(&known, 1);
	tg_assert(plan != NULL);
	check = load(options, TG_VM_CHECK, plan, &known);
	if (check != NULL)
		worker = load(options, TG_VM_WORKER, plan, &known);
	status = check != NULL && worker != NULL ? 0 : 1;
	fill_in(options, plan);
	if (status == 0 && trial && !tg_start_try(options, plan))
		status = 1;
	for (unsigned i = 0; i < plan->error_count; i++)
		fprintf(stderr, "%s\n", plan->errors[i].ptr);
	for (unsigned i = 0; trial && i < plan->warning_count; i++) /* a run says them itself */
		fprintf(stderr, "warning: %s\n", plan->warnings[i].ptr);
	if (check != NULL)
		tg_vm_close(check, NULL, NULL);
	if (worker != NULL)
		tg_vm_close(worker, NULL, NULL);
	tg_plan_put(plan);
	fini_known(&known);
	return status;
}

/* --- workers ------------------------------------------------------------------------------ */

static void
on_switched(struct tg_worker *worker, void *arg)
{
	(void)worker;
	tg_reload_switched(arg);
}

/* Everything has ended: close what keeps the loop running. */
static void
leave(struct tg_control *control)
{
	if (control->threads)
		tg_guard_leaving(&control->guard, control->exit_status);
	tg_resolver_stop(&control->resolver);
	tg_file_watch_stop(control);
	tg_certificates_stop(control);
	tg_admin_stop(control);
	tg_reload_fini(control);
	tg_loop_timer_stop(&control->loop, &control->grace);
	tg_loop_timer_stop(&control->loop, &control->watchdog);
	for (unsigned w = 0; control->threads && w < control->worker_count; w++)
		tg_worker_join(&control->workers[w]);
	tg_mailbox_close(&control->mailbox);
}

static void
on_worker_done(struct tg_worker *worker, void *arg)
{
	struct tg_control *control = arg;

	(void)worker;
	if (++control->workers_done == control->worker_count)
		leave(control);
}

static int
start_workers(struct tg_control *control)
{
	control->workers = calloc(control->worker_count, sizeof(*control->workers));
	control->guarded = calloc(control->worker_count + 1, sizeof(*control->guarded));
	tg_assert(control->workers != NULL && control->guarded != NULL);
	control->guarded[control->worker_count].watch = &control->watch;
	for (unsigned w = 0; w < control->worker_count; w++) {
		struct tg_worker *worker = &control->workers[w];
		int err;

		control->guarded[w].watch = &worker->watch;
		worker->on_switched = on_switched;
		worker->on_done = on_worker_done;
		worker->arg = control;
		err = tg_worker_start(worker, w, &control->engines, &control->mailbox);
		if (err != 0) {
			fprintf(stderr, "tidegate: cannot start a worker: %s\n", uv_strerror(err));
			return err;
		}
	}
	return 0;
}

/* --- signals ------------------------------------------------------------------------------ */

/* How long requests may run once we are asked to stop, ms. */
static uint64_t
grace_of(const struct tg_control *control)
{
	return control->plan != NULL ? (uint64_t)control->plan->process.grace_ms : 0;
}

/* The same of tunnels. */
static uint64_t
tunnel_grace_of(const struct tg_control *control)
{
	return control->plan != NULL ? (uint64_t)control->plan->process.tunnel_grace_ms : 0;
}

static void
finish_workers(struct tg_control *control, enum tg_finish how)
{
	if (control->workers_done < control->worker_count)
		for (unsigned w = 0; w < control->worker_count; w++)
			tg_worker_finish(&control->workers[w], how);
}

/* Of the tunnels each worker takes care itself, where they have longer. */
static void
on_grace(struct tg_timer *timer)
{
	struct tg_control *control = tg_container_of(timer, struct tg_control, grace);
	uint64_t grace = grace_of(control);

	if (grace > 0)
		tg_log(TG_LOG_WARNING, "requests still run after %g s: ending them",
		    (double)grace / 1000);
	finish_workers(
	    control, tunnel_grace_of(control) > grace ? TG_FINISH_REQUESTS : TG_FINISH_ALL);
}

void
tg_control_stop(struct tg_control *control, bool at_once)
{
	bool first = !control->stopping;
	uint64_t grace = grace_of(control);

	control->stopping = true;
	at_once = at_once || (grace == 0 && tunnel_grace_of(control) == 0);
	if (!first && !at_once)
		return;
	if (first)
		tg_notify_stopping(at_once ? 0 : tg_patience(&control->plan->process));
	tg_reload_drop(control);
	if (!control->threads) { /* the start has failed */
		leave(control);
		return;
	}
	if (first && !at_once)
		tg_loop_timer_start(&control->loop, &control->grace, grace);
	finish_workers(control, at_once ? TG_FINISH_ALL : TG_FINISH_DRAIN);
}

static void
on_signal(uv_signal_t *handle, int number)
{
	struct tg_control *control = handle->data;

	switch (number) {
	case SIGHUP:
		tg_reload_start(control, NULL, NULL);
		break;
	case SIGUSR1:
		tg_logger_reopen();
		break;
	case SIGTERM:
		if (!control->stopping)
			tg_log(TG_LOG_NOTICE, "stopping: running requests may end, within %g s",
			    (double)grace_of(control) / 1000);
		tg_control_stop(control, false);
		break;
	default:
		tg_log(TG_LOG_NOTICE, "stopping at once");
		tg_control_stop(control, true);
		break;
	}
}

static void
start_signals(struct tg_control *control)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1 };

	signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < 4; i++) {
		uv_signal_init(&control->loop.uv, &control->signals[i]);
		control->signals[i].data = control;
		uv_signal_start(&control->signals[i], on_signal, numbers[i]);
		uv_unref((uv_handle_t *)&control->signals[i]);
	}
}

/* libuv gives the signals back to the system's defaults: one that comes while we tidy up must not
 * turn an orderly end into a violent one. */
static void
stop_signals(struct tg_control *control)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	for (unsigned i = 0; i < 4; i++)
		uv_close((uv_handle_t *)&control->signals[i], NULL);
}

/* --- run ---------------------------------------------------------------------------------- */

static void
on_watchdog(struct tg_timer *timer)
{
	struct tg_control *control = tg_container_of(timer, struct tg_control, watchdog);

	/* This thread lives, or it would not be here; a worker that does not is a dead one too. */
	if (!tg_guard_stuck(&control->guard))
		tg_notify_alive();
	tg_loop_timer_start(&control->loop, timer, tg_notify_watchdog_ms() / 2);
}

void
tg_control_start_threads(struct tg_control *control, uint64_t grace_ms)
{
	tg_guard_grace(&control->guard, grace_ms);
	if (tg_logger_start() != 0 || start_workers(control) != 0 ||
	    tg_guard_start(&control->guard, control->guarded, control->worker_count + 1) != 0) {
		fprintf(stderr, "tidegate: cannot start: out of memory or threads\n");
		_exit(1); /* threads may run: no orderly way out is worth having here */
	}
	control->threads = true;
	start_signals(control);
	if (tg_notify_watchdog_ms() > 0)
		on_watchdog(&control->watchdog);
}

static void
fini(struct tg_control *control)
{
	if (control->threads)
		stop_signals(control);
	tg_loop_fini(&control->loop);
	fini_known(control);
	tg_logger_stop();
	if (control->threads)
		tg_guard_stop(&control->guard);
	tg_pidfile_close(&control->pidfile);
	free(control->workers);
	free(control->guarded);
}

int
tg_control_run(const struct tg_control_options *options)
{
	struct tg_control control = { .options = *options, .pidfile.fd = -1 };
	int status, err;

	tg_notify_open();
	err = options->daemon ? tg_daemon_start() : 0;
	if (err != 0) {
		fprintf(stderr, "tidegate: cannot leave the terminal: %s\n", strerror(-err));
		return 1;
	}
	/* Scripts ask for local times. Without TZ the C library would look at the file each time, in a
	 * chroot in vain. */
	setenv("TZ", ":/etc/localtime", 0);
	tzset(); /* before there are threads */
	control.worker_count =
	    options->workers > 0 ? options->workers : (unsigned)uv_available_parallelism();
	if (control.worker_count > TG_WORKERS_MAX)
		control.worker_count = TG_WORKERS_MAX;
	control.started_ms = tg_clock_us() / 1000;
	init_known(&control, control.worker_count);
	if (tg_loop_init(&control.loop) != 0 ||
	    tg_mailbox_open(&control.mailbox, &control.loop.uv, &control) != 0) {
		fprintf(stderr, "tidegate: cannot start: out of memory\n");
		return 1;
	}
	tg_link_init(&control.old_vms);
	tg_timer_init(&control.grace, on_grace);
	tg_timer_init(&control.watchdog, on_watchdog);
	tg_resolver_init(&control.resolver, &control.loop, &control.registry);
	tg_certificates_start(&control);
	tg_reload_start(&control, NULL, NULL);
	tg_loop_run(&control.loop);
	status = control.exit_status;
	fini(&control);
	return status;
}
