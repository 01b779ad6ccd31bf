#include "proxy/call.h"

#include "net/carrier.h"
#include "proxy/engine.h"
#include "proxy/relay.h"
#include "proxy/req.h"
#include "proxy/steps.h"
#include "proxy/upstream.h"

static const struct tg_carrier carrier;

static struct tg_call *
call_of(struct tg_http2_stream *h2)
{
	return tg_container_of(h2, struct tg_call, h2);
}

static struct tg_upstream *
upstream_of(struct tg_call *call)
{
	return tg_container_of(call, struct tg_upstream, call);
}

static struct tg_conn *
conn_of(struct tg_call *call)
{
	return &upstream_of(call)->conn;
}

static struct tg_call *
call_of_conn(const struct tg_conn *conn)
{
	return &tg_container_of(conn, struct tg_upstream, conn)->call;
}

/* --- from the trunk and the codec ------------------------------------------------------------- */

static void
run_closed(struct tg_deferred *closed)
{
	tg_conn_closed(conn_of(tg_container_of(closed, struct tg_call, closed)));
}

void
tg_call_init(struct tg_upstream *up, struct tg_trunk *trunk, const struct tg_conn_ops *ops)
{
	struct tg_call *call = &up->call;

	*call = (struct tg_call){ .trunk = trunk };
	tg_link_init(&call->h2.drained);
	tg_link_init(&call->link);
	tg_deferred_init(&call->closed, run_closed);
	tg_conn_init(&up->conn, up->engine->loop, ops, &carrier);
	tg_trunk_join(trunk, call);
}

/* Its trunk is there, or there will be none. */
static void
connected(struct tg_call *call, enum tg_end failure)
{
	struct tg_upstream *up = upstream_of(call);
	struct tg_req *req = up->req;

	if (up->conn.closing)
		return;
	tg_assert(req != NULL && !up->connected);
	if (failure != TG_END_NONE) {
		tg_req_attempt_failed(req, failure);
		return;
	}
	up->connected = true;
	req->step = tg_step_send;
	tg_req_run(req);
}

void
tg_call_ready(struct tg_call *call)
{
	connected(call, TG_END_NONE);
}

void
tg_call_lost(struct tg_call *call, enum tg_end failure)
{
	call->trunk = NULL;
	connected(call, failure);
}

void
tg_call_crowded(struct tg_call *call)
{
	struct tg_upstream *up = upstream_of(call);
	enum tg_end failure;
	struct tg_trunk *trunk = tg_trunk_for(up->req, up->server, &failure);

	if (trunk == NULL) {
		tg_call_lost(call, failure);
		return;
	}
	call->trunk = trunk;
	tg_trunk_join(trunk, call);
	if (trunk->open)
		tg_call_ready(call);
}

void
tg_call_unheard(struct tg_upstream *up, int64_t ms)
{
	struct tg_trunk *trunk = up->call.trunk;

	if (trunk != NULL && tg_loop_now(up->engine->loop) >= trunk->heard_at + (uint64_t)ms / 2)
		tg_trunk_retire(trunk);
}

void
tg_call_on_head(struct tg_http2_stream *h2, struct tg_head *head, int error)
{
	struct tg_call *call = call_of(h2);
	struct tg_upstream *up = upstream_of(call);
	struct tg_req *req = up->req;

	tg_upstream_heard(up);
	call->end_waits = h2->in_ended;
	req->out_started = true;
	if (error == 0)
		error = tg_head_copy(&req->out, &req->arena, head);
	if (error != 0) {
		tg_req_attempt_failed(
		    req, error == TG_HTTP_MEMORY ? TG_END_MEMORY : TG_END_BAD_RESPONSE);
		return;
	}
	tg_http1_until_end_init(&req->out_codec, &req->out);
	req->out_head_done = true;
	req->step = tg_step_response;
	tg_req_run(req);
}

void
tg_call_on_data(struct tg_http2_stream *h2, char *data, size_t len)
{
	tg_conn_offer(conn_of(call_of(h2)), data, len);
}

/* The end is told as that of a socket is: when all before it was taken, to who reads. */
static void
tell_end(struct tg_call *call)
{
	struct tg_conn *conn = conn_of(call);

	if (!call->end_waits || conn->kept != NULL || conn->paused || conn->closing)
		return;
	call->end_waits = false;
	tg_conn_end(conn, call->end);
}

static void
end_with(struct tg_call *call, int end)
{
	call->end = end;
	call->end_waits = true;
	tell_end(call);
}

void
tg_call_on_end(struct tg_http2_stream *h2, int error)
{
	struct tg_call *call = call_of(h2);
	struct tg_req *req = upstream_of(call)->req;

	if (error != 0) {
		tg_relay_refuse_response(req);
		return;
	}
	error = tg_req_keep_trailers(req, &req->out_trailers, tg_http2_trailers(h2->h2));
	end_with(call, error == 0 ? 0 : UV_ENOMEM);
}

/* A server that has answered all may say so that it does not want the rest of the request (RFC 9113 §8.1). */
void
tg_call_on_reset(struct tg_http2_stream *h2)
{
	struct tg_call *call = call_of(h2);
	struct tg_conn *conn = conn_of(call);

	conn->queued = 0;
	if (conn->closing)
		return;
	if (h2->in_ended) {
		conn->ops->on_write_failed(conn);
		return;
	}
	/* The server has seen nothing: any method can be sent again, if all of the body is still there. */
	if (h2->refused && tg_req_body_whole(upstream_of(call)->req))
		upstream_of(call)->req->sent = false;
	end_with(call, UV_ECONNRESET);
}

void
tg_call_on_drained(struct tg_http2_stream *h2)
{
	struct tg_conn *conn = conn_of(call_of(h2));

	conn->queued = h2->queued;
	if (!conn->closing && conn->queued == 0)
		conn->ops->on_drain(conn);
}

/* --- to the codec ----------------------------------------------------------------------------- */

int
tg_call_send(struct tg_upstream *up, const struct tg_head *head, struct tg_str host,
    struct tg_str body, bool last, const struct tg_head *trailers)
{
	struct tg_http2_stream *h2 = &up->call.h2;
	bool headed_last = last && body.len == 0 && trailers == NULL;
	int error = 0;

	if (up->call.trunk == NULL || (head == NULL && h2->h2 == NULL))
		return UV_EPIPE;
	if (head != NULL)
		error = tg_http2_request(
		    &up->call.trunk->h2, h2, head, host, up->tls != NULL, headed_last);
	if (last && trailers != NULL)
		tg_http2_end_with(h2, trailers);
	if (error == 0 && (body.len > 0 || (last && !(headed_last && head != NULL))))
		error = tg_http2_write(h2, &body, 1, last);
	up->conn.queued = h2->queued;
	return error == 0 ? 0 : UV_ENOMEM;
}

static void
read_on(struct tg_conn *conn, bool on)
{
	if (on)
		tell_end(call_of_conn(conn));
}

static void
taken(struct tg_conn *conn, size_t len)
{
	tg_http2_taken(&call_of_conn(conn)->h2, len);
}

static bool
quiet(const struct tg_conn *conn)
{
	return !call_of_conn(conn)->h2.in_ended;
}

static bool
gone(const struct tg_conn *conn)
{
	const struct tg_call *call = call_of_conn(conn);

	return call->h2.h2 == NULL || call->h2.in_ended;
}

/* Requests go by tg_call_send, and no protocol is changed. */
static int
write_on(struct tg_conn *conn, const struct tg_str *parts, unsigned count)
{
	(void)conn;
	(void)parts;
	(void)count;
	return UV_ENOTSUP;
}

static uint64_t
untaken(const struct tg_conn *conn)
{
	return call_of_conn(conn)->h2.queued;
}

static void
end_ours(struct tg_conn *conn)
{
	(void)conn;
}

static void
close_call(struct tg_conn *conn, bool reset)
{
	struct tg_call *call = call_of_conn(conn);

	(void)reset;
	tg_http2_leave(&call->h2, TG_HTTP2_CANCEL);
	if (call->trunk != NULL)
		tg_trunk_leave(call->trunk, call);
	call->trunk = NULL;
	tg_loop_defer(conn->loop, &call->closed);
}

static const struct tg_carrier carrier = {
	.read = read_on,
	.taken = taken,
	.quiet = quiet,
	.gone = gone,
	.write = write_on,
	.untaken = untaken,
	.shutdown = end_ours,
	.close = close_call,
};
