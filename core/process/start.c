#include "process/start.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "process/admin.h"
#include "process/daemon.h"
#include "process/logger.h"
#include "process/notify.h"
#include "process/privileges.h"

enum { TEXT_MAX = 1024, FLUSH_MS = 500 };

/* An error of the configuration, at the line of tide.process where there is one. */
static bool __attribute__((format(printf, 2, 3)))
refuse(struct tg_plan *plan, const char *format, ...)
{
	const struct tg_str where = plan->process.where;
	char text[TEXT_MAX];
	size_t len = 0;
	va_list args;

	if (where.len > 0)
		len = (size_t)snprintf(text, sizeof(text) / 2, "%s: tide.process: ", where.ptr);
	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses va_start */
	vsnprintf(text + len, sizeof(text) - len, format, args);
	va_end(args);
	if (tg_plan_add_text(&plan->errors, &plan->error_count, tg_str_of(text)) < 0)
		tg_log(TG_LOG_ERROR, "%s", text);
	return false;
}

/* --- files that are made by who starts us ------------------------------------------------- */

static bool
make_pidfile(struct tg_control *control, struct tg_plan *plan)
{
	const char *path = control->options.pid_file;
	char problem[TEXT_MAX];

	if (path == NULL && plan->process.pid_file.len > 0)
		path = plan->process.pid_file.ptr;
	if (path == NULL || tg_pidfile_open(&control->pidfile, path, problem, sizeof(problem)) == 0)
		return true;
	return refuse(plan, "%s", problem);
}

/* A path in static memory that stays what it is when the working directory changes. */
static const char *
make_absolute(const char *path)
{
	static char whole[PATH_MAX + 256];
	char here[PATH_MAX];

	if (path[0] == '/' || getcwd(here, sizeof(here)) == NULL)
		return path;
	snprintf(whole, sizeof(whole), "%s/%s", strcmp(here, "/") == 0 ? "" : here, path);
	return whole;
}

/* The default directory goes with every boot. It is the user's, who removes the socket (and perhaps
 * the pid file) at the end. */
static void
make_directory_of(const char *path, const struct tg_identity *identity)
{
	char directory[PATH_MAX];
	size_t len = (size_t)(strrchr(path, '/') - path);

	if (len == 0 || len >= sizeof(directory))
		return;
	memcpy(directory, path, len);
	directory[len] = '\0';
	if (mkdir(directory, 0755) == 0 && identity->wanted)
		(void)!lchown(directory, identity->uid, identity->gid);
}

/* One that was asked for must be there; the default one may be another Tidegate's. */
static bool
make_control_socket(struct tg_control *control, struct tg_plan *plan, const char *asked)
{
	const char *path = make_absolute(asked != NULL ? asked : tg_control_default_path());
	int err = tg_admin_start(control, path);

	if (err == 0)
		return true;
	if (asked != NULL)
		return refuse(plan, "no control socket at %s: %s", path, uv_strerror(err));
	tg_log(TG_LOG_WARNING,
	    "no control socket at %s: %s; reload with SIGHUP, or name another with --control PATH",
	    path, uv_strerror(err));
	return true;
}

/* The pid file first: who is refused by it has touched nothing. */
static bool
make_files(struct tg_control *control, struct tg_plan *plan, const struct tg_identity *identity)
{
	const char *asked = control->options.control;

	if (asked == NULL && plan->process.control.len > 0)
		asked = plan->process.control.ptr;
	if (asked == NULL)
		make_directory_of(tg_control_default_path(), identity);
	return make_pidfile(control, plan) && make_control_socket(control, plan, asked);
}

/* --- another user, another root ----------------------------------------------------------- */

/* What `path` is called inside `root`; NULL: it is not in there, or there is none. */
static const char *
inside(const char *root, const char *path)
{
	size_t len = strlen(root);

	if (path == NULL)
		return NULL;
	while (len > 0 && root[len - 1] == '/')
		len--;
	return strncmp(path, root, len) == 0 && path[len] == '/' ? path + len : NULL;
}

/* A path that is needed again: by its name in there, if it has one. */
static const char *
rebased(const char *root, const char *path)
{
	const char *there = inside(root, path);

	return there != NULL ? there : path;
}

static void
rebase_options(struct tg_control_options *options, const char *root)
{
	options->file = rebased(root, options->file);
	options->scripts = rebased(root, options->scripts);
	options->share = rebased(root, options->share);
}

/* The files that were read (--watch looks at them). */
static void
rebase_files(struct tg_plan *plan, const char *root)
{
	for (unsigned i = 0; i < plan->file_count; i++) {
		char *path = (char *)(uintptr_t)plan->files[i].ptr;
		const char *there = inside(root, path);

		if (there == NULL)
			continue;
		plan->files[i].len = strlen(there);
		memmove(path, there, plan->files[i].len + 1);
	}
}

static const char *
who(const struct tg_plan *plan)
{
	if (plan->process.user.len > 0)
		return plan->process.user.ptr;
	return plan->process.group.len > 0 ? plan->process.group.ptr : "root";
}

/* --- what will not work any more ---------------------------------------------------------- */

static void
warn_of_reload(const struct tg_plan *plan, const char *path)
{
	const struct tg_process_options *process = &plan->process;

	if (errno == EACCES)
		tg_log(TG_LOG_WARNING,
		    "%s: a reload will fail, because \"%s\" cannot read %s: let that user read it, "
		    "and "
		    "enter its directories",
		    process->where.ptr, who(plan), path);
	else
		tg_log(TG_LOG_WARNING,
		    "%s: a reload will fail, because there is no %s in the chroot %s: restart to "
		    "change the configuration, or put it, its scripts and the runtime in there",
		    process->where.ptr, path, process->chroot.ptr);
}

/* `read`: for each file of the plan, whether it could be read before. */
static void
look_at_files(
    const struct tg_control_options *options, const struct tg_plan *plan, const bool *read)
{
	char boot[PATH_MAX];

	for (unsigned i = 0; i < plan->file_count; i++)
		if (read[i] && access(plan->files[i].ptr, R_OK) != 0) {
			warn_of_reload(plan, plan->files[i].ptr);
			return;
		}
	if (snprintf(boot, sizeof(boot), "%s/lua/tidegate/boot.lua", options->share) <
	        (int)sizeof(boot) &&
	    access(boot, R_OK) != 0)
		warn_of_reload(plan, boot);
}

static void
look_at_names(const struct tg_plan *plan)
{
	if (plan->process.chroot.len == 0 || access("/etc/resolv.conf", R_OK) == 0 ||
	    access("/etc/hosts", R_OK) == 0)
		return;
	for (unsigned b = 0; b < plan->backend_count; b++)
		for (unsigned s = 0; s < plan->backends[b].count; s++) {
			const struct tg_server *server = plan->backends[b].servers[s].server;

			if (server->host.ptr == NULL)
				continue;
			tg_log(TG_LOG_WARNING,
			    "%s: the name of server %s, %s, will not be found: there is neither "
			    "/etc/resolv.conf nor /etc/hosts in the chroot %s; copy them, or write "
			    "an IP "
			    "address",
			    plan->process.where.ptr, server->name.ptr, server->address.ptr,
			    plan->process.chroot.ptr);
			return;
		}
}

/* Log files are opened by who writes them: now, and again at each SIGUSR1. */
static bool
look_at_sinks(struct tg_plan *plan)
{
	bool good = true;

	for (unsigned i = 0; i < plan->sink_count; i++) {
		int err = tg_logger_check(plan->sinks[i].target);

		if (err < 0)
			good = refuse(plan,
			    "\"%s\" cannot write the log %s%s%s: %s; make the file and its "
			    "directory "
			    "that user's",
			    who(plan), plan->sinks[i].target.ptr,
			    plan->process.chroot.len > 0 ? " in the chroot " : "",
			    plan->process.chroot.len > 0 ? plan->process.chroot.ptr : "",
			    strerror(-err));
	}
	return good;
}

/* --- becoming it -------------------------------------------------------------------------- */

/* Half of one and half of another is the one thing that must not go on; nor may scripts run (their
 * finalizers would, in an orderly end). */
static _Noreturn void
die(struct tg_control *control, const struct tg_plan *plan, const char *step, int err)
{
	tg_log(TG_LOG_ERROR,
	    "%s: tide.process: cannot become \"%s\"%s%s: %s: %s; start it as root or as that user, "
	    "or leave out the options user, group and chroot",
	    plan->process.where.ptr, who(plan),
	    plan->process.chroot.len > 0 ? " in the chroot " : "",
	    plan->process.chroot.len > 0 ? plan->process.chroot.ptr : "", step, strerror(-err));
	if (control != NULL) {
		tg_pidfile_close(&control->pidfile);
		tg_admin_stop(control);
	}
	_exit(1);
}

/* Become what the plan says, and see what works then. `control`: NULL for a trial. */
static bool
become(struct tg_control *control, struct tg_control_options *options, struct tg_plan *plan,
    const struct tg_identity *identity)
{
	bool *read = calloc(plan->file_count + 1, sizeof(*read));
	const char *step = "";
	int err;

	if (read == NULL)
		return refuse(plan, "out of memory");
	for (unsigned i = 0; i < plan->file_count; i++)
		read[i] = access(plan->files[i].ptr, R_OK) == 0;
	err = tg_privileges_drop(identity, &step);
	if (err != 0)
		die(control, plan, step, err);
	if (identity->root != NULL) {
		rebase_options(options, identity->root);
		rebase_files(plan, identity->root);
		if (control != NULL)
			tg_tls_files_rebase(control->tls_files, identity->root);
	}
	look_at_files(options, plan, read);
	look_at_names(plan);
	free(read);
	return look_at_sinks(plan);
}

static bool
find_identity(struct tg_identity *identity, struct tg_plan *plan)
{
	const struct tg_process_options *process = &plan->process;
	const char *wrong = tg_identity_find(identity, process->user, process->group);

	if (process->chroot.len > 0)
		identity->root = process->chroot.ptr;
	return wrong == NULL || refuse(plan, "%s", wrong);
}

bool
tg_start_try(const struct tg_control_options *options, struct tg_plan *plan)
{
	struct tg_control_options copy = *options;
	struct tg_identity identity;
	bool good;

	if (!tg_plan_drops(plan) || geteuid() != 0)
		return true;
	good = find_identity(&identity, plan) && become(NULL, &copy, plan, &identity);
	tg_identity_fini(&identity);
	return good;
}

bool
tg_start_settle(struct tg_control *control, struct tg_plan *plan)
{
	struct tg_identity identity;
	bool good = find_identity(&identity, plan) && make_files(control, plan, &identity);

	if (good && tg_plan_drops(plan))
		good = become(control, &control->options, plan, &identity);
	tg_identity_fini(&identity);
	if (!good)
		return false;
	if (identity.root != NULL) {
		tg_pidfile_rename(&control->pidfile, inside(identity.root, control->pidfile.path));
		tg_admin_rename(control, inside(identity.root, tg_admin_path(control)));
	}
	control->settled = true;
	tg_control_start_threads(control, tg_patience(&plan->process));
	return true;
}

void
tg_start_ready(struct tg_control *control)
{
	if (control->options.daemon) {
		tg_logger_flush(FLUSH_MS); /* what was said until now is for who started us */
		tg_daemon_ready();
	}
}
