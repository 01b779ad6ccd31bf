#include "process/logger.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

enum {
	BUFFER_MAX = 4 * 1024 * 1024,
	FIRST_BUFFER = 16 * 1024,
	FILE_FLAGS = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
	FILE_MODE = 0640,
};

struct buffer {
	char *bytes;
	size_t len, cap;
};

struct sink {
	struct sink *next;
	char *target;
	int fd;                /* writer only; -1: not open */
	int error;             /* writer only: errno of the last failure; 0: it works */
	struct buffer filling; /* under lock */
	struct buffer writing; /* writer only */
	uint64_t dropped;      /* under lock: lines, not said yet */
	time_t said;           /* writer only: when lines were last said to be lost */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	struct sink *sinks; /* under lock; never removed while the thread runs */
	uint64_t dropped;   /* under lock: lines, in all */
	bool stopping, reopen, running;
	bool idle; /* under lock: the writer has nothing to do */
} logger = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };

static const char stderr_target[] = "stderr";

/* Under lock: the sink of that target, made if need be; NULL: out of memory. */
static struct sink *
find_sink(struct tg_str target)
{
	struct sink *sink;

	for (sink = logger.sinks; sink != NULL; sink = sink->next)
		if (tg_str_eq(tg_str_of(sink->target), target))
			return sink;
	sink = calloc(1, sizeof(*sink));
	if (sink == NULL)
		return NULL;
	sink->target = strndup(target.ptr, target.len);
	if (sink->target == NULL) {
		free(sink);
		return NULL;
	}
	sink->fd = -1;
	sink->next = logger.sinks;
	logger.sinks = sink;
	return sink;
}

static bool
make_room(struct buffer *buffer, size_t len)
{
	size_t cap = buffer->cap > 0 ? buffer->cap : FIRST_BUFFER;
	char *grown;

	if (buffer->cap - buffer->len >= len)
		return true;
	while (cap < buffer->len + len)
		cap *= 2;
	if (cap > BUFFER_MAX)
		return false;
	grown = realloc(buffer->bytes, cap);
	if (grown == NULL)
		return false;
	buffer->bytes = grown;
	buffer->cap = cap;
	return true;
}

/* Under lock. `newline`: add one. */
static int
append(struct sink *sink, const char *line, size_t len, bool newline)
{
	struct buffer *buffer = &sink->filling;

	if (!make_room(buffer, len + 1)) {
		sink->dropped++;
		logger.dropped++;
		pthread_cond_signal(&logger.wake);
		return -1;
	}
	tg_assert(buffer->bytes != NULL);
	memcpy(buffer->bytes + buffer->len, line, len);
	buffer->len += len;
	if (newline)
		buffer->bytes[buffer->len++] = '\n';
	if (buffer->len == len + newline)
		pthread_cond_signal(&logger.wake);
	return 0;
}

static int
log_bytes(struct tg_str target, const char *line, size_t len, bool newline)
{
	struct sink *sink;
	int result = -1;

	pthread_mutex_lock(&logger.lock);
	sink = find_sink(target);
	if (sink != NULL)
		result = append(sink, line, len, newline);
	else
		logger.dropped++;
	pthread_mutex_unlock(&logger.lock);
	return result;
}

int
tg_logger_line(struct tg_str target, const char *line, size_t len)
{
	return log_bytes(target, line, len, true);
}

static void
engine_message(const char *line, size_t len)
{
	(void)log_bytes(TG_STR(stderr_target), line, len, false);
}

int
tg_logger_check(struct tg_str target)
{
	char path[4096];
	int fd;

	if (target.len <= 5 || memcmp(target.ptr, "file:", 5) != 0)
		return 0;
	if (target.len - 5 >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, target.ptr + 5, target.len - 5);
	path[target.len - 5] = '\0';
	fd = open(path, FILE_FLAGS, FILE_MODE);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* --- the writer --------------------------------------------------------------------------- */

static int
open_target(const char *target)
{
	if (strcmp(target, "stdout") == 0)
		return STDOUT_FILENO;
	if (strncmp(target, "file:", 5) == 0)
		return open(target + 5, FILE_FLAGS, FILE_MODE);
	return STDERR_FILENO;
}

static void
close_target(struct sink *sink)
{
	if (sink->fd > STDERR_FILENO)
		close(sink->fd);
	sink->fd = -1;
}

/* How many lines could not be written: disk full, pipe closed, file that cannot be opened. */
static uint64_t
write_all(struct sink *sink)
{
	const char *from = sink->writing.bytes;
	size_t left = sink->writing.len;
	uint64_t lost = 0;

	sink->writing.len = 0;
	if (sink->fd < 0 && left > 0)
		sink->fd = open_target(sink->target);
	sink->error = sink->fd < 0 ? errno : 0;
	while (left > 0 && sink->error == 0) {
		ssize_t n = write(sink->fd, from, left);

		if (n >= 0) {
			from += n;
			left -= (size_t)n;
		} else if (errno == EAGAIN) {
			struct pollfd wait = { .fd = sink->fd, .events = POLLOUT };

			poll(&wait, 1, 1000);
		} else if (errno != EINTR) {
			sink->error = errno;
		}
	}
	for (; left > 0; from++, left--)
		lost += *from == '\n';
	return lost;
}

/* Once a second at most, to standard error: or there is nobody to tell. */
static bool
say_lost(struct sink *sink, uint64_t lost)
{
	struct timespec now;
	char note[512];
	int len;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec == sink->said)
		return false;
	sink->said = now.tv_sec;
	len = snprintf(note, sizeof(note), "tidegate: %llu log lines for %.400s were dropped: %s\n",
	    (unsigned long long)lost, sink->target,
	    sink->error != 0 ? strerror(sink->error) : "they came too fast");
	(void)!write(STDERR_FILENO, note, (size_t)len);
	return true;
}

/* Under lock; gives it up while it writes. Was there anything? */
static bool
write_sink(struct sink *sink)
{
	struct buffer full = sink->filling;
	uint64_t dropped = sink->dropped, lost;

	if (full.len == 0 && dropped == 0)
		return false;
	sink->filling = sink->writing;
	sink->writing = full;
	sink->dropped = 0;
	pthread_mutex_unlock(&logger.lock);
	lost = write_all(sink);
	dropped += lost;
	if (dropped > 0 && say_lost(sink, dropped))
		dropped = 0;
	pthread_mutex_lock(&logger.lock);
	sink->dropped += dropped; /* said with the next ones */
	logger.dropped += lost;
	return full.len > 0;
}

static void *
writer(void *unused)
{
	bool busy;

	(void)unused;
	pthread_mutex_lock(&logger.lock);
	for (;;) {
		if (logger.reopen)
			for (struct sink *sink = logger.sinks; sink != NULL; sink = sink->next)
				close_target(sink);
		logger.reopen = false;
		busy = false;
		for (struct sink *sink = logger.sinks; sink != NULL; sink = sink->next)
			busy |= write_sink(sink);
		if (busy)
			continue;
		if (logger.stopping)
			break;
		logger.idle = true;
		pthread_cond_wait(&logger.wake, &logger.lock);
		logger.idle = false;
	}
	pthread_mutex_unlock(&logger.lock);
	return NULL;
}

int
tg_logger_start(void)
{
	int err = pthread_create(&logger.thread, NULL, writer, NULL);

	if (err != 0)
		return -err;
	logger.running = true;
	tg_log_set_sink(engine_message);
	return 0;
}

void
tg_logger_stop(void)
{
	struct sink *sink;

	if (!logger.running)
		return;
	tg_log_set_sink(NULL);
	pthread_mutex_lock(&logger.lock);
	logger.stopping = true;
	pthread_cond_signal(&logger.wake);
	pthread_mutex_unlock(&logger.lock);
	pthread_join(logger.thread, NULL);
	pthread_mutex_lock(&logger.lock);
	while ((sink = logger.sinks) != NULL) {
		logger.sinks = sink->next;
		sink->said = 0;
		if (sink->dropped > 0)
			say_lost(sink, sink->dropped);
		close_target(sink);
		free(sink->filling.bytes);
		free(sink->writing.bytes);
		free(sink->target);
		free(sink);
	}
	logger.running = logger.stopping = false;
	pthread_mutex_unlock(&logger.lock);
}

/* Under lock. */
static bool
all_written(void)
{
	for (struct sink *sink = logger.sinks; sink != NULL; sink = sink->next)
		if (sink->filling.len > 0)
			return false;
	return logger.idle || !logger.running;
}

void
tg_logger_flush(unsigned ms)
{
	struct timespec pause = { .tv_nsec = 5000000 };
	bool written = false;

	for (unsigned waited = 0; !written && waited <= ms; waited += 5) {
		pthread_mutex_lock(&logger.lock);
		written = all_written();
		pthread_mutex_unlock(&logger.lock);
		if (!written)
			nanosleep(&pause, NULL);
	}
}

void
tg_logger_reopen(void)
{
	pthread_mutex_lock(&logger.lock);
	logger.reopen = true;
	pthread_cond_signal(&logger.wake);
	pthread_mutex_unlock(&logger.lock);
}

uint64_t
tg_logger_dropped(void)
{
	uint64_t dropped;

	pthread_mutex_lock(&logger.lock);
	dropped = logger.dropped;
	pthread_mutex_unlock(&logger.lock);
	return dropped;
}
