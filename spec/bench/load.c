/* load: clients that ask, and count exactly what became of each request.
 *
 *     load PORT [-c CLIENTS] [-r RATE] [-m METHOD] [-p PATH] [-b BYTES] [-k] [-x] [-s]
 *               [-z BYTES] [-a MS] [-t SECONDS]
 *
 * -c  connections at most (64). Without -r each asks again as soon as it has its answer
 * -r  requests per second, whatever the answers do; a request that finds all connections busy
 *     waits, and its time counts from when it was due
 * -b  a body of that size; -k: chunked. -x: a connection per request. -s: send cookies back
 * -z  slowly: so many bytes in 10 ms, in both directions
 * -a  leave without a word after up to so many milliseconds
 * -t  patience (10)
 *
 * Each line of its standard input is the name of a phase; a request belongs to the phase in which
 * it was due. At the end of the input it waits for the last answers and prints a line of JSON per
 * phase. Each failure is told as it happens: "failed PHASE MS KIND STATUS", MS since the epoch.
 *
 * A request that meets the end of a connection which had been used before, without a byte of an
 * answer, is sent again on a new one, as every client must do (RFC 9112 section 9.3.1), and
 * counted as repeated. Where a server sends back the X-Id of the request, it is compared.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "answer.h"
#include "options.h"
#include "tally.h"

enum { TICK_MS = 10, PHASES = 32, EVENTS = 512 };

struct client {
	int fd; /* -1: not connected */
	struct client *next_idle;
	bool busy, connecting, used, repeated;
	unsigned serial; /* of its request */
	struct phase *phase;
	uint64_t due, leave; /* µs; leave 0: it stays */
	char head[640];
	size_t head_len, sent; /* sent: of head and body */
	char cookie[128];
	struct answer answer;
};

static struct phase phases[PHASES], *phase;
static int phase_count;
static struct client *clients, *idle;
static uint64_t *due; /* times of requests that wait for a connection, a ring */
static size_t due_first, due_count, due_room;
static int busy_count, epoll_fd;
static bool ending;
static unsigned serials;

/* --- a client ----------------------------------------------------------------------------- */

static void ask(struct client *c);

static void
disconnect(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->used = false;
}

/* The request of `c` is over; the client takes the next that is due. */
static void
finish(struct client *c)
{
	c->busy = false;
	busy_count--;
	c->next_idle = idle;
	idle = c;
}

static void
fail(struct client *c, enum kind kind)
{
	count_failure(c->phase, kind, c->answer.status);
	disconnect(c);
	finish(c);
}

/* The connection ended under a request. */
static void
lost(struct client *c)
{
	if (c->answer.state == ANSWER_TO_CLOSE) {
		c->answer.state = ANSWER_WHOLE;
		return;
	}
	if (c->answer.head_len > 0) {
		fail(c, CUT);
	} else if (c->used && !c->repeated) {
		c->phase->repeated++;
		c->repeated = true;
		disconnect(c);
		ask(c);
	} else {
		fail(c, CLOSED);
	}
}

static void
leave(struct client *c)
{
	struct linger reset = { .l_onoff = 1 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	c->phase->aborted++;
	disconnect(c);
	finish(c);
}

static void
keep_cookie(struct client *c)
{
	const char *set = options.cookies ? answer_field(&c->answer, "Set-Cookie") : NULL;

	if (set != NULL)
		snprintf(
		    c->cookie, sizeof c->cookie, "Cookie: %.*s\r\n", (int)strcspn(set, ";\r"), set);
}

static void
answered(struct client *c)
{
	const char *id = answer_field(&c->answer, "X-Id");

	if (c->answer.state == ANSWER_BAD) {
		fail(c, MALFORMED);
		return;
	}
	if (id != NULL && (unsigned)strtoul(id, NULL, 10) != c->serial) {
		fail(c, MIXED);
		return;
	}
	if (c->answer.status != 200) {
		count_failure(c->phase, STATUS, c->answer.status);
	} else {
		c->phase->ok++;
		count_time(c->phase, now_us(CLOCK_MONOTONIC) - c->due);
		keep_cookie(c);
	}
	c->used = true;
	if (!c->answer.keep || options.close || c->sent < c->head_len + body_len)
		disconnect(c);
	finish(c);
}

static void
send_request(struct client *c)
{
	while (c->sent < c->head_len + body_len) {
		size_t of_body = c->sent > c->head_len ? c->sent - c->head_len : 0;
		struct iovec parts[2] = {
			{ c->head + c->sent, c->sent < c->head_len ? c->head_len - c->sent : 0 },
			{ body + of_body, body_len - of_body },
		};
		ssize_t n;

		if (options.slow > 0) {
			size_t most = (size_t)options.slow;
			struct iovec *part = &parts[parts[0].iov_len == 0];

			if (part->iov_len > most)
				part->iov_len = most;
			n = write(c->fd, part->iov_base, part->iov_len);
		} else {
			n = writev(c->fd, parts, 2);
		}
		if (n < 0)
			return; /* EAGAIN; or the end, which is told by reading */
		c->sent += (size_t)n;
		if (options.slow > 0)
			return;
	}
}

static void
read_answer(struct client *c)
{
	static char data[65536];
	size_t most = options.slow > 0 ? (size_t)options.slow : sizeof data;

	while (c->busy && c->answer.state < ANSWER_WHOLE) {
		ssize_t n = read(c->fd, data, most);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			lost(c);
			if (!c->busy || c->answer.state != ANSWER_WHOLE)
				return;
			c->answer.keep = false;
		} else {
			answer_read(&c->answer, data, (size_t)n, options.to_head);
		}
		if (c->answer.state >= ANSWER_WHOLE)
			answered(c);
		else if (options.slow > 0)
			return;
	}
}

static void
write_head(struct client *c)
{
	char framing[64] = "";

	c->serial = ++serials;
	if (options.chunked)
		snprintf(framing, sizeof framing, "Transfer-Encoding: chunked\r\n");
	else if (body_len > 0)
		snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", body_len);
	c->head_len = (size_t)snprintf(c->head, sizeof c->head,
	    "%s %s HTTP/1.1\r\nHost: localhost\r\nX-Id: %u\r\n%s%s%s\r\n", options.method,
	    options.path, c->serial, options.close ? "Connection: close\r\n" : "", c->cookie,
	    framing);
	if (c->head_len >= sizeof c->head)
		die("the request is too long");
}

/* Begin to connect; false: it failed at once. */
static bool
dial(struct client *c)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
	int small = 4096;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		die("socket");
	if (options.slow > 0)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	c->connecting = true;
	if (connect(c->fd, (struct sockaddr *)&options.addr, sizeof options.addr) != 0 &&
	    errno != EINPROGRESS)
		return false;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0)
		die("epoll_ctl");
	return true;
}

/* Send the request of `c`: due, phase and leave are set. */
static void
ask(struct client *c)
{
	write_head(c);
	answer_begin(&c->answer);
	c->sent = 0;
	if (c->fd >= 0)
		send_request(c);
	else if (!dial(c))
		fail(c, REFUSED);
}

static void
start(struct client *c, uint64_t when)
{
	c->busy = true;
	busy_count++;
	c->repeated = false;
	c->phase = phase;
	c->due = when;
	c->leave = 0;
	if (options.leave > 0)
		c->leave = when + (uint64_t)(random() % (options.leave * 1000));
	phase->sent++;
	ask(c);
}

static void
on_event(struct client *c, uint32_t events)
{
	int err = 0;
	socklen_t size = sizeof err;

	if (c->fd < 0)
		return;
	if (!c->busy) { /* idle, and closed by the other side */
		if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
			disconnect(c);
		return;
	}
	if (c->connecting) {
		if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) == 0)
			return;
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &size);
		c->connecting = false;
		if (err != 0) {
			fail(c, REFUSED);
			return;
		}
	}
	if (options.slow > 0)
		return; /* on_tick */
	send_request(c);
	read_answer(c);
}

/* --- the loop ----------------------------------------------------------------------------- */

static void
new_phase(const char *name)
{
	for (int i = 0; i < phase_count; i++)
		if (strcmp(phases[i].name, name) == 0) {
			phase = &phases[i]; /* it goes on */
			return;
		}
	if (phase_count == PHASES)
		die("too many phases");
	phase = &phases[phase_count++];
	snprintf(phase->name, sizeof phase->name, "%.31s", name);
}

/* Names of phases, or the end. */
static void
read_input(void)
{
	static char line[256];
	static size_t len;
	ssize_t n = read(0, line + len, sizeof line - 1 - len);
	char *end;

	if (n <= 0) {
		ending = true;
		due_count = 0;
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, 0, NULL);
		return;
	}
	len += (size_t)n;
	line[len] = '\0';
	while ((end = strchr(line, '\n')) != NULL) {
		*end = '\0';
		new_phase(line);
		len -= (size_t)(end + 1 - line);
		memmove(line, end + 1, len + 1);
	}
}

static void
push_due(uint64_t when)
{
	if (due_count == due_room) {
		uint64_t *grown = malloc((due_room * 2 + 1024) * sizeof *grown);

		if (grown == NULL)
			die("memory");
		for (size_t i = 0; i < due_count; i++)
			grown[i] = due[(due_first + i) % due_room];
		free(due);
		due = grown;
		due_first = 0;
		due_room = due_room * 2 + 1024;
	}
	due[(due_first + due_count++) % due_room] = when;
}

/* Give what is due to clients that are idle. */
static void
dispatch(uint64_t now)
{
	static double next;

	if (ending || phase == NULL)
		return;
	if (options.rate > 0) {
		if (next == 0)
			next = (double)now;
		while (next <= (double)now) {
			push_due((uint64_t)next);
			next += 1e6 / options.rate;
		}
	}
	/* Not all at once: a failure makes its client idle again, and may not starve the rest. */
	for (int i = 0; i < options.clients && idle != NULL; i++) {
		struct client *c = idle;

		if (options.rate > 0 && due_count == 0)
			return;
		idle = c->next_idle;
		if (options.rate > 0) {
			start(c, due[due_first]);
			due_first = (due_first + 1) % due_room;
			due_count--;
		} else {
			start(c, now);
		}
	}
}

static void
on_tick(uint64_t now)
{
	for (int i = 0; i < options.clients; i++) {
		struct client *c = &clients[i];

		if (!c->busy)
			continue;
		if (now > c->due && now - c->due > (uint64_t)options.patience * 1000000) {
			fail(c, TIMEOUT);
		} else if (c->leave != 0 && now > c->leave) {
			leave(c);
		} else if (options.slow > 0 && !c->connecting) {
			send_request(c);
			read_answer(c);
		}
	}
}

static void
run(void)
{
	struct epoll_event events[EVENTS], input = { .events = EPOLLIN, .data.ptr = NULL };
	uint64_t next_tick = 0;

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &input) != 0)
		die("standard input is no pipe");
	while (!ending || busy_count > 0) {
		/* With a rate, a request waits so long at most before its time is seen to have come. */
		struct timespec patience = { .tv_nsec =
			                         options.rate > 0 ? 100000 : TICK_MS * 1000000 };
		uint64_t now;
		int n = epoll_pwait2(epoll_fd, events, EVENTS, &patience, NULL);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				read_input();
			else
				on_event(events[i].data.ptr, events[i].events);
		}
		now = now_us(CLOCK_MONOTONIC);
		if (now >= next_tick) {
			on_tick(now);
			next_tick = now + TICK_MS * 1000;
		}
		dispatch(now);
	}
}

/* --- the start ---------------------------------------------------------------------------- */

int
main(int argc, char **argv)
{
	struct rlimit limit;

	read_options(argc, argv);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	clients = calloc((size_t)options.clients, sizeof *clients);
	if (epoll_fd < 0 || clients == NULL)
		die("the start");
	for (int i = options.clients - 1; i >= 0; i--) {
		clients[i].fd = -1;
		clients[i].next_idle = idle;
		idle = &clients[i];
	}
	run();
	for (int i = 0; i < phase_count; i++) {
		print_phase(&phases[i]);
		free(phases[i].times);
	}
	free(clients);
	free(due);
	free(body);
	return 0;
}
