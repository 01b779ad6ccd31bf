/* The control thread: loads and checks configurations, runs health checks and timers in a VM of
 * its own, owns the workers, handles signals, reloads and the control socket.
 *
 * This header is the shared state of the files of process/; each file owns the part named in its
 * comment. Control thread only.
 */
#ifndef TG_PROCESS_CONTROL_H
#define TG_PROCESS_CONTROL_H

#include "policy/chunks.h"
#include "process/guard.h"
#include "process/pidfile.h"
#include "process/resolver.h"
#include "process/worker.h"

struct tg_control_options {
	const char *file;     /* absolute path of the configuration, or NULL: */
	const char *source;   /* its text */
	const char *scripts;  /* user's scripts directory, or NULL */
	const char *share;    /* holds the runtime and the shipped scripts */
	const char *control;  /* path of the control socket, or NULL: the configuration's */
	const char *pid_file; /* absolute path, or NULL: the configuration's */
	unsigned workers;     /* 0: the configuration's, else one per core */
	bool watch;           /* reload when a file changes */
	bool daemon;          /* leave the terminal; else the configuration's, but not if: */
	bool foreground;      /* stay, whatever the configuration says */
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
	struct tg_chunks chunks;
	struct tg_tls_files *tls_files;
	struct tg_tls_rings *tls_rings;
	struct tg_worker *workers;
	unsigned worker_count;
	struct tg_engines engines; /* of the workers */
	uint64_t started_ms;

	/* What runs now (reload.c). */
	struct tg_plan *plan;
	struct tg_vm *vm;
	struct tg_link old_vms; /* that wind up */
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
	struct tg_timer watchdog; /* the service manager's */
	bool threads;             /* there are workers, the logger and the guard */

	/* start.c */
	bool settled; /* the process is who it is to be */
	struct tg_pidfile pidfile;

	struct tg_timer expiry; /* certificates.c */

	struct tg_admin *admin;           /* admin.c */
	struct tg_file_watch *file_watch; /* file_watch.c */
};

/* Run until a signal ends it; the exit status of the process. */
int tg_control_run(const struct tg_control_options *options);

/* Load and check a configuration as tg_control_run would; errors go to standard error. 0, and what
 * the options left to the configuration is filled in; or 1. `trial`: see also what works as the
 * user that it names; the process is good for nothing else then. */
int tg_control_check(struct tg_control_options *options, bool trial);

/* Stop: let requests end (or end them at once), then leave tg_control_run. */
void tg_control_stop(struct tg_control *control, bool at_once);

/* How long a process with these options may take to stop, ms. */
static inline uint64_t
tg_patience(const struct tg_process_options *options)
{
	int64_t grace = options->grace_ms, tunnels = options->tunnel_grace_ms;

	return (uint64_t)(grace > tunnels ? grace : tunnels);
}

/* Start the logger, the workers and the guard. They have the credentials of the caller. */
void tg_control_start_threads(struct tg_control *control, uint64_t grace_ms);

/* Where the control socket is when nobody says; static memory. */
const char *tg_control_default_path(void);

#endif
