/* relay: a TCP relay that parses nothing, the yardstick of the benchmarks.
 *
 *     relay LISTENPORT SERVERPORT
 *
 * What it costs to pass a request on is what nobody can save who proxies through
 * sockets in user space: one epoll_wait for many events, one read and one write
 * each way. So it is written as fast as is possible without tricks, and correct:
 * short writes, half-close, slow readers and failing connections are handled.
 *
 * One thread, one server connection for each client connection, opened at accept.
 * Level-triggered: what one read does not take, the next epoll_wait reports. There is
 * no state "connecting": a write before the handshake's end is a short write.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512, BUFFER = 64 * 1024 };

/* One socket of a pair. Bytes read from it go to its peer. */
struct side {
	int fd;
	uint32_t watched; /* what epoll watches; 0: it is not in the set */
	bool ended;       /* we have read its end of stream */
	char *pending;    /* what it would not take yet; NULL: nothing */
	size_t pending_len;
	size_t pending_off; /* how much of `pending` is written */
	struct side *peer;
	struct pair *pair;
};

struct pair {
	struct side client;
	struct side server;
	bool closed;
	struct pair *next_closed;
};

static int epoll_fd;
static int listen_fd;
static bool accepting;
static struct sockaddr_in server_addr;
static struct pair *closed_pairs; /* freed after the batch: a later event may name them */
static char buffer[BUFFER];

static void
die(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Out of the set, not in it with no events: epoll reports EPOLLHUP and EPOLLERR
 * without being asked, and with nothing to be done about them that would spin. */
static void
watch(struct side *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };
	int op = EPOLL_CTL_MOD;

	if (s->watched == events)
		return;
	if (s->watched == 0)
		op = EPOLL_CTL_ADD;
	else if (events == 0)
		op = EPOLL_CTL_DEL;
	if (epoll_ctl(epoll_fd, op, s->fd, &ev) != 0)
		die("epoll_ctl");
	s->watched = events;
}

/* A side is read from while its peer takes what it says, and woken for writing
 * while something is pending for it. */
static void
watch_needed(struct side *s)
{
	uint32_t events = 0;

	if (!s->ended && s->peer->pending == NULL)
		events |= EPOLLIN;
	if (s->pending != NULL)
		events |= EPOLLOUT;
	watch(s, events);
}

static void
watch_listener(bool on)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };

	if (accepting == on)
		return;
	if (epoll_ctl(epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listen_fd, &ev) != 0)
		die("epoll_ctl");
	accepting = on;
}

static void
pair_close(struct pair *p)
{
	if (p->closed)
		return;
	p->closed = true;
	close(p->client.fd);
	close(p->server.fd);
	free(p->client.pending);
	free(p->server.pending);
	p->next_closed = closed_pairs;
	closed_pairs = p;
}

static void
free_closed_pairs(void)
{
	if (closed_pairs != NULL)
		watch_listener(true); /* descriptors are free again */
	while (closed_pairs != NULL) {
		struct pair *p = closed_pairs;

		closed_pairs = p->next_closed;
		free(p);
	}
}

static bool
would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

/* `from` has said all, and `from->peer` has taken it: pass the end on. */
static void
pass_end(struct side *from)
{
	struct side *to = from->peer;

	if (to->ended && from->pending == NULL) {
		pair_close(from->pair);
		return;
	}
	shutdown(to->fd, SHUT_WR);
	watch_needed(from);
}

static void
keep_pending(struct side *to, const char *bytes, size_t len)
{
	to->pending = malloc(len);
	if (to->pending == NULL)
		die("malloc");
	memcpy(to->pending, bytes, len);
	to->pending_len = len;
	to->pending_off = 0;
	watch_needed(to);
	watch_needed(to->peer);
}

static void
on_readable(struct side *from)
{
	struct side *to = from->peer;
	ssize_t got = read(from->fd, buffer, sizeof buffer);
	ssize_t put;

	if (got == 0) {
		from->ended = true;
		pass_end(from);
		return;
	}
	if (got < 0) {
		if (!would_block())
			pair_close(from->pair);
		return;
	}
	put = write(to->fd, buffer, (size_t)got);
	if (put == got)
		return;
	if (put < 0 && !would_block()) {
		pair_close(from->pair);
		return;
	}
	if (put < 0)
		put = 0;
	keep_pending(to, buffer + put, (size_t)(got - put));
}

static void
on_writable(struct side *to)
{
	ssize_t put =
	    write(to->fd, to->pending + to->pending_off, to->pending_len - to->pending_off);

	if (put < 0) {
		if (!would_block())
			pair_close(to->pair);
		return;
	}
	to->pending_off += (size_t)put;
	if (to->pending_off < to->pending_len)
		return;
	free(to->pending);
	to->pending = NULL;
	watch_needed(to);
	if (to->peer->ended)
		pass_end(to->peer);
	else
		watch_needed(to->peer);
}

static void
on_event(struct side *s, uint32_t events)
{
	bool failed = events & (EPOLLERR | EPOLLHUP);

	if (s->pair->closed)
		return;
	/* An error is told by the call that meets it. */
	if (s->pending != NULL && (failed || (events & EPOLLOUT)))
		on_writable(s);
	if (s->pair->closed)
		return;
	if ((s->watched & EPOLLIN) && (failed || (events & EPOLLIN)))
		on_readable(s);
}

static void
side_init(struct side *s, int fd, struct pair *p, struct side *peer)
{
	int on = 1;

	s->fd = fd;
	s->pair = p;
	s->peer = peer;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void
on_accept(void)
{
	int client = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int server;
	struct pair *p;

	if (client < 0) {
		if (errno == EMFILE || errno == ENFILE)
			watch_listener(false);
		return;
	}
	server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (server < 0) {
		close(client);
		return;
	}
	if (connect(server, (struct sockaddr *)&server_addr, sizeof server_addr) != 0 &&
	    errno != EINPROGRESS) {
		close(client);
		close(server);
		return;
	}
	p = calloc(1, sizeof *p);
	if (p == NULL)
		die("calloc");
	side_init(&p->client, client, p, &p->server);
	side_init(&p->server, server, p, &p->client);
	watch_needed(&p->client);
	watch_needed(&p->server);
}

static struct sockaddr_in
loopback(const char *port)
{
	char *end;
	long n = strtol(port, &end, 10);

	if (*end != '\0' || n < 1 || n > 65535) {
		fprintf(stderr, "relay: not a port: %s\n", port);
		exit(2);
	}
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)n),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static void
listen_on(const struct sockaddr_in *addr)
{
	int on = 1;

	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listen_fd < 0)
		die("socket");
	setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listen_fd, (const struct sockaddr *)addr, sizeof *addr) != 0)
		die("bind");
	if (listen(listen_fd, 4096) != 0)
		die("listen");
}

static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void
run_once(void)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(epoll_fd, events, EVENTS, -1);

	if (n < 0 && errno != EINTR)
		die("epoll_wait");
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == NULL)
			on_accept();
		else
			on_event(events[i].data.ptr, events[i].events);
	}
	free_closed_pairs();
}

int
main(int argc, char **argv)
{
	struct sockaddr_in listen_addr;

	if (argc != 3) {
		fprintf(stderr, "usage: relay LISTENPORT SERVERPORT\n");
		return 2;
	}
	listen_addr = loopback(argv[1]);
	server_addr = loopback(argv[2]);
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1");
	listen_on(&listen_addr);
	watch_listener(true);
	for (;;)
		run_once();
}
