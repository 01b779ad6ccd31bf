#include "proxy/answer.h"

#include <stdio.h>

#include "proxy/client.h"
#include "proxy/forward.h"
#include "proxy/relay.h"

enum { HEAD_SLACK = 512, PER_FIELD = 4, STATUS = 14, ERROR_BODY = 256 };

bool
tg_answer_may_keep(const struct tg_req *req)
{
	if (!req->in.keep_alive || req->engine->draining || req->client->port->closed ||
	    req->client->stream != NULL)
		return false;
	if (req->listener->options.max_body > 0 &&
	    req->in.length > (uint64_t)req->listener->options.max_body)
		return false;
	return req->in_done ||
	    (req->in.framing == TG_FRAMING_LENGTH && !req->in.expect_continue &&
	        req->in.length - (uint64_t)req->view.bytes_in <= TG_DISCARD_MAX);
}

enum tg_http1_connection
tg_answer_connection(const struct tg_req *req)
{
	if (!req->keep_client)
		return TG_CONNECTION_CLOSE;
	return tg_head_is_old(&req->in) ? TG_CONNECTION_KEEP_ALIVE : TG_CONNECTION_SILENT;
}

struct tg_str
tg_answer_head(struct tg_req *req, enum tg_framing framing, enum tg_http1_connection connection)
{
	struct tg_str head = { NULL, 0 };
	size_t cap = HEAD_SLACK + req->out.reason.len + req->out.upgrade.len;
	char *out;
	int len;

	for (unsigned i = 0; i < req->out.count; i++)
		cap += req->out.fields[i].name.len + req->out.fields[i].value.len + PER_FIELD;
	if (req->client->stream != NULL) /* it is packed where it is sent */
		return (struct tg_str){ "", cap - HEAD_SLACK + STATUS };
	out = tg_arena_alloc(&req->arena, cap);
	if (out == NULL)
		return head;
	len = tg_http1_write_response(&req->out, framing, connection, out, cap);
	if (len > 0)
		head = (struct tg_str){ out, (size_t)len };
	return head;
}

int
tg_answer_write(struct tg_req *req)
{
	bool no_content = req->out.status == 204 || req->out.status == 304;
	struct tg_str head, body = req->answer;

	req->keep_client = tg_answer_may_keep(req);
	req->out_trailers = NULL;
	req->out.length = req->answer.len;
	req->out.has_length = !no_content;
	if (tg_forward_date(&req->out) != 0)
		return TG_HTTP_MEMORY;
	req->out_framing = no_content ? TG_FRAMING_NONE : TG_FRAMING_LENGTH;
	head = tg_answer_head(req, (enum tg_framing)req->out_framing, tg_answer_connection(req));
	if (no_content || req->in.method_id == TG_METHOD_HEAD)
		body.len = 0;
	if (head.ptr == NULL)
		return TG_HTTP_MEMORY;
	req->head_sent = true;
	tg_client_watch(req->client);
	req->view.status = req->out.status;
	return tg_relay_to_client(req, head, body, true);
}

int
tg_answer_interim(struct tg_req *req)
{
	struct tg_str head = tg_answer_head(req, TG_FRAMING_NONE, TG_CONNECTION_SILENT);

	return head.ptr != NULL ? tg_relay_to_client(req, head, TG_STR(""), false) : TG_HTTP_MEMORY;
}

bool
tg_answer_error(struct tg_req *req, const struct tg_end_row *row)
{
	char body[ERROR_BODY];
	int len = snprintf(body, sizeof(body), "%d %s\n%s\n", row->status,
	    tg_reason(row->status).ptr, row->text.ptr);

	/* A message that was not read to its end says nothing about where the next begins. */
	if (!req->head_done || !req->in_done || req->view.end == TG_END_SHUTDOWN)
		req->in.keep_alive = false;
	tg_head_init(&req->out, &req->arena);
	req->out.status = row->status;
	req->answer = (struct tg_str){ body, (size_t)len };
	if (tg_head_add(&req->out, TG_STR("Content-Type"), TG_STR("text/plain")) != 0 ||
	    tg_head_add(&req->out, TG_STR("Cache-Control"), TG_STR("no-store")) != 0 ||
	    tg_answer_write(req) != 0)
		return false;
	return req->keep_client;
}
