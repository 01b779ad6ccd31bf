#include "process/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { STATUS_MAX = 1024, MESSAGE_MAX = 2048, SEND_S = 1, MARGIN_MS = 10000 };

static struct {
	int fd; /* -1: there is no manager */
	struct sockaddr_un to;
	socklen_t len;
	uint64_t watchdog_ms;
} manager = { .fd = -1 };

/* An absolute path, or with '@' an abstract name. */
static bool
set_address(const char *name)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(manager.to.sun_path))
		return false;
	manager.to.sun_family = AF_UNIX;
	memcpy(manager.to.sun_path, name, len + 1);
	manager.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (name[0] == '@')
		manager.to.sun_path[0] = '\0';
	else
		manager.len++;
	return true;
}

static int
connect_to_manager(void)
{
	return connect(manager.fd, (const struct sockaddr *)&manager.to, manager.len);
}

/* A manager that does not read must not hold us up for long; one that is only busy must not miss
 * that we are ready. */
static void
open_socket(const char *name)
{
	struct timeval limit = { .tv_sec = SEND_S };

	if (!set_address(name)) {
		tg_log(TG_LOG_WARNING,
		    "NOTIFY_SOCKET is \"%s\": neither an absolute path nor @name; nobody is "
		    "notified",
		    name);
		return;
	}
	manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (manager.fd < 0)
		return;
	(void)setsockopt(manager.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect_to_manager() != 0)
		tg_log(TG_LOG_WARNING, "NOTIFY_SOCKET %s: %s", name, strerror(errno));
}

/* The watchdog may be meant for another process: whoever started us, or whom we started. */
static void
read_watchdog(void)
{
	const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

	if (interval != NULL && (pid == NULL || strtol(pid, NULL, 10) == (long)getpid()))
		manager.watchdog_ms = strtoull(interval, NULL, 10) / 1000;
}

void
tg_notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");

	if (name != NULL && name[0] != '\0') {
		open_socket(name);
		read_watchdog();
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static void
send_message(const char *text, size_t len)
{
	if (send(manager.fd, text, len, MSG_NOSIGNAL) >= 0)
		return;
	if ((errno == ECONNREFUSED || errno == ENOTCONN) && connect_to_manager() == 0 &&
	    send(manager.fd, text, len, MSG_NOSIGNAL) >= 0)
		return; /* another one listens there now */
	tg_log(TG_LOG_WARNING, "the service manager was not notified: %s", strerror(errno));
}

void
tg_notify(const char *state, const char *status, ...)
{
	char text[STATUS_MAX], message[MESSAGE_MAX];
	va_list args;
	int len;

	if (manager.fd < 0)
		return;
	va_start(args, status);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses va_start */
	vsnprintf(text, sizeof(text), status, args);
	va_end(args);
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20)
			*c = '?'; /* a line break would begin another variable */
	len = snprintf(
	    message, sizeof(message), "%s%sSTATUS=%s", state, state[0] != '\0' ? "\n" : "", text);
	if (len > 0 && len < (int)sizeof(message))
		send_message(message, (size_t)len);
}

void
tg_notify_reloading(void)
{
	char state[64];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, tg_clock_us());
	tg_notify(state, "reloading");
}

void
tg_notify_main_pid(int pid)
{
	char state[64];

	snprintf(state, sizeof(state), "READY=1\nMAINPID=%d", pid);
	tg_notify(state, "ready");
}

void
tg_notify_stopping(uint64_t ms)
{
	char state[64];

	snprintf(state, sizeof(state), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64,
	    (ms + MARGIN_MS) * 1000);
	tg_notify(state, "stopping: running requests may end");
}

void
tg_notify_alive(void)
{
	if (manager.fd >= 0)
		send_message("WATCHDOG=1", strlen("WATCHDOG=1"));
}

uint64_t
tg_notify_watchdog_ms(void)
{
	return manager.watchdog_ms;
}
