#include "process/admin.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "net/conn.h"
#include "net/listener.h"
#include "process/reload.h"
#include "process/servers.h"
#include "process/stats.h"

enum { COMMAND_MAX = 1024, ASK_MS = 10000 };

struct tg_admin {
	struct tg_control *control;
	struct tg_listener listener;
	struct tg_link sessions;
	char *path;
	unsigned users; /* sessions, and 1 while it listens */
};

struct session {
	struct tg_link link;
	struct tg_admin *admin;
	struct tg_timer timer; /* a client that says nothing goes */
	struct tg_conn conn;
	char line[COMMAND_MAX]; /* of the command, until its newline has come */
	size_t line_len;
	bool asked; /* one command each: what follows is not looked at */
	bool answered;
};

static void
put_admin(struct tg_admin *admin)
{
	if (--admin->users > 0)
		return;
	free(admin->path);
	free(admin);
}

/* --- sessions ----------------------------------------------------------------------------- */

static void
close_session(struct session *session)
{
	tg_loop_timer_stop(&session->admin->control->loop, &session->timer);
	tg_reload_forget(session->admin->control, session);
	tg_conn_close(&session->conn);
}

static void
on_session_closed(struct tg_conn *conn)
{
	struct session *session = tg_container_of(conn, struct session, conn);

	tg_link_remove(&session->link);
	put_admin(session->admin);
	free(session);
}

static void
answer(struct session *session, bool good, const char *text)
{
	struct tg_str parts[] = { good ? TG_STR("ok\n") : TG_STR("error\n"), tg_str_of(text) };

	session->answered = true;
	if (tg_conn_write(&session->conn, parts, 2) != 0 || tg_conn_drained(&session->conn))
		close_session(session);
}

static void
on_reloaded(void *arg, bool good, const char *text)
{
	answer(arg, good, text);
}

static void
run_command(struct session *session, struct tg_str command)
{
	struct tg_control *control = session->admin->control;
	const char *said;
	char *text;
	bool good;

	tg_loop_timer_stop(&control->loop, &session->timer);
	session->asked = true;
	if (tg_str_eq(command, TG_STR("reload"))) {
		tg_reload_start(control, on_reloaded, session);
	} else if (tg_str_eq(command, TG_STR("stats"))) {
		text = tg_stats_json(control);
		answer(session, text != NULL, text != NULL ? text : "out of memory\n");
		free(text);
	} else if (command.len > 7 && memcmp(command.ptr, "server ", 7) == 0) {
		command = (struct tg_str){ command.ptr + 7, command.len - 7 };
		good = tg_servers_command(control, command, &said);
		answer(session, good, said);
	} else {
		answer(session, false,
		    "unknown command: send \"reload\", \"stats\" or \"server …\"\n");
	}
}

static size_t
on_data(struct tg_conn *conn, char *data, size_t len)
{
	struct session *session = tg_container_of(conn, struct session, conn);
	size_t room = COMMAND_MAX - session->line_len, n = len < room ? len : room;
	char *end;

	if (session->asked)
		return len;
	memcpy(session->line + session->line_len, data, n);
	session->line_len += n;
	end = memchr(session->line, '\n', session->line_len);
	if (end != NULL) {
		if (end > session->line && end[-1] == '\r')
			end--;
		run_command(
		    session, (struct tg_str){ session->line, (size_t)(end - session->line) });
	} else if (session->line_len == COMMAND_MAX) {
		session->asked = true;
		answer(session, false, "a command is one line, of 1023 bytes at most\n");
	}
	return len;
}

static void
on_end(struct tg_conn *conn, int status)
{
	struct session *session = tg_container_of(conn, struct session, conn);

	/* The client may end its side and wait for a reload's verdict. */
	if (status != 0 || session->answered || !session->asked)
		close_session(session);
}

static void
on_drain(struct tg_conn *conn)
{
	close_session(tg_container_of(conn, struct session, conn));
}

static const struct tg_conn_ops session_ops = {
	.on_data = on_data,
	.on_end = on_end,
	.on_drain = on_drain,
	.on_closed = on_session_closed,
};

static void
on_timer(struct tg_timer *timer)
{
	close_session(tg_container_of(timer, struct session, timer));
}

static void
on_connection(struct tg_listener *listener, int fd, const struct tg_addr *peer)
{
	struct tg_admin *admin = tg_container_of(listener, struct tg_admin, listener);
	struct session *session = calloc(1, sizeof(*session));

	(void)peer;
	if (session == NULL) {
		close(fd);
		return;
	}
	session->admin = admin;
	admin->users++;
	tg_link_init(&session->link);
	tg_list_push_back(&admin->sessions, &session->link);
	tg_timer_init(&session->timer, on_timer);
	if (tg_conn_accept(&session->conn, &admin->control->loop, &session_ops, fd, true) != 0)
		return;
	tg_loop_timer_start(&admin->control->loop, &session->timer, ASK_MS);
	tg_conn_resume(&session->conn);
}

/* --- the socket --------------------------------------------------------------------------- */

static void
on_closed(struct tg_listener *listener)
{
	put_admin(tg_container_of(listener, struct tg_admin, listener));
}

static int
bind_path(const char *path)
{
	struct tg_addr addr = { .un = { .sun_family = AF_UNIX } }, at;
	mode_t mask;
	int fd;

	if (strlen(path) >= sizeof(addr.un.sun_path))
		return UV_ENAMETOOLONG;
	memcpy(addr.un.sun_path, path, strlen(path) + 1);
	addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
	mask = umask(0077);
	fd = tg_listener_bind(&addr, &at);
	umask(mask);
	return fd;
}

int
tg_admin_start(struct tg_control *control, const char *path)
{
	struct tg_admin *admin = calloc(1, sizeof(*admin));
	int fd, err;

	if (admin == NULL)
		return UV_ENOMEM;
	admin->control = control;
	admin->users = 1;
	admin->path = strdup(path);
	tg_link_init(&admin->sessions);
	fd = bind_path(path);
	err = fd < 0
	    ? fd
	    : tg_listener_open(&admin->listener, &control->loop, fd, on_connection, on_closed);
	if (err != 0) {
		if (fd >= 0)
			close(fd);
		put_admin(admin);
		return err;
	}
	control->admin = admin;
	return 0;
}

const char *
tg_admin_path(const struct tg_control *control)
{
	return control->admin != NULL ? control->admin->path : NULL;
}

void
tg_admin_rename(struct tg_control *control, const char *path)
{
	struct tg_admin *admin = control->admin;
	char *old;

	if (admin == NULL)
		return;
	old = admin->path;
	admin->path = path != NULL ? strdup(path) : NULL;
	free(old);
}

void
tg_admin_stop(struct tg_control *control)
{
	struct tg_admin *admin = control->admin;
	struct tg_link *link, *next;

	if (admin == NULL)
		return;
	control->admin = NULL;
	if (admin->path != NULL)
		unlink(admin->path);
	for (link = admin->sessions.next; link != &admin->sessions; link = next) {
		next = link->next;
		close_session(tg_container_of(link, struct session, link));
	}
	tg_listener_close(&admin->listener);
}

/* --- the client --------------------------------------------------------------------------- */

/* A descriptor, or a negative errno. */
static int
connect_path(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* Print what came instead of a whole answer. */
static int
say_nothing_came(const char *path, unsigned seconds, int err)
{
	if (err == EAGAIN || err == EWOULDBLOCK)
		fprintf(stderr,
		    "tidegate: the process at %s said nothing for %u s: its control thread is "
		    "busy or stopped (see its log)\n",
		    path, seconds);
	else
		fprintf(stderr, "tidegate: the process at %s closed without an answer\n", path);
	return 1;
}

int
tg_admin_ask(const char *path, const char *command, unsigned seconds)
{
	struct timeval limit = { .tv_sec = (time_t)seconds };
	FILE *in, *out;
	char line[4096];
	int fd = connect_path(path), err;
	bool good;

	if (fd < 0) {
		fprintf(stderr,
		    "tidegate: no tidegate answers at %s (%s): is it running? "
		    "name its socket with --control PATH\n",
		    path, strerror(-fd));
		return 1;
	}
	signal(SIGPIPE, SIG_IGN); /* it may be closing: then the read below tells */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	dprintf(fd, "%s\n", command);
	in = fdopen(fd, "r");
	errno = 0;
	if (in == NULL || fgets(line, sizeof(line), in) == NULL)
		return say_nothing_came(path, seconds, errno);
	good = strcmp(line, "ok\n") == 0;
	out = good ? stdout : stderr;
	while (fgets(line, sizeof(line), in) != NULL)
		fputs(line, out);
	err = ferror(in) ? errno : 0;
	fclose(in);
	if (err != 0)
		return say_nothing_came(path, seconds, err);
	return good ? 0 : 1;
}
