#include "proxy/stream.h"

#include "net/carrier.h"
#include "proxy/req.h"

static const struct tg_carrier carrier;

static struct tg_stream *
stream_of(struct tg_http2_stream *h2)
{
	return tg_container_of(h2, struct tg_stream, h2);
}

static struct tg_stream *
stream_of_conn(const struct tg_conn *conn)
{
	return tg_container_of(conn, struct tg_client, conn)->stream;
}

/* --- from the codec --------------------------------------------------------------------------- */

static void
run_closed(struct tg_deferred *closed)
{
	tg_conn_closed(&tg_container_of(closed, struct tg_stream, closed)->client.conn);
}

struct tg_http2_stream *
tg_stream_new(struct tg_session *session)
{
	struct tg_client *root = session->client;
	struct tg_stream *stream = tg_blocks_get(&root->engine->stream_blocks);

	if (stream == NULL)
		return NULL;
	stream->h2 = (struct tg_http2_stream){ .h2 = NULL };
	tg_link_init(&stream->h2.drained);
	stream->session = session;
	stream->end_waits = false;
	tg_link_init(&stream->link);
	tg_list_push_back(&session->streams, &stream->link);
	tg_deferred_init(&stream->closed, run_closed);
	tg_conn_init(&stream->client.conn, root->engine->loop, &tg_client_ops, &carrier);
	if (tg_client_open_stream(&stream->client, stream))
		return &stream->h2;
	tg_client_close(&stream->client, false);
	return NULL;
}

void
tg_stream_free(struct tg_stream *stream)
{
	struct tg_session *session = stream->session;

	tg_link_remove(&stream->link);
	tg_blocks_put(&stream->client.engine->stream_blocks, stream);
	if (session != NULL)
		tg_session_stream_gone(session);
}

void
tg_stream_on_head(struct tg_http2_stream *h2, struct tg_head *head, int error)
{
	struct tg_stream *stream = stream_of(h2);

	stream->end_waits = h2->in_ended;
	tg_client_head(&stream->client, head, error);
}

void
tg_stream_on_data(struct tg_http2_stream *h2, char *data, size_t len)
{
	tg_conn_offer(&stream_of(h2)->client.conn, data, len);
}

/* The end is told as that of a socket is: when all before it was taken, to who reads. */
static void
tell_end(struct tg_stream *stream)
{
	struct tg_conn *conn = &stream->client.conn;

	if (!stream->end_waits || conn->kept != NULL || conn->paused || conn->closing)
		return;
	stream->end_waits = false;
	tg_conn_end(conn, 0);
}

void
tg_stream_on_end(struct tg_http2_stream *h2, int error)
{
	struct tg_stream *stream = stream_of(h2);

	struct tg_req *req = stream->client.req;

	if (error == 0 && req != NULL)
		error = tg_req_keep_trailers(req, &req->in_trailers, tg_http2_trailers(h2->h2));
	if (error != 0) {
		tg_client_bad_body(&stream->client);
		return;
	}
	stream->end_waits = true;
	tell_end(stream);
}

void
tg_stream_on_reset(struct tg_http2_stream *h2)
{
	struct tg_conn *conn = &stream_of(h2)->client.conn;

	conn->queued = 0;
	if (!conn->closing)
		tg_conn_write_failed(conn, UV_ECONNRESET);
}

void
tg_stream_on_drained(struct tg_http2_stream *h2)
{
	struct tg_conn *conn = &stream_of(h2)->client.conn;

	conn->queued = h2->queued;
	if (!conn->closing && conn->queued == 0)
		conn->ops->on_drain(conn);
}

/* --- to the codec ----------------------------------------------------------------------------- */

int
tg_stream_answer(
    struct tg_stream *stream, const struct tg_head *head, struct tg_str body, bool last)
{
	struct tg_http2_stream *h2 = &stream->h2;
	bool headed_last = last && body.len == 0 && h2->trailers == NULL;
	int error = 0;

	if (head != NULL)
		error = tg_http2_answer(h2, head, headed_last);
	if (error == 0 && (body.len > 0 || (last && (head == NULL || !headed_last))))
		error = tg_http2_write(h2, &body, 1, last);
	stream->client.conn.queued = h2->queued;
	return error == 0 ? 0 : UV_ENOMEM;
}

static void
read_on(struct tg_conn *conn, bool on)
{
	if (on)
		tell_end(stream_of_conn(conn));
}

static void
taken(struct tg_conn *conn, size_t len)
{
	tg_http2_taken(&stream_of_conn(conn)->h2, len);
}

static bool
quiet(const struct tg_conn *conn)
{
	return !stream_of_conn(conn)->h2.in_ended;
}

/* The end of a request is not that of its client, as it may be on a socket. */
static bool
gone(const struct tg_conn *conn)
{
	return stream_of_conn(conn)->h2.h2 == NULL;
}

/* Bytes of a tunnel. */
static int
write_on(struct tg_conn *conn, const struct tg_str *parts, unsigned count)
{
	struct tg_stream *stream = stream_of_conn(conn);
	int error = tg_http2_write(&stream->h2, parts, count, false);

	conn->queued = stream->h2.queued;
	return error == 0 ? 0 : UV_ENOMEM;
}

static uint64_t
untaken(const struct tg_conn *conn)
{
	return stream_of_conn(conn)->h2.queued;
}

static void
end_ours(struct tg_conn *conn)
{
	struct tg_stream *stream = stream_of_conn(conn);

	/* It cannot fail: nothing is copied. */
	(void)!tg_http2_write(&stream->h2, NULL, 0, true);
	conn->queued = stream->h2.queued;
}

static void
close_stream(struct tg_conn *conn, bool reset)
{
	struct tg_stream *stream = stream_of_conn(conn);
	enum tg_http2_reason reason = TG_HTTP2_CANCEL;

	if (reset)
		reason = TG_HTTP2_INTERNAL_ERROR;
	else if (stream->h2.out_ended)
		reason = TG_HTTP2_NO_ERROR;
	tg_http2_leave(&stream->h2, reason);
	tg_loop_defer(conn->loop, &stream->closed);
}

static const struct tg_carrier carrier = {
	.read = read_on,
	.taken = taken,
	.quiet = quiet,
	.gone = gone,
	.write = write_on,
	.untaken = untaken,
	.shutdown = end_ours,
	.close = close_stream,
};
