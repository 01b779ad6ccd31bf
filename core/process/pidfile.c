#include "process/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MODE = 0644, ATTEMPTS = 10 };

/* Is the file that we hold still the one of that name? Whoever removes its own unlocks it last. */
static bool
is_current(int fd, const char *path)
{
	struct stat ours, there;

	return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_dev == there.st_dev &&
	    ours.st_ino == there.st_ino;
}

/* The path may lie where others can write, and we may be root: no links, nothing but a file. */
static int
open_plain(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, MODE);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink <= 1)
		return fd;
	close(fd);
	return -EEXIST;
}

/* A descriptor with the lock, or a negative errno: -EWOULDBLOCK when its process lives. */
static int
open_locked(const char *path)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		int fd = open_plain(path), err;

		if (fd < 0)
			return fd;
		if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
			err = -errno;
			close(fd);
			return err;
		}
		if (is_current(fd, path))
			return fd;
		close(fd); /* removed by its owner meanwhile */
	}
	return -EAGAIN;
}

/* The process that the file names: 0 when it is empty, -1 when it names none. */
static long
read_pid(int fd)
{
	char text[32], *end;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid;

	if (n <= 0)
		return n == 0 ? 0 : -1;
	text[n] = '\0';
	pid = strtol(text, &end, 10);
	return end != text && (*end == '\0' || *end == '\n') && pid > 0 ? pid : -1;
}

/* It has ended, and only its parent has not looked yet (proc(5): the state follows the name). */
static bool
is_zombie(long pid)
{
	char path[40], text[256], *state;
	FILE *file;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	state = strrchr(text, ')');
	return state != NULL && (strncmp(state, ") Z", 3) == 0 || strncmp(state, ") X", 3) == 0);
}

/* Another program's file may be unlocked and alive all the same. */
static bool
is_alive(long pid)
{
	return pid > 0 && pid != (long)getpid() && (kill((pid_t)pid, 0) == 0 || errno == EPERM) &&
	    !is_zombie(pid);
}

static int __attribute__((format(printf, 4, 5)))
refuse(int fd, char *problem, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses va_start */
	vsnprintf(problem, size, format, args);
	va_end(args);
	if (fd >= 0)
		close(fd);
	return -1;
}

int
tg_pidfile_open(struct tg_pidfile *pidfile, const char *path, char *problem, size_t size)
{
	int fd = open_locked(path);
	long pid;

	if (fd == -EWOULDBLOCK)
		return refuse(-1, problem, size,
		    "the process of the pid file %s is running: stop it first, or give this one "
		    "another file",
		    path);
	if (fd == -EEXIST || fd == -ELOOP)
		return refuse(
		    -1, problem, size, "the pid file %s is no plain file: remove it", path);
	if (fd < 0)
		return refuse(
		    -1, problem, size, "cannot open the pid file %s: %s", path, strerror(-fd));
	pid = read_pid(fd);
	if (pid < 0)
		return refuse(fd, problem, size,
		    "the pid file %s holds something else than a process id: it is left alone",
		    path);
	if (is_alive(pid))
		return refuse(fd, problem, size,
		    "the pid file %s names process %ld, which is running: stop it, or remove the "
		    "file "
		    "if it is another program by now",
		    path, pid);
	pidfile->path = strdup(path);
	if (pidfile->path == NULL || ftruncate(fd, 0) != 0 ||
	    dprintf(fd, "%ld\n", (long)getpid()) < 0) {
		free(pidfile->path);
		return refuse(
		    fd, problem, size, "cannot write the pid file %s: %s", path, strerror(errno));
	}
	pidfile->fd = fd;
	return 0;
}

void
tg_pidfile_rename(struct tg_pidfile *pidfile, const char *path)
{
	char *old = pidfile->path;

	if (pidfile->fd < 0)
		return;
	pidfile->path = path != NULL ? strdup(path) : NULL; /* may be a part of the old one */
	free(old);
}

void
tg_pidfile_close(struct tg_pidfile *pidfile)
{
	if (pidfile->fd < 0)
		return;
	if (pidfile->path == NULL || !is_current(pidfile->fd, pidfile->path) ||
	    unlink(pidfile->path) != 0)
		(void)!ftruncate(pidfile->fd, 0);
	free(pidfile->path);
	close(pidfile->fd);
	*pidfile = (struct tg_pidfile){ .fd = -1 };
}
