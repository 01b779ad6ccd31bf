#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 8192 };

static _Atomic(void (*)(const struct tg_log_message *)) current_sink;

static const char *const level_names[] = { "debug", "info", "notice", "warning", "error" };

void
tg_log_set_sink(void (*sink)(const struct tg_log_message *message))
{
	atomic_store(&current_sink, sink);
}

/* "2026-01-31T12:00:00.123Z [notice] " into `out`; its length. */
static size_t
write_prefix(char *out, size_t cap, enum tg_log_level level)
{
	struct timespec now;
	struct tm utc;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	len = strftime(out, cap, "%Y-%m-%dT%H:%M:%S", &utc);
	len += (size_t)snprintf(
	    out + len, cap - len, ".%03ldZ [%s] ", now.tv_nsec / 1000000, level_names[level]);
	return len;
}

void
tg_log(enum tg_log_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	void (*sink)(const struct tg_log_message *) = atomic_load(&current_sink);
	size_t start = write_prefix(line, sizeof(line), level);
	size_t room = sizeof(line) - start - 1, len;
	va_list args;
	int n;

	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses va_start */
	n = vsnprintf(line + start, room, format, args);
	va_end(args);
	if (n < 0)
		return;
	len = start + ((size_t)n < room ? (size_t)n : room - 1);
	for (size_t i = start; i < len; i++)
		if ((unsigned char)line[i] < 0x20 && line[i] != '\n' && line[i] != '\t')
			line[i] = '?';
	line[len++] = '\n';
	if (sink != NULL)
		sink(&(struct tg_log_message){ level, line, len, start });
	else if (write(STDERR_FILENO, line, len) < 0)
		return; /* nobody to tell */
}
