#include "process/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "process/notify.h"

/* The child's, until it is ready. */
static int ready_fd = -1; /* where readiness is told */
static int null_fd = -1;  /* opened at the start: a chroot need not have one */

/* The parent's part. */
static _Noreturn void
await(pid_t child, int fd)
{
	int status = 0;
	char byte;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1) {
		tg_notify_main_pid(child);
		exit(EXIT_SUCCESS);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (WIFSIGNALED(status))
		fprintf(stderr, "tidegate: ended by a signal before it was ready: %s\n",
		    strsignal(WTERMSIG(status)));
	exit(EXIT_FAILURE);
}

int
tg_daemon_start(void)
{
	int ends[2], err;
	pid_t child;

	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0 || pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	fflush(NULL);
	child = fork();
	if (child > 0) {
		close(ends[1]);
		await(child, ends[0]);
	}
	err = -errno;
	close(ends[0]);
	if (child < 0) {
		close(ends[1]);
		return err;
	}
	ready_fd = ends[1];
	return 0;
}

static bool
is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static void
leave_terminal(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fd == STDIN_FILENO || !is_file(fd))
			dup2(null_fd, fd);
	close(null_fd);
	null_fd = -1;
}

void
tg_daemon_ready(void)
{
	if (ready_fd < 0)
		return;
	if (setsid() < 0 || chdir("/") != 0)
		tg_log(TG_LOG_WARNING, "cannot leave the session: %s", strerror(errno));
	leave_terminal();
	if (write(ready_fd, "", 1) != 1)
		tg_log(TG_LOG_WARNING, "whoever started this process has not waited for it");
	close(ready_fd);
	ready_fd = -1;
}
