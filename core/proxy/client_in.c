/* What clients say: bytes to requests, whatever protocol they speak. */
#include "proxy/arrival.h"
#include "proxy/client.h"
#include "proxy/relay.h"
#include "proxy/req.h"
#include "proxy/session.h"
#include "proxy/tcp.h"
#include "proxy/tunnel.h"

enum {
	LINGER_BYTES = 1024 * 1024,
};

static enum tg_end
end_of_error(int error)
{
	switch (error) {
	case TG_HTTP_URI_TOO_LONG:
		return TG_END_URI_TOO_LONG;
	case TG_HTTP_TOO_LARGE:
		return TG_END_HEAD_TOO_LARGE;
	case TG_HTTP_VERSION:
		return TG_END_VERSION;
	case TG_HTTP_NOT_IMPLEMENTED:
		return TG_END_NOT_IMPLEMENTED;
	case TG_HTTP_MEMORY:
		return TG_END_MEMORY;
	default:
		return TG_END_BAD_REQUEST;
	}
}

/* What there is of it is for the log. */
static void
refuse_head(struct tg_req *req, int error)
{
	req->view.method = req->in.method;
	req->view.target = req->in.target;
	tg_req_end(req, end_of_error(error));
}

static size_t
read_head(struct tg_client *client, const char *data, size_t len)
{
	struct tg_req *req = client->req;
	size_t used = 0;
	int r = tg_http1_head(&req->in_codec, data, len, &used);

	if (r < 0) {
		refuse_head(req, r);
		return len;
	}
	if (r == 1) {
		tg_loop_timer_stop(client->engine->loop, &client->timer);
		tg_req_start(req);
	}
	return used;
}

void
tg_client_head(struct tg_client *client, struct tg_head *head, int error)
{
	struct tg_req *req = client->req;

	tg_arena_move(&req->arena, head->arena);
	req->in = *head;
	req->in.arena = &req->arena;
	tg_http1_told_init(&req->in_codec, &req->in);
	if (error != 0)
		refuse_head(req, error);
	else
		tg_req_start(req);
}

void
tg_client_bad_body(struct tg_client *client)
{
	if (client->state == TG_CLIENT_BUSY)
		tg_req_end(client->req, TG_END_BAD_BODY);
}

/* The length of empty lines before another request: some clients send one behind a body (RFC 9112 §2.2).
 * They are no request, and nobody is given more time for them. */
static size_t
empty_lines(struct tg_client *client, const char *data, size_t len)
{
	size_t at = 0;

	while (at < len && data[at] == (client->half_line ? '\n' : '\r')) {
		client->half_line = !client->half_line;
		at++;
	}
	return at;
}

/* The request's reader has to judge what begins with half an empty line. */
static void
give_half_line(struct tg_client *client)
{
	size_t used;

	if (client->half_line)
		(void)!tg_http1_head(&client->req->in_codec, "\r", 1, &used);
	client->half_line = false;
}

/* False: out of memory, and the client is closed. */
static bool
begin_request(struct tg_client *client)
{
	struct tg_req *req = tg_req_new(client, false);

	if (req == NULL) {
		tg_client_close(client, false);
		return false;
	}
	client->req = req;
	client->state = TG_CLIENT_BUSY;
	client->fresh = false;
	client->progress = 0;
	tg_client_await(client, req->listener->options.head_ms);
	return true;
}

void
tg_client_request(struct tg_client *client, struct tg_str bytes)
{
	if (begin_request(client))
		(void)read_head(client, bytes.ptr, bytes.len);
}

size_t
tg_client_hear(struct tg_client *client, char *data, size_t len)
{
	struct tg_req *req;

	if (client->state == TG_CLIENT_IDLE && client->fresh && !client->sniffed &&
	    !tg_conn_secure(&client->conn) && tg_port_options(client->port)->http2) {
		size_t used = tg_arrival_sniff(client, data, len);

		if (used > 0)
			return used;
	}
	req = client->req;

	if (client->state == TG_CLIENT_PROXIED)
		return tg_arrival_proxied(client, data, len);
	if (client->state == TG_CLIENT_SECURING)
		return 0; /* it is not ours */
	if (client->state == TG_CLIENT_IDLE) {
		size_t empty = client->fresh ? 0 : empty_lines(client, data, len);

		if (empty > 0)
			return empty;
		if (!tg_conn_drained(&client->conn))
			return 0; /* or answers would pile up for who asks and does not read */
		if (!begin_request(client))
			return len;
		give_half_line(client);
		req = client->req;
	}
	if (client->state == TG_CLIENT_SESSION) {
		tg_session_receive(client->session, data, len);
		return len;
	}
	if (client->state != TG_CLIENT_BUSY) { /* closing: whatever comes is thrown away */
		client->progress += (uint32_t)len;
		if (client->progress > LINGER_BYTES)
			tg_client_close(client, false);
		return len;
	}
	if (req->tunnel)
		return tg_tunnel_from_client(req, data, len);
	if (req->view.raw)
		return tg_tcp_early(req, data, len);
	if (!req->head_done)
		return read_head(client, data, len);
	if (req->in_done || !(req->sending || req->discard))
		return 0;
	return tg_relay_request(req, data, len);
}
