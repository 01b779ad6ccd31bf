/* talk: WebSocket messages (RFC 6455), both ends of them.
 *
 *     talk serve PORT                       a server that says every message again, and 200 to what is no upgrade
 *     talk ask PORT CLIENTS SECONDS BYTES   clients that say a message, wait until it comes back, and say the next
 *
 * One thread. Messages are text of at most 125 bytes, in one frame. `ask` ends with one line as lib/wrk.lua does; a
 * request is a message and its echo there.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, ROOM = 1024, MOST = 125, MAX_SAMPLES = 1 << 22 };
enum { FIN_TEXT = 0x81, MASKED = 0x80, MASK = 4 };

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

struct peer {
	int fd;
	bool talking; /* the head is behind us */
	size_t len;
	uint64_t said_at; /* ns */
	char bytes[ROOM];
};

static int epoll_fd, listen_fd = -1;
static size_t size; /* of a message */
static uint32_t *samples;
static uint64_t messages, errors;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct peer *
new_peer(int fd)
{
	struct peer *peer = calloc(1, sizeof *peer);
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = peer };
	int on = 1;

	if (peer == NULL)
		die("calloc");
	peer->fd = fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
		die("epoll_ctl");
	return peer;
}

static void
leave(struct peer *peer)
{
	close(peer->fd);
	free(peer);
}

static bool
put(struct peer *peer, const void *bytes, size_t len)
{
	return write(peer->fd, bytes, len) == (ssize_t)len;
}

/* --- the server --------------------------------------------------------------------------- */

/* Answer a head. */
static bool
answer(struct peer *peer)
{
	const char *key = strcasestr(peer->bytes, "\r\nSec-WebSocket-Key: ");
	unsigned char hash[SHA_DIGEST_LENGTH], accept[64];
	char text[256];

	if (key == NULL) {
		static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

		return put(peer, ok, sizeof ok - 1);
	}
	key += strlen("\r\nSec-WebSocket-Key: ");
	snprintf(text, sizeof text, "%.24s" GUID, key);
	SHA1((unsigned char *)text, strlen(text), hash);
	EVP_EncodeBlock(accept, hash, sizeof hash);
	peer->talking = true;
	snprintf(text, sizeof text,
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %s\r\n\r\n",
	    accept);
	return put(peer, text, strlen(text));
}

/* A masked frame becomes one without. Returns its length as it came; 0: not all is there. */
static size_t
echo(struct peer *peer, char *frame, size_t len)
{
	size_t body = len >= 2 ? (size_t)(frame[1] & 0x7f) : 0;
	char *mask = frame + 2, *text = mask + MASK;

	if (len < 2 + MASK + body || len < 2)
		return 0;
	for (size_t i = 0; i < body; i++)
		text[i] = (char)(text[i] ^ mask[i % MASK]);
	text[-2] = (char)FIN_TEXT;
	text[-1] = (char)body;
	if (!put(peer, text - 2, body + 2))
		return SIZE_MAX;
	return 2 + MASK + body;
}

/* Work through what has come. False: it is over with the peer. */
static bool
serve(struct peer *peer)
{
	size_t used = 0, n = 1;

	if (!peer->talking) {
		char *end;

		peer->bytes[peer->len] = '\0';
		end = strstr(peer->bytes, "\r\n\r\n");
		if (end == NULL)
			return true;
		if (!answer(peer))
			return false;
		used = (size_t)(end + 4 - peer->bytes);
	}
	while (peer->talking && n > 0 && used < peer->len) {
		n = echo(peer, peer->bytes + used, peer->len - used);
		if (n == SIZE_MAX)
			return false;
		used += n;
	}
	peer->len -= used;
	memmove(peer->bytes, peer->bytes + used, peer->len);
	return true;
}

/* --- the clients -------------------------------------------------------------------------- */

static bool
say(struct peer *peer)
{
	unsigned char frame[2 + MASK + MOST] = { FIN_TEXT, MASKED | (unsigned char)size, 1, 2, 3,
		4 };

	for (size_t i = 0; i < size; i++)
		frame[2 + MASK + i] = 'm' ^ frame[2 + i % MASK];
	peer->said_at = now_ns();
	return put(peer, frame, 2 + MASK + size);
}

static bool
hear(struct peer *peer)
{
	if (!peer->talking) {
		peer->bytes[peer->len] = '\0';
		if (strstr(peer->bytes, "\r\n\r\n") == NULL)
			return true;
		if (strncmp(peer->bytes, "HTTP/1.1 101", 12) != 0)
			return false;
		peer->talking = true;
	} else if (peer->len < 2 + size) {
		return true;
	} else if (peer->len > 2 + size || peer->bytes[2] != 'm' || peer->bytes[1 + size] != 'm') {
		return false;
	} else {
		if (messages < MAX_SAMPLES)
			samples[messages] = (uint32_t)((now_ns() - peer->said_at) / 1000);
		messages++;
	}
	peer->len = 0;
	return say(peer);
}

static void
connect_all(struct sockaddr_in *addr, int count)
{
	static const char head[] =
	    "GET /talk HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n";

	for (int i = 0; i < count; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || connect(fd, (struct sockaddr *)addr, sizeof *addr) != 0)
			die("connect");
		if (!put(new_peer(fd), head, sizeof head - 1))
			die("write");
	}
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void
report(double seconds)
{
	size_t count = messages < MAX_SAMPLES ? messages : MAX_SAMPLES;

	qsort(samples, count, sizeof *samples, compare);
	printf(
	    "RESULT {\"requests\":%llu,\"seconds\":%.6f,\"errors\":%llu,\"p50\":%u,\"p99\":%u}\n",
	    (unsigned long long)messages, seconds, (unsigned long long)errors,
	    count > 0 ? samples[count / 2] : 0, count > 0 ? samples[count * 99 / 100] : 0);
}

/* --- both --------------------------------------------------------------------------------- */

static void
on_event(struct peer *peer, bool (*work)(struct peer *))
{
	ssize_t got = read(peer->fd, peer->bytes + peer->len, ROOM - 1 - peer->len);

	if (got > 0) {
		peer->len += (size_t)got;
		if (work(peer))
			return;
	}
	errors++;
	leave(peer);
}

static void
run(uint64_t until, bool (*work)(struct peer *))
{
	struct epoll_event events[EVENTS];

	while (now_ns() < until) {
		int n = epoll_wait(epoll_fd, events, EVENTS, 100);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr != NULL)
				on_event(events[i].data.ptr, work);
			else
				new_peer(accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC));
		}
	}
}

static void
listen_on(struct sockaddr_in *addr)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int on = 1;

	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (listen_fd < 0 || bind(listen_fd, (struct sockaddr *)addr, sizeof *addr) != 0 ||
	    listen(listen_fd, 4096) != 0)
		die("listen");
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &ev);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	bool ask = argc == 6 && strcmp(argv[1], "ask") == 0;
	uint64_t began;

	if (!ask && (argc != 3 || strcmp(argv[1], "serve") != 0)) {
		fprintf(stderr, "usage: talk serve PORT | talk ask PORT CLIENTS SECONDS BYTES\n");
		return 2;
	}
	addr.sin_port = htons((uint16_t)atoi(argv[2]));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!ask) {
		listen_on(&addr);
		run(UINT64_MAX, serve);
		return 0;
	}
	size = (size_t)atoi(argv[5]);
	samples = malloc(MAX_SAMPLES * sizeof *samples);
	if (samples == NULL || size == 0 || size > MOST)
		die("a message is of 1 to 125 bytes");
	connect_all(&addr, atoi(argv[3]));
	began = now_ns();
	run(began + (uint64_t)atoi(argv[4]) * 1000000000u, hear);
	report((double)(now_ns() - began) / 1e9);
	return 0;
}
