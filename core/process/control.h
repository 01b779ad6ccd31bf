/* The control thread: loads and checks configurations, runs health checks and timers in a VM of
 * its own, owns the workers, handles signals, reloads and the control socket.
 *
 * This header is the shared state of the files of process/; each file owns the part named in its
 * comment. Control thread only.
 */
#ifndef TG_PROCESS_CONTROL_H
#define TG_PROCESS_CONTROL_H

#include "process/guard.h"
#include "process/resolver.h"
#include "process/worker.h"

struct tg_control_options {
	const char *file;    /* absolute path of the configuration, or NULL: */
	const char *source;  /* its text */
	const char *scripts; /* user's scripts directory, or NULL */
	const char *control; /* path of the control socket, or NULL: the configuration's */
	unsigned workers;    /* 0: the configuration's, else one per core */
	bool watch;          /* reload when a file changes */
};

struct tg_admin;
struct tg_file_watch;
struct tg_reload;

struct tg_control {
	struct tg_control_options options;
	struct tg_loop loop;
	struct tg_mailbox mailbox;
	struct tg_registry registry;
	struct tg_resolver resolver;
	struct tg_shared *shared;
	struct tg_worker *workers;
	unsigned worker_count;
	struct tg_engines engines; /* of the workers */
	uint64_t started_ms;

	/* What runs now (reload.c). */
	struct tg_plan *plan;
	struct tg_vm *vm;
	struct tg_watch watch;
	unsigned generations;
	uint64_t reloads_good, reloads_bad;
	struct tg_reload *reload; /* in progress; NULL: none */

	/* control.c */
	uv_signal_t signals[4];
	struct tg_timer grace;
	struct tg_guard guard;
	struct tg_guarded *guarded; /* workers, then this thread */
	bool stopping;
	unsigned workers_done;
	int exit_status;

	struct tg_admin *admin;           /* admin.c */
	struct tg_file_watch *file_watch; /* file_watch.c */
};

/* Run until a signal ends it; the exit status of the process. */
int tg_control_run(const struct tg_control_options *options);

/* Load and check a configuration as tg_control_run would; errors go to standard error. 0 or 1,
 * and the number of workers that it asks for (0: one per core) in *workers. */
int tg_control_check(const struct tg_control_options *options, unsigned *workers);

/* Stop: let requests end (or end them at once), then leave tg_control_run. */
void tg_control_stop(struct tg_control *control, bool at_once);

/* Where the control socket is when nobody says; static memory. */
const char *tg_control_default_path(void);

#endif
