#include "proxy/relay.h"

#include "proxy/client.h"
#include "proxy/forward.h"
#include "proxy/steps.h"
#include "proxy/stream.h"
#include "proxy/upstream.h"

enum { PARTS = 5, FIRST_KEPT = 1024 };

/* Add the parts of one piece of body in the framing of the message it belongs to. */
static unsigned
frame(struct tg_str *parts, unsigned n, char *line, enum tg_framing framing, struct tg_str body,
    bool last)
{
	if (framing != TG_FRAMING_CHUNKED) {
		if (body.len > 0)
			parts[n++] = body;
		return n;
	}
	if (body.len > 0) {
		parts[n++] = (struct tg_str){ line, tg_http1_chunk_line(body.len, line) };
		parts[n++] = body;
		parts[n++] = last ? TG_STR("\r\n0\r\n\r\n") : TG_STR("\r\n");
	} else if (last) {
		parts[n++] = TG_STR("0\r\n\r\n");
	}
	return n;
}

/* --- towards the server ------------------------------------------------------------------- */

/* Send the head, if it waits, and a piece of the body: 0 or negative. */
static int
send_on(struct tg_req *req, struct tg_str head, struct tg_str body, bool last)
{
	struct tg_upstream *up = req->up;
	struct tg_str parts[PARTS] = { head };
	char line[TG_CHUNK_LINE];
	unsigned n;

	if (up->multiplexed)
		return tg_call_send(up, head.len > 0 ? &req->in : NULL, tg_forward_host(req), body,
		    last, req->in_trailers);
	n = frame(parts, head.len > 0, line, (enum tg_framing)req->in.framing, body, last);
	return tg_conn_write(&up->conn, parts, n);
}

static void
to_server(struct tg_req *req, struct tg_str body, bool last)
{
	struct tg_upstream *up = req->up;
	struct tg_str head = req->unsent;

	req->unsent.len = 0;
	if (up == NULL || up->write_dead)
		return;
	/* A server that stops reading may have answered already: its response decides, and what
	 * comes of the body is thrown away. */
	if (send_on(req, head, body, last) != 0)
		up->write_dead = true;
	else if (!tg_conn_drained(&up->conn))
		tg_conn_pause(&req->client->conn);
}

void
tg_relay_flush_request(struct tg_req *req)
{
	struct tg_str kept = { req->kept, req->kept_len };

	if (req->unsent.len > 0)
		to_server(req, kept, req->in_done);
}

/* Keep a copy of this piece of the body, unless that is too long in all or no longer wanted. */
static void
keep(struct tg_req *req, struct tg_str body)
{
	size_t most = (size_t)req->backend->options.retry_body, len = req->kept_len + body.len;
	size_t cap = req->kept_cap > 0 ? req->kept_cap : FIRST_KEPT;
	char *grown;

	if (body.len == 0 || req->out_started || len > most || !tg_req_body_whole(req))
		return;
	while (cap < len)
		cap *= 2;
	if (cap > req->kept_cap) {
		grown = tg_arena_alloc(&req->arena, cap);
		if (grown == NULL)
			return;
		if (req->kept_len > 0)
			memcpy(grown, req->kept, req->kept_len);
		req->kept = grown;
		req->kept_cap = (uint32_t)cap;
	}
	memcpy(req->kept + req->kept_len, body.ptr, body.len);
	req->kept_len = (uint32_t)len;
}

size_t
tg_relay_request(struct tg_req *req, char *data, size_t len)
{
	int64_t most = req->listener->options.max_body;
	struct tg_str body;
	size_t used = 0;
	int done = tg_http1_body(&req->in_codec, data, len, &used, &body);

	req->awaits_continue = false;
	if (done < 0) {
		tg_req_end(req, TG_END_BAD_BODY);
		return len;
	}
	if (!req->discard)
		keep(req, body);
	req->view.bytes_in += (int64_t)body.len;
	if (most > 0 && req->view.bytes_in > most) {
		tg_req_end(req, TG_END_BODY_TOO_LARGE);
		return len;
	}
	req->in_done = done == 1;
	if (req->discard)
		req->unsent.len = 0;
	else
		to_server(req, body, req->in_done);
	req->client->progress += (uint32_t)used;
	if (req->up != NULL && req->up->connected)
		tg_upstream_watch(req->up);
	if (req->discard && req->in_done)
		tg_req_run(req);
	return used;
}

void
tg_relay_request_end(struct tg_req *req)
{
	req->in_done = true;
	req->awaits_continue = false;
	if (req->discard)
		req->unsent.len = 0;
	else
		to_server(req, TG_STR(""), true);
	if (req->up != NULL && req->up->connected)
		tg_upstream_watch(req->up);
	tg_client_watch(req->client);
	if (req->discard)
		tg_req_run(req);
}

void
tg_relay_resume_request(struct tg_req *req)
{
	uint64_t serial = req->view.serial;

	tg_conn_resume(&req->client->conn);
	if (tg_req_alive(req, serial))
		tg_client_watch(req->client);
}

/* --- towards the client ------------------------------------------------------------------- */

int
tg_relay_to_client(struct tg_req *req, struct tg_str head, struct tg_str body, bool last)
{
	struct tg_client *client = req->client;
	struct tg_str parts[PARTS];
	char line[TG_CHUNK_LINE];
	unsigned n = 0;

	if (client->stream != NULL) {
		if (last)
			tg_http2_end_with(&client->stream->h2, req->out_trailers);
		req->view.bytes_out += (int64_t)(head.len + body.len);
		return tg_stream_answer(
		    client->stream, head.len > 0 ? &req->out : NULL, body, last);
	}
	if (head.len > 0)
		parts[n++] = head;
	n = frame(parts, n, line, (enum tg_framing)req->out_framing, body, last);
	for (unsigned i = 0; i < n; i++)
		req->view.bytes_out += (int64_t)parts[i].len;
	return n > 0 ? tg_conn_write(&client->conn, parts, n) : 0;
}

void
tg_relay_flush_response(struct tg_req *req)
{
	struct tg_str head = req->unsent_out;

	req->unsent_out.len = 0;
	if (head.len > 0 && tg_relay_to_client(req, head, TG_STR(""), false) != 0)
		tg_req_end(req, TG_END_CLIENT_GONE_DATA);
}

/* The body is malformed. As long as the head waits to be sent there can be another answer. */
void
tg_relay_refuse_response(struct tg_req *req)
{
	bool unsent = req->unsent_out.len > 0 || !req->relaying;

	req->unsent_out.len = 0;
	if (unsent)
		req->head_sent = false;
	tg_req_end(req, unsent ? TG_END_BAD_RESPONSE : TG_END_BAD_RESPONSE_BODY);
}

size_t
tg_relay_response(struct tg_req *req, char *data, size_t len)
{
	struct tg_str head = req->unsent_out, body;
	size_t used = 0;
	int done = tg_http1_body(&req->out_codec, data, len, &used, &body);

	if (done < 0) {
		tg_relay_refuse_response(req);
		return len;
	}
	req->unsent_out.len = 0;
	if (tg_relay_to_client(req, head, body, done == 1) != 0) {
		tg_req_end(req, TG_END_CLIENT_GONE_DATA);
		return len;
	}
	if (done == 1) {
		req->out_done = true;
		if (data != NULL)
			req->poisoned = used < len;
		req->step = tg_step_complete;
		tg_req_run(req);
		return used;
	}
	if (!tg_conn_drained(&req->client->conn)) {
		tg_conn_pause(&req->up->conn);
		tg_client_watch(req->client);
	}
	tg_upstream_watch(req->up);
	return used;
}

void
tg_relay_response_end(struct tg_req *req, int status)
{
	struct tg_str head = req->unsent_out;

	if (status != 0 || !tg_http1_complete_at_eof(&req->out_codec)) {
		tg_req_end(req, TG_END_RESPONSE_CUT);
		return;
	}
	req->unsent_out.len = 0;
	if (tg_relay_to_client(req, head, TG_STR(""), true) != 0) {
		tg_req_end(req, TG_END_CLIENT_GONE_DATA);
		return;
	}
	req->out_done = true;
	req->step = tg_step_complete;
	tg_req_run(req);
}
