/* Whole exchanges: arbitrary bytes of clients and of servers through the real engine. Whatever they
 * are, each server must read exactly the requests that the engine meant to send, each client exactly
 * the answers to what it asked, and nobody what is meant for another.
 *
 * The input: a byte of flags, then parts. 0xFE begins a part, and its next byte says what it is:
 *   'c'  the bytes of one more client, which comes when the one before has got all it will get;
 *   's'  what the server answers to its next request, after a byte of flags; in it, the byte 0x01 is
 *        the id of that request, behind letters that are nowhere in the input.
 */
#include "exchange_server.h"

enum client_flag {
	CLIENT_HALF_CLOSES = 1, /* when it has sent all */
	CLIENT_GOES = 2,        /* when it has sent all */
	CLIENT_BY_1 = 4,        /* byte by byte */
	CLIENT_BY_7 = 8,
	CLIENT_MAY_UPGRADE = 16,
	CLIENT_HOOKS_WAIT = 32,
};

static struct part clients[PARTS];
static unsigned client_count;

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
	moved |= exchange_wake();
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
	MUST(exchange_all_watched());
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
		if (id != NULL && !message.until_close)
			must_be_body(&message.body, &answered[at_request]);
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
	memset(sent + client.first, 0, sizeof(sent) - client.first * sizeof(sent[0]));
	if (client.first < EXCHANGE_REQUESTS)
		(void)bodies_of(part.at, part.len, HTTP_REQUEST, false, sent + client.first,
		    EXCHANGE_REQUESTS - client.first);
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
	exchange.park = (data[0] & CLIENT_HOOKS_WAIT) != 0 ? (uint32_t)size * 2654435761u | 1 : 0;
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
