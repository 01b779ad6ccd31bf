#include "process/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum {
	/* A FIFO that nobody reads would hold who opens it. */
	FLAGS = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK,
	MODE = 0640,
	WAIT_MS = 1000,
};

static const char prefix[] = "file:";

int
tg_log_file_check(struct tg_str target)
{
	size_t skip = sizeof(prefix) - 1;
	char path[PATH_MAX];
	int fd;

	if (target.len <= skip || memcmp(target.ptr, prefix, skip) != 0)
		return 0; /* stdout and stderr are there */
	if (target.len - skip >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, target.ptr + skip, target.len - skip);
	path[target.len - skip] = '\0';
	fd = open(path, FLAGS, MODE);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int
open_target(const char *target)
{
	if (strcmp(target, "stdout") == 0)
		return STDOUT_FILENO;
	if (strncmp(target, prefix, sizeof(prefix) - 1) == 0)
		return open(target + sizeof(prefix) - 1, FLAGS, MODE);
	return STDERR_FILENO;
}

void
tg_log_file_close(struct tg_log_file *file)
{
	if (file->open && file->fd > STDERR_FILENO)
		close(file->fd);
	file->open = false;
}

uint64_t
tg_log_file_write(struct tg_log_file *file, const char *lines, size_t len)
{
	uint64_t lost = 0;

	file->error = 0;
	if (!file->open) {
		file->fd = open_target(file->target);
		file->open = file->fd >= 0;
		file->error = file->open ? 0 : errno;
	}
	while (len > 0 && file->error == 0) {
		ssize_t n = write(file->fd, lines, len);

		if (n >= 0) {
			lines += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			struct pollfd wait = { .fd = file->fd, .events = POLLOUT };

			poll(&wait, 1, WAIT_MS);
		} else if (errno != EINTR) {
			file->error = errno;
		}
	}
	for (; len > 0; lines++, len--)
		lost += *lines == '\n';
	return lost;
}
