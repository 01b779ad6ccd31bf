/* Whole exchanges: arbitrary bytes of clients and of servers through the real engine. Whatever they
 * are, each server must read exactly the requests that the engine meant to send, each client exactly
 * the answers to what it asked, and nobody what is meant for another.
 *
 * The input: a byte of flags, then parts. 0xFE begins a part, and its next byte says what it is:
 *   'c'  the bytes of one more client, which comes when the one before has got all it will get;
 *   's'  what the server answers to its next request, after a byte of flags; in it, the byte 0x01 is
 *        the id of that request, behind letters that are nowhere in the input.
 */
#include <errno.h>

#include "exchange.h"
#include "http1_oracle.h"
#include "strict.h"

enum {
	PARTS = 32,
	CONNECTIONS = 48,
	SEEN_MAX = 1 << 16,
	ID_LEN = 3,
	SECRET_LEN = 3,
	TURNS_MOST = 200000
};

enum client_flag {
	CLIENT_HALF_CLOSES = 1, /* when it has sent all */
	CLIENT_GOES = 2,        /* when it has sent all */
	CLIENT_BY_1 = 4,        /* byte by byte */
	CLIENT_BY_7 = 8,
	CLIENT_MAY_UPGRADE = 16,
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

static struct part clients[PARTS], answers[PARTS];
static unsigned client_count, answer_count, next_answer;
static struct connection connections[CONNECTIONS];
static unsigned connection_count;
static unsigned heads_seen[EXCHANGE_REQUESTS]; /* times that a server has got each request */
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

/* Take the next answer of the script for request `id`. */
static void
answer(struct connection *connection, int id)
{
	static const char usual[] = "\2HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Id: \1\r\n\r\n";
	struct part part = { usual, sizeof(usual) - 1 };
	char text[SECRET_LEN + 12];
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
	for (size_t i = 1; i < part.len; i++) {
		if (part.at[i] == '\1') {
			memcpy(out + connection->unsent_len, text, SECRET_LEN + ID_LEN);
			connection->unsent_len += SECRET_LEN + ID_LEN;
		} else {
			out[connection->unsent_len++] = part.at[i];
		}
	}
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
		last = len == 12 && memcmp(value, "1.", 2) == 0 &&
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
		if (result == STRICT_WHOLE)
			connection->begin += message.used;
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

/* --- clients ------------------------------------------------------------------------------ */

struct client {
	int fd;
	unsigned first; /* of its requests, in exchange.requests */
	size_t len;     /* of `got` */
	bool ended;     /* the engine has closed */
	char got[SEEN_MAX];
};

static void
take(struct client *client)
{
	ssize_t n;

	while (!client->ended &&
	    (n = recv(client->fd, client->got + client->len, SEEN_MAX - client->len, 0)) != -1) {
		moved = true;
		client->len += (size_t)n;
		client->ended = n == 0;
		MUST(client->len < SEEN_MAX);
	}
}

/* Everybody gets a turn. Whether anything has happened in it. */
static bool
turn(struct client *client)
{
	unsigned handles = exchange.engine.open_handles;

	moved = false;
	exchange_turn();
	run_server();
	take(client);
	return moved || handles != exchange.engine.open_handles;
}

/* Until nothing happens any more. */
static void
settle(struct client *client)
{
	unsigned turns = 0;

	for (int idle = 0; idle < 2; idle++) {
		if (turn(client))
			idle = -1;
		MUST(++turns < TURNS_MOST);
	}
}

static void
speak(struct client *client, struct part part, int flags)
{
	size_t piece = (flags & CLIENT_BY_1) != 0 ? 1 : (flags & CLIENT_BY_7) != 0 ? 7 : part.len;

	for (size_t at = 0; at < part.len && !client->ended;) {
		size_t len = part.len - at < piece ? part.len - at : piece;
		ssize_t n = send(client->fd, part.at + at, len, MSG_NOSIGNAL);

		if (n > 0)
			at += (size_t)n;
		else if (errno != EAGAIN)
			break;
		(void)turn(client);
		if (n < 0)
			break; /* the engine reads no more */
	}
}

/* Did the engine see it end, and well? */
static bool
ended_well(const struct exchange_request *request)
{
	return request->ended && (request->end == TG_END_OK || request->end == TG_END_ANSWERED);
}

/* The answers that a client has got are those to its requests, in their order, and only the last may
 * be cut. */
static void
judge_answers(const struct client *client)
{
	unsigned at_request = client->first;
	size_t at = 0, from, len;
	struct strict message;

	while (at < client->len) {
		const struct exchange_request *request = &exchange.requests[at_request];
		enum strict_result result;
		const char *id;

		if (at_request == EXCHANGE_REQUESTS)
			return;
		MUST(at_request < exchange.count);
		result = strict_read(&message, client->got + at, client->len - at, true,
		    request->method == TG_METHOD_HEAD);
		MUST(result != STRICT_BAD);
		if (message.head == 0) {
			MUST(!ended_well(request));
			return;
		}
		if (message.status == 101) {
			MUST(request->tunnel);
			return;
		}
		if (message.status < 200) {
			MUST(request->routed);
			at += message.used;
			continue;
		}
		from = 0;
		id = strict_next(&message, "X-Answers", &from, &len);
		MUST(strict_count(&message, "X-Answers") <= 1 &&
		    strict_count(&message, "Date") >= 1);
		if (id != NULL)
			MUST(request->routed && len == ID_LEN &&
			    atoi(id) == (int)(ID_BASE + at_request));
		if (result == STRICT_MORE || (message.until_close && !client->ended)) {
			MUST(!ended_well(request));
			return;
		}
		at += message.used;
		at_request++;
	}
}

static void
run_client(struct part part, int flags)
{
	static struct client client;

	memset(&client, 0, offsetof(struct client, got));
	client.first = exchange.count;
	client.fd = exchange_connect();
	speak(&client, part, flags);
	if ((flags & CLIENT_GOES) != 0) {
		close(client.fd);
		client.ended = true;
		settle(&client);
	} else {
		if ((flags & CLIENT_HALF_CLOSES) != 0)
			shutdown(client.fd, SHUT_WR);
		settle(&client);
		judge_answers(&client);
		close(client.fd);
		client.ended = true;
		settle(&client);
	}
}

/* --- the input ---------------------------------------------------------------------------- */

static void
split(const char *at, const char *end)
{
	client_count = answer_count = next_answer = 0;
	while (at < end) {
		const char *mark = memchr(at, 0xFE, (size_t)(end - at)),
		           *stop = mark != NULL ? mark : end;
		struct part part = { at + 1,
			(size_t)(stop - at) > 0 ? (size_t)(stop - at) - 1 : 0 };

		if (stop > at && *at == 'c' && client_count < PARTS)
			clients[client_count++] = part;
		else if (stop > at && *at == 's' && answer_count < PARTS)
			answers[answer_count++] = part;
		at = stop + 1;
	}
}

/* Three letters that the input does not hold. */
static void
choose_secret(const uint8_t *data, size_t size)
{
	for (unsigned n = 0; n < 26 * 26 * 26; n++) {
		snprintf(secret, sizeof(secret), "%c%c%c", 'A' + (int)(n / 676),
		    'A' + (int)(n / 26 % 26), 'A' + (int)(n % 26));
		if (memmem(data, size, secret, SECRET_LEN) == NULL)
			return;
	}
	abort();
}

/* What was taken for the answer to request `id`: if it says whose it is, it is that. */
static void
on_response(struct tg_req *req, int id)
{
	const struct tg_field *field = tg_head_find(&req->out, TG_STR("X-Id"), NULL);
	char text[SECRET_LEN + 12];

	if (field == NULL || field->value.len != SECRET_LEN + ID_LEN ||
	    memcmp(field->value.ptr, secret, SECRET_LEN) != 0)
		return;
	snprintf(text, sizeof(text), "%s%03d", secret, id);
	MUST(memcmp(field->value.ptr, text, SECRET_LEN + ID_LEN) == 0);
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

	if (!open) {
		exchange_open();
		atexit(exchange_close);
		exchange.on_response = on_response;
		open = true;
	}
	if (size < 2)
		return 0;
	choose_secret(data, size);
	memset(heads_seen, 0, sizeof(heads_seen));
	connection_count = 0;
	exchange.generation.plan->listeners[0].options.upgrade =
	    (data[0] & CLIENT_MAY_UPGRADE) != 0;
	split((const char *)data + 1, (const char *)data + size);
	for (unsigned i = 0; i < client_count; i++)
		run_client(clients[i], data[0]);
	exchange_clear();
	for (unsigned i = 0; i < connection_count; i++)
		drop(&connections[i]);
	return 0;
}
