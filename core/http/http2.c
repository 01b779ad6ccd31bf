/* A connection: what nghttp2 says of frames to what owners of streams are told. nghttp2 calls back in the
 * middle of its work, and must not be entered again then: hence `receiving` and `sending`, and all that is
 * said to owners while we send waits for the end of that (`drained`).
 */
#include "http/http2_private.h"

enum {
	CHATTER_MOST = 4000, /* frames that carry nothing, at once */
	CHATTER_A_SECOND = 1000,
	RESETS_MOST = 200, /* streams that come to nothing, at once */
	RESETS_A_SECOND = 50,
	CONTINUATIONS_MOST = 7,  /* below where nghttp2 gives up, without saying why */
	PACKED_TIMES = 4,        /* HPACK's worst code has 30 bits for a byte */
	SEND_HEAD = 1024 * 1024, /* bytes of a head: it was limited before */
};

static const uint8_t drain_ping[8] = "draining";

/* --- the life of a stream -------------------------------------------------------------------- */

void
tg_http2_detach(struct tg_http2_stream *stream)
{
	struct tg_http2 *h2 = stream->h2;

	(void)nghttp2_session_set_stream_user_data(h2->session, stream->id, NULL);
	tg_link_remove(&stream->all);
	h2->count--;
	tg_http2_drop(stream, h2->blocks);
	stream->h2 = NULL;
}

/* False: the peer has done too much of it. Servers are ours, and what they do is not counted. */
static bool
spend(struct tg_http2 *h2, struct tg_http2_budget *budget)
{
	if (h2->client || tg_http2_budget_spend(budget, h2->now))
		return true;
	h2->abused = true;
	return false;
}

/* nghttp2 is done with it: both sides have ended, or one has reset it. */
static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *data)
{
	struct tg_http2 *h2 = data;
	struct tg_http2_stream *stream = tg_http2_stream_of(h2, id);
	bool whole;

	(void)session;
	if (stream == NULL) /* its owner has left */
		return 0;
	whole = code == NGHTTP2_NO_ERROR && stream->in_ended && stream->out_ended;
	tg_http2_detach(stream);
	stream->refused = code == NGHTTP2_REFUSED_STREAM;
	if (whole) {
		tg_http2_budget_earn(&h2->resets, 1);
		return 0;
	}
	h2->ops->on_reset(stream);
	/* While we send, a failure would keep nghttp2 from saying why the connection ends. */
	return spend(h2, &h2->resets) || h2->sending ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

void
tg_http2_leave(struct tg_http2_stream *stream, enum tg_http2_reason reason)
{
	struct tg_http2 *h2 = stream->h2;

	tg_link_remove(&stream->drained);
	if (h2 == NULL)
		return;
	if (!stream->in_ended || !stream->out_ended || stream->queued > 0) {
		/* An answer that is whole may be followed by a reset that is no error (RFC 9113 §8.1). */
		(void)nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, stream->id, reason);
		h2->ops->on_wants_flush(h2);
	}
	tg_http2_detach(stream);
}

/* --- receiving ------------------------------------------------------------------------------- */

/* Frames that are cheap to send and have us work: the peer may have some. */
static int
on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *frame, void *data)
{
	struct tg_http2 *h2 = data;

	(void)session;
	switch (frame->type) {
	case NGHTTP2_DATA:
		h2->payload = 0;
		return 0;
	case NGHTTP2_HEADERS:
		h2->reader.packed = frame->length;
		h2->reader.frames = 0;
		break;
	case NGHTTP2_CONTINUATION:
		h2->reader.packed += frame->length;
		h2->reader.frames++;
		break;
	default:
		return spend(h2, &h2->chatter) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	if (h2->reader.packed > PACKED_TIMES * (size_t)h2->limits.head.head ||
	    h2->reader.frames > CONTINUATIONS_MOST)
		h2->abused = true;
	return h2->abused ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
	struct tg_http2_stream *stream = NULL;
	struct tg_http2 *h2 = data;

	(void)session;
	if (h2->client)
		stream = tg_http2_stream_of(h2, frame->hd.stream_id);
	tg_http2_head_begin(h2,
	    h2->client ? stream != NULL && stream->headed
	               : frame->headers.cat != NGHTTP2_HCAT_REQUEST);
	return 0;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
    nghttp2_rcbuf *value, uint8_t flags, void *data)
{
	struct tg_http2 *h2 = data;
	nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);

	(void)session;
	(void)frame;
	(void)flags;
	if (!tg_http2_head_field(h2, (struct tg_str){ (char *)n.base, n.len },
	        nghttp2_rcbuf_is_static(name), (struct tg_str){ (char *)v.base, v.len }))
		h2->abused = true;
	return h2->abused ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

void
tg_http2_stream_begin(struct tg_http2 *h2, struct tg_http2_stream *stream, int32_t id)
{
	*stream = (struct tg_http2_stream){ .h2 = h2, .id = id };
	tg_link_init(&stream->all);
	tg_link_init(&stream->drained);
	tg_list_push_back(&h2->streams, &stream->all);
	h2->count++;
}

/* A request, from its head. */
static int
begin_stream(struct tg_http2 *h2, int32_t id, bool ended)
{
	nghttp2_extpri fair = { NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1 };
	struct tg_http2_stream *stream = h2->ops->on_stream(h2);
	int error;

	if (stream == NULL) {
		nghttp2_submit_rst_stream(
		    h2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
		return spend(h2, &h2->resets) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	error = tg_http2_head_judge(h2, ended);
	tg_http2_stream_begin(h2, stream, id);
	stream->in_ended = ended;
	stream->left = h2->head.length;
	stream->promised = h2->head.framing != TG_FRAMING_CHUNKED && h2->head.upgrade.ptr == NULL;
	nghttp2_session_set_stream_user_data(h2->session, id, stream);
	/* Side by side: who asks for all at once gets no answer by itself late. */
	(void)nghttp2_session_change_extpri_stream_priority(h2->session, id, &fair, 1);
	h2->ops->on_head(stream, &h2->head, error);
	return error == 0 || spend(h2, &h2->resets) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

void
tg_http2_end_stream(struct tg_http2_stream *stream, int error)
{
	if (stream->in_ended)
		return;
	stream->in_ended = true;
	if (stream->promised && stream->left > 0)
		error = TG_HTTP_BAD;
	stream->h2->ops->on_end(stream, error);
}

static int
on_headers(struct tg_http2 *h2, const nghttp2_frame *frame)
{
	bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	struct tg_http2_stream *stream = NULL;
	int result = 0;

	if (h2->client || h2->reader.trailers)
		stream = tg_http2_stream_of(h2, frame->hd.stream_id);
	if (!h2->reader.trailers && !h2->client)
		result = begin_stream(h2, frame->hd.stream_id, ended);
	else if (stream != NULL && !h2->reader.trailers)
		tg_http2_on_answer(stream, ended);
	else if (stream != NULL)
		tg_http2_end_stream(stream, tg_http2_trailers_judge(h2, ended));
	tg_http2_head_end(h2);
	return result;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
	struct tg_http2 *h2 = data;
	struct tg_http2_stream *stream;

	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		return on_headers(h2, frame);
	case NGHTTP2_DATA:
		if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
			return h2->payload > 0 || spend(h2, &h2->chatter)
			    ? 0
			    : NGHTTP2_ERR_CALLBACK_FAILURE;
		stream = tg_http2_stream_of(h2, frame->hd.stream_id);
		if (stream != NULL)
			tg_http2_end_stream(stream, 0);
		return 0;
	case NGHTTP2_SETTINGS:
		h2->agreed |= (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0;
		return 0;
	case NGHTTP2_GOAWAY:
		h2->leaving = true;
		return 0;
	case NGHTTP2_PING:
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 && h2->draining &&
		    memcmp(frame->ping.opaque_data, drain_ping, sizeof(drain_ping)) == 0)
			tg_http2_goaway(h2);
		return 0;
	default:
		return 0;
	}
}

/* A frame that nghttp2 answers with a reset, or refuses: streams beyond their number, too. */
static int
on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code, void *data)
{
	struct tg_http2 *h2 = data;

	(void)session;
	(void)code;
	if (frame->hd.type == NGHTTP2_HEADERS)
		tg_http2_head_end(h2);
	return spend(h2, &h2->resets) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int
on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
    void *data)
{
	struct tg_http2 *h2 = data;
	struct tg_http2_stream *stream = tg_http2_stream_of(h2, id);

	(void)flags;
	h2->payload += (uint32_t)len;
	tg_http2_budget_earn(&h2->chatter, len / 1024);
	if (nghttp2_session_consume_connection(session, len) != 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (stream == NULL || stream->in_ended) {
		(void)nghttp2_session_consume_stream(session, id, len);
		return 0;
	}
	if ((stream->promised && len > stream->left) || (h2->client && !stream->headed)) {
		tg_http2_end_stream(stream, TG_HTTP_BAD);
		return 0;
	}
	if (stream->promised)
		stream->left -= len;
	/* nghttp2 is about to reset it, when that can be written; until then nothing more is kept. */
	if (stream->untaken + len > NGHTTP2_INITIAL_WINDOW_SIZE)
		return 0;
	stream->untaken += (uint32_t)len;
	h2->ops->on_data(stream, (char *)(uintptr_t)bytes, len);
	return 0;
}

void
tg_http2_taken(struct tg_http2_stream *stream, size_t len)
{
	struct tg_http2 *h2 = stream->h2;

	if (h2 == NULL)
		return;
	stream->untaken -= (uint32_t)len;
	(void)nghttp2_session_consume_stream(h2->session, stream->id, len);
	h2->ops->on_wants_flush(h2);
}

int
tg_http2_receive(struct tg_http2 *h2, char *data, size_t len, uint64_t now)
{
	uint32_t code = NGHTTP2_PROTOCOL_ERROR;
	ssize_t taken;

	h2->now = now;
	h2->receiving = true;
	taken = nghttp2_session_mem_recv(h2->session, (const uint8_t *)data, len);
	h2->receiving = false;
	h2->ops->on_wants_flush(h2);
	if (taken >= 0 && !h2->abused)
		return 0;
	if (h2->abused || taken == NGHTTP2_ERR_FLOODED)
		code = NGHTTP2_ENHANCE_YOUR_CALM;
	else if (taken != NGHTTP2_ERR_BAD_CLIENT_MAGIC)
		code = NGHTTP2_INTERNAL_ERROR;
	(void)nghttp2_session_terminate_session(h2->session, code);
	return -1;
}

bool
tg_http2_in_head(const struct tg_http2 *h2)
{
	return h2->reader.open;
}

/* --- the connection -------------------------------------------------------------------------- */

void
tg_http2_drain(struct tg_http2 *h2)
{
	if (h2->draining)
		return;
	h2->draining = true;
	(void)nghttp2_submit_shutdown_notice(h2->session);
	(void)nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, drain_ping);
	h2->ops->on_wants_flush(h2);
}

void
tg_http2_goaway(struct tg_http2 *h2)
{
	if (h2->final)
		return;
	h2->draining = h2->final = true;
	(void)nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
	    nghttp2_session_get_last_proc_stream_id(h2->session), NGHTTP2_NO_ERROR, NULL, 0);
	h2->ops->on_wants_flush(h2);
}

bool
tg_http2_done(const struct tg_http2 *h2)
{
	if (h2->broken)
		return true;
	return h2->out_len == 0 && !nghttp2_session_want_read(h2->session) &&
	    !nghttp2_session_want_write(h2->session);
}

/* The same for all connections; made once, by whichever thread is first. */
static nghttp2_session_callbacks *
make_callbacks(void)
{
	nghttp2_session_callbacks *callbacks;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, tg_http2_on_send_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, tg_http2_on_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, tg_http2_on_not_sent);
	return callbacks;
}

/* nghttp2 copies neither: it reads them while it makes the session. */
static nghttp2_session *
make_session(struct tg_http2 *h2)
{
	nghttp2_session_callbacks *callbacks = make_callbacks();
	nghttp2_session *session = NULL;
	nghttp2_option *option = NULL;

	if (callbacks != NULL && nghttp2_option_new(&option) == 0) {
		nghttp2_option_set_no_auto_window_update(option, 1);
		nghttp2_option_set_no_http_messaging(option, 1);
		nghttp2_option_set_no_closed_streams(option, 1);
		nghttp2_option_set_max_send_header_block_length(option, SEND_HEAD);
		if ((h2->client
		            ? nghttp2_session_client_new2(&session, callbacks, h2, option)
		            : nghttp2_session_server_new2(&session, callbacks, h2, option)) != 0)
			session = NULL;
		nghttp2_option_del(option);
	}
	nghttp2_session_callbacks_del(callbacks);
	return session;
}

static int
init(struct tg_http2 *h2, const struct tg_http2_ops *ops, const struct tg_http2_limits *limits,
    struct tg_blocks *small, struct tg_blocks *large, uint64_t now, bool client)
{
	*h2 = (struct tg_http2){
		.ops = ops, .limits = *limits, .blocks = large, .now = now, .client = client
	};
	tg_http2_budget_init(&h2->chatter, CHATTER_MOST, CHATTER_A_SECOND, now);
	tg_http2_budget_init(&h2->resets, RESETS_MOST, RESETS_A_SECOND, now);
	tg_link_init(&h2->streams);
	tg_link_init(&h2->drained);
	tg_arena_init(&h2->arena, small);
	h2->session = make_session(h2);
	if (h2->session != NULL && tg_http2_introduce(h2) == 0)
		return 0;
	tg_http2_fini(h2);
	return TG_HTTP_MEMORY;
}

int
tg_http2_server_init(struct tg_http2 *h2, const struct tg_http2_ops *ops,
    const struct tg_http2_limits *limits, struct tg_blocks *small, struct tg_blocks *large,
    uint64_t now)
{
	return init(h2, ops, limits, small, large, now, false);
}

int
tg_http2_client_init(struct tg_http2 *h2, const struct tg_http2_ops *ops,
    const struct tg_http2_limits *limits, struct tg_blocks *small, struct tg_blocks *large,
    uint64_t now)
{
	return init(h2, ops, limits, small, large, now, true);
}

void
tg_http2_fini(struct tg_http2 *h2)
{
	tg_assert(!h2->receiving && !h2->sending);
	h2->broken = true;
	tg_http2_tell_drained(h2);
	while (!tg_list_empty(&h2->streams)) {
		struct tg_http2_stream *stream =
		    tg_container_of(h2->streams.next, struct tg_http2_stream, all);

		tg_http2_detach(stream);
		h2->ops->on_reset(stream);
	}
	nghttp2_session_del(h2->session);
	h2->session = NULL;
	tg_arena_reset(&h2->arena);
	if (h2->out != NULL)
		tg_blocks_put(h2->blocks, h2->out);
	h2->out = NULL;
}
