/* The server of an exchange: it reads what the engine sends it, strictly, and answers from a script,
 * whatever that says. The byte 0x01 in an answer is the id of the request.
 */
#ifndef TG_FUZZ_EXCHANGE_SERVER_H
#define TG_FUZZ_EXCHANGE_SERVER_H

#include <errno.h>

#include "exchange.h"
#include "http1_oracle.h"
#include "strict.h"

enum {
	PARTS = 32,
	CONNECTIONS = 48,
	SEEN_MAX = 1 << 18,
	ID_LEN = 3,
	SECRET_LEN = 3,
	TURNS_MOST = 200000,
};

enum server_flag {
	SERVER_CLOSES = 1,   /* when it has sent all */
	SERVER_HASTY = 2,    /* answers as soon as the head is there */
	SERVER_BY_1 = 4,     /* byte by byte */
	SERVER_MUTE = 8,     /* closes without a word */
	SERVER_NO_READ = 16, /* reads no more after this */
};

struct part {
	const char *at;
	size_t len;
};

/* A connection of the server. */
struct connection {
	int fd;
	bool answered; /* the request that is awaited has its answer already */
	int id;        /* of the last one that has */
	bool deaf, closes, by_1;
	size_t begin; /* of that request, in `seen` */
	size_t len;   /* of `seen` */
	char *unsent;
	size_t unsent_len;
	char seen[SEEN_MAX]; /* all that came */
};

static struct part answers[PARTS]; /* the server's script */
static unsigned answer_count, next_answer;
static struct connection connections[CONNECTIONS];
static unsigned connection_count;
static unsigned heads_seen[EXCHANGE_REQUESTS];      /* times that a server has got each request */
static struct body sent[EXCHANGE_REQUESTS + 1];     /* by clients, as llhttp decodes it */
static struct body answered[EXCHANGE_REQUESTS + 1]; /* by servers, with the last answer */
static char secret[SECRET_LEN + 1];
static bool moved; /* something has happened in this turn */

/* --- the server --------------------------------------------------------------------------- */

static void
drop(struct connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
	free(connection->unsent);
	connection->unsent = NULL;
	connection->unsent_len = 0;
	moved = true;
}

/* What the server has sent for `id`, from `at` on. */
static void
note_answer(const struct connection *connection, size_t at, int id)
{
	struct body *body = &answered[id - ID_BASE];

	*body = (struct body){ .whole = false };
	(void)bodies_of(connection->unsent + at, connection->unsent_len - at, HTTP_RESPONSE,
	    exchange.requests[id - ID_BASE].method == TG_METHOD_HEAD, body, 1);
}

/* Take the next answer of the script for request `id`. */
static void
answer(struct connection *connection, int id)
{
	static const char usual[] = "\2HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Id: \1\r\n\r\n";
	struct part part = { usual, sizeof(usual) - 1 };
	char text[SECRET_LEN + 12];
	size_t start;
	char *out;

	snprintf(text, sizeof(text), "%s%03d", secret, id);
	if (next_answer < answer_count)
		part = answers[next_answer++];
	connection->answered = true;
	if (part.len == 0 || (part.at[0] & SERVER_MUTE) != 0) {
		drop(connection);
		return;
	}
	connection->closes = (part.at[0] & SERVER_CLOSES) != 0;
	connection->by_1 = (part.at[0] & SERVER_BY_1) != 0;
	connection->deaf = (part.at[0] & SERVER_NO_READ) != 0;
	out = realloc(connection->unsent, connection->unsent_len + part.len * sizeof(text));
	MUST(out != NULL);
	connection->unsent = out;
	start = connection->unsent_len;
	for (size_t i = 1; i < part.len; i++) {
		if (part.at[i] == '\1') {
			memcpy(out + connection->unsent_len, text, SECRET_LEN + ID_LEN);
			connection->unsent_len += SECRET_LEN + ID_LEN;
		} else {
			out[connection->unsent_len++] = part.at[i];
		}
	}
	note_answer(connection, start, id);
}

static void
must_be_body(const struct body *got, const struct body *wanted)
{
	if (wanted->whole)
		MUST(got->len == wanted->len && got->hash == wanted->hash);
}

static bool
is_hasty(void)
{
	return next_answer < answer_count && answers[next_answer].len > 0 &&
	    (answers[next_answer].at[0] & SERVER_HASTY) != 0;
}

/* What no server may be sent. */
static void
judge_head(const struct strict *message)
{
	static const char *const hop[] = { "Keep-Alive", "Proxy-Connection", "TE", "Trailer",
		"HTTP2-Settings" };
	size_t from = 0, at = 0, len;
	const char *value;
	bool last = false; /* is the last Via ours? */
	int id;

	MUST(strict_count(message, "Host") == 1);
	for (size_t i = 0; i < sizeof(hop) / sizeof(hop[0]); i++)
		MUST(strict_count(message, hop[i]) == 0);
	MUST(strict_count(message, "Connection") <= 1);
	MUST(strict_count(message, "Connection") == strict_count(message, "Upgrade"));
	if ((value = strict_next(message, "Connection", &from, &len)) != NULL)
		MUST(len == 7 && memcmp(value, "upgrade", 7) == 0);
	from = 0;
	while ((value = strict_next(message, "Via", &at, &len)) != NULL)
		last = len == 12 && (memcmp(value, "1.", 2) == 0 || memcmp(value, "2.0", 3) == 0) &&
		    memcmp(value + 3, " tidegate", 9) == 0;
	MUST(last);
	MUST(strict_count(message, "X-Id") == 1 && strict_count(message, "X-Forwarded-Proto") == 1);
	value = strict_next(message, "X-Id", &from, &len);
	MUST(len == ID_LEN);
	id = atoi(value) - ID_BASE;
	MUST(id >= 0 && id < (int)exchange.count);
	heads_seen[id]++;
	switch (exchange.requests[id].method) {
	case TG_METHOD_GET:
	case TG_METHOD_HEAD:
	case TG_METHOD_PUT:
	case TG_METHOD_DELETE:
	case TG_METHOD_OPTIONS:
	case TG_METHOD_TRACE:
		break;
	default:
		MUST(heads_seen[id] == 1); /* RFC 9110 §9.2.2 */
	}
}

static int
id_of(const struct strict *message)
{
	size_t from = 0, len;
	const char *value = strict_next(message, "X-Id", &from, &len);

	MUST(value != NULL && len == ID_LEN);
	return atoi(value);
}

/* Look at what has come: requests one after the other, and nothing else. */
static void
look(struct connection *connection)
{
	struct strict message;
	enum strict_result result = STRICT_WHOLE;

	if (connection->id != 0 && exchange.requests[connection->id - ID_BASE].tunnel)
		return;
	while (
	    result == STRICT_WHOLE && connection->begin < connection->len && connection->fd >= 0) {
		bool known = connection->answered;

		result = strict_read(&message, connection->seen + connection->begin,
		    connection->len - connection->begin, false, false);
		MUST(result != STRICT_BAD);
		if (message.head == 0)
			return;
		if (result == STRICT_WHOLE) {
			connection->begin += message.used;
			must_be_body(&message.body, &sent[id_of(&message) - ID_BASE]);
		}
		if (!known && (result == STRICT_WHOLE || is_hasty())) {
			judge_head(&message);
			connection->id = id_of(&message);
			answer(connection, connection->id);
		}
		if (result == STRICT_WHOLE)
			connection->answered = false;
	}
}

static void
serve(struct connection *connection)
{
	size_t room = SEEN_MAX - connection->len;
	ssize_t n = connection->deaf
	    ? -1
	    : recv(connection->fd, connection->seen + connection->len, room, 0);

	if (n > 0) {
		moved = true;
		connection->len += (size_t)n;
		MUST(connection->len < SEEN_MAX);
		look(connection);
	} else if (n == 0 || (n < 0 && !connection->deaf && errno != EAGAIN)) {
		drop(connection);
	}
	if (connection->unsent_len > 0) {
		size_t len = connection->by_1 ? 1 : connection->unsent_len;

		n = send(connection->fd, connection->unsent, len, MSG_NOSIGNAL);
		if (n > 0) {
			moved = true;
			connection->unsent_len -= (size_t)n;
			memmove(connection->unsent, connection->unsent + n, connection->unsent_len);
		}
		if (n < 0 && errno != EAGAIN)
			drop(connection);
	}
	if (connection->unsent_len == 0 && connection->closes)
		drop(connection);
}

static void
run_server(void)
{
	int fd;

	while (connection_count < CONNECTIONS &&
	    (fd = accept4(exchange.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *connection = &connections[connection_count++];

		memset(connection, 0, offsetof(struct connection, seen));
		connection->fd = fd;
		moved = true;
	}
	for (unsigned i = 0; i < connection_count; i++)
		if (connections[i].fd >= 0)
			serve(&connections[i]);
}

#endif
