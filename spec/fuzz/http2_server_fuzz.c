/* Answers over HTTP/2: a server that says anything, through the real engine, to clients of HTTP/1.1. Whatever it says, each
 * client must get well-formed answers, at most one to each request, and the engine must come to an end with it.
 *
 * The input: a byte of flags, then frames. 0xFE begins one: its type, its flags and its stream, a byte each, and the
 * payload. The server's settings come first. All connections of the engine hear the same.
 */
#include <errno.h>
#include <nghttp2/nghttp2.h>

#include "exchange.h"
#include "http1_oracle.h"
#include "strict.h"

enum flag {
	SERVER_CLOSES = 1, /* when it has said all */
	SERVER_BY_7 = 2,   /* seven bytes at a time */
	CLIENT_POSTS = 4,
	CLIENT_GOES = 8, /* when it has sent all */
	HOOKS_WAIT = 32,
};

enum { FRAME_HEAD = 9, CLIENTS = 3, SERVERS = 16, TURNS_MOST = 200000, GOT_MAX = 1 << 18 };

static struct peer {
	int fd;
	size_t at; /* of `said` */
} servers[SERVERS];
static unsigned server_count;

static struct {
	int fd;
	size_t len;
	bool ended;
	char got[GOT_MAX];
} clients[CLIENTS];

static char *said; /* by each server */
static size_t said_len;
static bool moved;

/* --- the server ---------------------------------------------------------------------------- */

static void
say_frame(int type, int flags, int id, const char *payload, size_t len)
{
	char *frame;

	len = len < 4096 ? len : 4096;
	said = realloc(said, said_len + FRAME_HEAD + len);
	MUST(said != NULL);
	frame = said + said_len;
	memset(frame, 0, FRAME_HEAD);
	frame[1] = (char)(len >> 8);
	frame[2] = (char)len;
	frame[3] = (char)type;
	frame[4] = (char)flags;
	frame[8] = (char)id;
	if (len > 0)
		memcpy(frame + FRAME_HEAD, payload, len);
	said_len += FRAME_HEAD + len;
}

static void
drop(struct peer *server)
{
	if (server->fd >= 0)
		close(server->fd);
	server->fd = -1;
	moved = true;
}

static void
serve(struct peer *server, int flags)
{
	static char heard[1 << 16];
	size_t left = said_len - server->at;
	ssize_t n = recv(server->fd, heard, sizeof(heard), 0);

	moved |= n > 0;
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		drop(server);
		return;
	}
	if ((flags & SERVER_BY_7) != 0 && left > 7)
		left = 7;
	n = left > 0 ? send(server->fd, said + server->at, left, MSG_NOSIGNAL) : 0;
	if (n > 0) {
		server->at += (size_t)n;
		moved = true;
	}
	if (server->at == said_len && (flags & SERVER_CLOSES) != 0)
		drop(server);
}

/* --- the clients --------------------------------------------------------------------------- */

static void
take(unsigned i)
{
	ssize_t n;

	while (!clients[i].ended &&
	    (n = recv(clients[i].fd, clients[i].got + clients[i].len, GOT_MAX - clients[i].len,
	         0)) != -1) {
		moved = true;
		clients[i].len += (size_t)n;
		clients[i].ended = n == 0;
		MUST(clients[i].len < GOT_MAX);
	}
}

static bool
turn(int flags)
{
	unsigned handles = exchange.engine.open_handles;
	int fd;

	moved = false;
	exchange_turn();
	while (server_count < SERVERS &&
	    (fd = accept4(exchange.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		servers[server_count++] = (struct peer){ fd, 0 };
	for (unsigned i = 0; i < server_count; i++)
		if (servers[i].fd >= 0)
			serve(&servers[i], flags);
	for (unsigned i = 0; i < CLIENTS; i++)
		take(i);
	moved |= exchange_wake();
	return moved || handles != exchange.engine.open_handles;
}

static void
settle(int flags)
{
	unsigned turns = 0;

	for (int idle = 0; idle < 2; idle++) {
		if (turn(flags))
			idle = -1;
		MUST(++turns < TURNS_MOST);
	}
	MUST(exchange_all_watched());
}

/* Whole answers, one after the other, of which the last may be cut; each client has asked twice. */
static void
judge(unsigned i)
{
	struct strict message;
	unsigned finals = 0;
	size_t at = 0;

	while (at < clients[i].len) {
		enum strict_result result =
		    strict_read(&message, clients[i].got + at, clients[i].len - at, true, false);

		MUST(result != STRICT_BAD);
		if (message.head == 0 || result == STRICT_MORE)
			return;
		finals += message.status >= 200;
		MUST(finals <= 2 && message.status != 101);
		at += message.used;
	}
}

static void
run(int flags)
{
	static const char gets[] =
	    "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
	                  posts[] =
	                      "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	                      "3\r\nabc\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n";
	const char *asked = (flags & CLIENT_POSTS) != 0 ? posts : gets;

	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i].fd = exchange_connect();
		clients[i].len = 0;
		clients[i].ended = false;
		MUST(send(clients[i].fd, asked, strlen(asked), MSG_NOSIGNAL) ==
		    (ssize_t)strlen(asked));
		(void)turn(flags);
	}
	if ((flags & CLIENT_GOES) == 0)
		settle(flags);
	for (unsigned i = 0; i < CLIENTS; i++) {
		judge(i);
		close(clients[i].fd);
		clients[i].ended = true;
	}
	settle(flags);
}

/* Free blocks are chained through memory that is poisoned. */
const char *
__lsan_default_options(void)
{
	return "use_poisoned=1";
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool open;
	const char *at = (const char *)data + 1, *end = (const char *)data + size;

	if (!open) {
		exchange_open();
		atexit(exchange_close);
		exchange.generation.plan->backends[0].options.http2 = 1;
		exchange.generation.plan->backends[0].options.max_streams = 2;
		open = true;
	}
	if (size < 2)
		return 0;
	exchange.park = (data[0] & HOOKS_WAIT) != 0 ? (uint32_t)size * 2654435761u | 1 : 0;
	said_len = 0;
	server_count = 0;
	say_frame(NGHTTP2_SETTINGS, 0, 0, "", 0);
	while (at < end) {
		const char *mark = memchr(at, 0xFE, (size_t)(end - at)),
		           *stop = mark != NULL ? mark : end;

		if (stop - at >= 3)
			say_frame((unsigned char)at[0], (unsigned char)at[1], (unsigned char)at[2],
			    at + 3, (size_t)(stop - at) - 3);
		at = stop + 1;
	}
	run(data[0]);
	exchange_clear();
	for (unsigned i = 0; i < server_count; i++)
		drop(&servers[i]);
	free(said);
	said = NULL;
	return 0;
}
