#include "proxy/session.h"

#include <stdlib.h>

#include "proxy/client.h"
#include "proxy/stream.h"

enum {
	HEAR_MS = 1000
}; /* the peer has so long to hear that we drain, before the last stream is named */

enum awaits {
	AWAITS_FIRST, /* the first request; the timer is that of the accept */
	AWAITS_HEAD,  /* the rest of a head */
	AWAITS_NEXT,  /* another request */
	AWAITS_HEARD, /* an echo: it knows that we drain */
	AWAITS_NOTHING,
};

static struct tg_session *
session_of(struct tg_http2 *h2)
{
	return tg_container_of(h2, struct tg_session, h2);
}

/* --- the codec's side ------------------------------------------------------------------------ */

static int
write_out(struct tg_http2 *h2, const struct tg_str *parts, unsigned count)
{
	return tg_conn_write(&session_of(h2)->client->conn, parts, count);
}

static bool
writable(struct tg_http2 *h2)
{
	return tg_conn_drained(&session_of(h2)->client->conn);
}

static void
on_wants_flush(struct tg_http2 *h2)
{
	struct tg_session *session = session_of(h2);

	tg_loop_defer(session->client->engine->loop, &session->flush);
}

static struct tg_http2_stream *
on_stream(struct tg_http2 *h2)
{
	return tg_stream_new(session_of(h2));
}

static const struct tg_http2_ops ops = {
	.on_stream = on_stream,
	.on_head = tg_stream_on_head,
	.on_data = tg_stream_on_data,
	.on_end = tg_stream_on_end,
	.on_reset = tg_stream_on_reset,
	.on_drained = tg_stream_on_drained,
	.write = write_out,
	.writable = writable,
	.on_wants_flush = on_wants_flush,
};

/* --- the connection's side ------------------------------------------------------------------- */

void
tg_session_watch(struct tg_session *session)
{
	struct tg_client *client = session->client;
	const struct tg_listener_options *options = tg_port_options(client->port);
	enum awaits awaits = AWAITS_NOTHING;
	int64_t ms = 0;

	if (client->state != TG_CLIENT_SESSION)
		return;
	if (session->h2.draining && !session->h2.final) {
		awaits = AWAITS_HEARD;
		ms = HEAR_MS;
	} else if (session->h2.final) {
		awaits = AWAITS_NOTHING;
	} else if (tg_http2_in_head(&session->h2)) {
		awaits = AWAITS_HEAD;
		ms = options->head_ms;
	} else if (tg_list_empty(&session->streams)) {
		awaits = session->awaits == AWAITS_FIRST ? AWAITS_FIRST : AWAITS_NEXT;
		ms = options->keep_alive_ms;
	}
	if (awaits == session->awaits)
		return;
	session->awaits = (uint8_t)awaits;
	tg_client_await(client, ms);
}

/* Is there nothing more to be said or heard? Who was told to end, and is stuck in a head, is not waited for. */
static bool
is_over(const struct tg_session *session)
{
	return tg_http2_done(&session->h2) ||
	    (session->h2.final && tg_list_empty(&session->streams) &&
	        tg_http2_in_head(&session->h2));
}

void
tg_session_flush(struct tg_session *session)
{
	struct tg_client *client = session->client;

	if (client->state != TG_CLIENT_SESSION)
		return;
	tg_http2_flush(&session->h2);
	if (client->session == NULL) /* the connection broke */
		return;
	if (!is_over(session)) {
		tg_session_watch(session);
		return;
	}
	tg_session_free(session);
	tg_client_next(client, false, false);
}

static void
run_flush(struct tg_deferred *flush)
{
	tg_session_flush(tg_container_of(flush, struct tg_session, flush));
}

bool
tg_session_begin(struct tg_client *client)
{
	const struct tg_plan_listener *listener = tg_port_listener(client->port);
	struct tg_http2_limits limits = {
		.head = listener->limits,
		.streams = (uint32_t)listener->options.max_streams,
		.connect = listener->options.upgrade != 0,
	};
	struct tg_loop *loop = client->engine->loop;
	struct tg_session *session = calloc(1, sizeof(*session));

	if (session == NULL)
		return false;
	if (tg_http2_server_init(
	        &session->h2, &ops, &limits, &loop->small, &loop->large, tg_loop_now(loop)) != 0) {
		free(session);
		return false;
	}
	session->client = client;
	session->awaits = AWAITS_FIRST;
	tg_link_init(&session->streams);
	tg_deferred_init(&session->flush, run_flush);
	client->session = session;
	client->state = TG_CLIENT_SESSION;
	client->fresh = false;
	on_wants_flush(&session->h2);
	if (client->port->closed)
		tg_session_drain(session);
	return true;
}

void
tg_session_receive(struct tg_session *session, char *data, size_t len)
{
	if (session->failed)
		return;
	session->failed = tg_http2_receive(&session->h2, data, len,
	                      tg_loop_now(session->client->engine->loop)) != 0;
	tg_session_watch(session);
}

void
tg_session_goaway(struct tg_session *session)
{
	session->awaits = AWAITS_NOTHING;
	tg_http2_goaway(&session->h2);
	tg_session_flush(session);
}

void
tg_session_stream_gone(struct tg_session *session)
{
	tg_session_watch(session);
	if (session->h2.final)
		on_wants_flush(&session->h2);
}

void
tg_session_drain(struct tg_session *session)
{
	tg_http2_drain(&session->h2);
	tg_session_watch(session);
}

bool
tg_session_busy(const struct tg_session *session)
{
	const struct tg_link *link;

	for (link = session->streams.next; link != &session->streams; link = link->next)
		if (tg_container_of(link, struct tg_stream, link)->client.state == TG_CLIENT_BUSY)
			return true;
	return false;
}

/* The stream has heard that the connection is gone: its request has ended. */
static void
forget(struct tg_stream *stream)
{
	tg_assert(stream->client.req == NULL);
	stream->session = NULL;
	stream->client.root = &stream->client;
	stream->client.proxied = NULL;
}

void
tg_session_close(struct tg_session *session)
{
	if (!session->h2.receiving && !session->h2.sending)
		tg_session_free(session);
}

void
tg_session_free(struct tg_session *session)
{
	struct tg_link *link;

	session->client->session = NULL;
	tg_http2_fini(&session->h2);
	while ((link = tg_list_pop_front(&session->streams)) != NULL)
		forget(tg_container_of(link, struct tg_stream, link));
	tg_deferred_cancel(&session->flush);
	free(session);
}
