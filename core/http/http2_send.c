/* The way out: from what owners write, over nghttp2, which knows the windows and whose turn it is, to
 * ops->write. Small frames of all streams gather in one block; the body of a large write goes from where
 * it lies. What a window holds back is copied, and is all that waits: who is not drained is not fed.
 */
#include "http/http2_private.h"

enum {
	BLOCK = 16 * 1024,    /* of h2->blocks, and what is gathered before a write */
	LARGE = 4096,         /* bytes: a part of that size is not copied to be gathered */
	WINDOW = 1024 * 1024, /* of the connection: it stops nobody */
	ANSWERS = 2,          /* frames that one of ours may have for an answer: a window, a ping */
};

/* Bytes that wait to go out. */
struct tg_http2_block {
	struct tg_http2_block *next;
	uint32_t start, end; /* offsets in data */
	char data[];
};

enum { BLOCK_ROOM = BLOCK - sizeof(struct tg_http2_block) };

/* --- what waits in a stream ------------------------------------------------------------------ */

static void
pop_block(struct tg_http2_stream *stream, struct tg_blocks *blocks)
{
	struct tg_http2_block *block = stream->blocks;

	stream->blocks = block->next;
	if (stream->blocks == NULL)
		stream->last = NULL;
	tg_blocks_put(blocks, block);
}

void
tg_http2_drop(struct tg_http2_stream *stream, struct tg_blocks *blocks)
{
	while (stream->blocks != NULL)
		pop_block(stream, blocks);
	stream->parts = NULL;
	stream->count = 0;
	stream->queued = 0;
}

static bool
copy(struct tg_http2_stream *stream, const char *from, size_t len)
{
	struct tg_http2_block *last = stream->last;

	while (len > 0) {
		size_t room = last != NULL ? BLOCK_ROOM - last->end : 0,
		       n = len < room ? len : room;

		if (room == 0) {
			struct tg_http2_block *block = tg_blocks_get(stream->h2->blocks);

			if (block == NULL)
				return false;
			block->next = NULL;
			block->start = block->end = 0;
			if (last != NULL)
				last->next = block;
			else
				stream->blocks = block;
			stream->last = last = block;
			continue;
		}
		memcpy(last->data + last->end, from, n);
		last->end += (uint32_t)n;
		from += n;
		len -= n;
	}
	return true;
}

/* Keep what did not go out of the parts, which are the caller's. */
static int
keep_parts(struct tg_http2_stream *stream)
{
	bool kept = true;

	for (unsigned i = 0; kept && i < stream->count; i++) {
		size_t skip = i == 0 ? stream->skip : 0;

		kept = copy(stream, stream->parts[i].ptr + skip, stream->parts[i].len - skip);
	}
	stream->parts = NULL;
	stream->count = 0;
	return kept ? 0 : TG_HTTP_MEMORY;
}

/* The next bytes, at most `len`: they are in blocks first, and then in parts. */
static struct tg_str
next_piece(struct tg_http2_stream *stream, size_t len)
{
	struct tg_http2_block *block = stream->blocks;
	struct tg_str piece;

	if (block != NULL)
		piece = (struct tg_str){ block->data + block->start, block->end - block->start };
	else
		piece = (struct tg_str){ stream->parts->ptr + stream->skip,
			stream->parts->len - stream->skip };
	if (piece.len > len)
		piece.len = len;
	return piece;
}

static void
pass_piece(struct tg_http2_stream *stream, size_t len)
{
	struct tg_http2_block *block = stream->blocks;

	stream->queued -= (uint32_t)len;
	if (block != NULL) {
		block->start += (uint32_t)len;
		if (block->start == block->end)
			pop_block(stream, stream->h2->blocks);
		return;
	}
	stream->skip += len;
	while (stream->count > 0 && stream->skip == stream->parts->len) {
		stream->parts++;
		stream->count--;
		stream->skip = 0;
	}
}

/* --- to the peer ----------------------------------------------------------------------------- */

/* What was gathered, and `more` behind it. */
static void
emit(struct tg_http2 *h2, struct tg_str more)
{
	struct tg_str parts[2] = { { h2->out, h2->out_len }, more };

	if (h2->out_len + more.len > 0 && !h2->broken && h2->ops->write(h2, parts, 2) != 0)
		h2->broken = true;
	h2->out_len = 0;
	if (h2->out != NULL)
		tg_blocks_put(h2->blocks, h2->out);
	h2->out = NULL;
}

static void
put(struct tg_http2 *h2, struct tg_str bytes)
{
	while (bytes.len > 0 && !h2->broken) {
		size_t room = BLOCK - h2->out_len, n = bytes.len < room ? bytes.len : room;

		if (bytes.len >= LARGE) {
			emit(h2, bytes);
			return;
		}
		if (h2->out == NULL)
			h2->out = tg_blocks_get(h2->blocks);
		if (h2->out == NULL) {
			h2->broken = true;
			return;
		}
		memcpy(h2->out + h2->out_len, bytes.ptr, n);
		h2->out_len += (uint32_t)n;
		bytes.ptr += n;
		bytes.len -= n;
		if (h2->out_len == BLOCK)
			emit(h2, TG_STR(""));
	}
}

/* Has all gone out? Who writes just now sees it; others are told when we are done. */
static void
look(struct tg_http2 *h2, struct tg_http2_stream *stream)
{
	if (stream->queued == 0 && !stream->writing && !tg_link_linked(&stream->drained))
		tg_list_push_back(&h2->drained, &stream->drained);
}

int
tg_http2_on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
    size_t len, nghttp2_data_source *source, void *data)
{
	struct tg_http2 *h2 = data;
	struct tg_http2_stream *stream = tg_http2_stream_of(h2, frame->hd.stream_id);

	(void)session;
	(void)source;
	tg_assert(stream != NULL); /* on_read has seen it */
	put(h2, (struct tg_str){ (const char *)header, 9 });
	tg_http2_budget_earn(&h2->chatter, len / 1024);
	while (len > 0) {
		struct tg_str piece = next_piece(stream, len);

		put(h2, piece);
		pass_piece(stream, piece.len);
		len -= piece.len;
	}
	if (stream->queued == 1 && stream->out_ended)
		stream->queued = 0;
	/* A frame that is small because there was no more, not because no more was let through, may well be
	 * answered: small messages are (gRPC). */
	if (stream->queued == 0)
		tg_http2_budget_earn(&h2->chatter, ANSWERS);
	look(h2, stream);
	return 0;
}

int
tg_http2_on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
	struct tg_http2 *h2 = data;
	struct tg_http2_stream *stream;

	(void)session;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	stream = tg_http2_stream_of(h2, frame->hd.stream_id);
	if (stream == NULL)
		return 0;
	if (stream->head_waits) {
		stream->head_waits = false;
		stream->queued--;
	} else if (stream->trailing) { /* whether or not a frame has gone before them */
		stream->queued = 0;
	} else {
		return 0;
	}
	look(h2, stream);
	return 0;
}

/* They go out behind the frame that is being made. Without memory for them the body ends as it is. */
static int
submit_trailers(struct tg_http2_stream *stream)
{
	nghttp2_nv *fields = NULL;
	int count = tg_http2_trailers_pack(stream->trailers, &fields);

	stream->trailers = NULL;
	if (count <= 0 ||
	    nghttp2_submit_trailer(stream->h2->session, stream->id, fields, (size_t)count) != 0)
		return -1;
	stream->trailing = true;
	return 0;
}

/* How much of the stream may go into a DATA frame, and whether it is the last. */
ssize_t
tg_http2_on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
    nghttp2_data_source *source, void *data)
{
	struct tg_http2_stream *stream = tg_http2_stream_of(data, id);
	size_t waiting;

	(void)session;
	(void)buf;
	(void)source;
	if (stream == NULL) /* its owner has left, and it is about to be reset */
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	waiting = stream->queued - (stream->out_ended ? 1u : 0u);
	if (stream->queued == 0) {
		stream->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (waiting <= len && stream->out_ended) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (stream->trailers != NULL && submit_trailers(stream) == 0)
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	}
	return (ssize_t)(waiting < len ? waiting : len);
}

/* A request that nghttp2 has no stream for (RFC 9113 §6.8: the server leaves, or no numbers are left). */
static void
tell_unsent(struct tg_http2 *h2, int32_t id)
{
	for (struct tg_link *link = h2->streams.next; link != &h2->streams; link = link->next) {
		struct tg_http2_stream *stream = tg_container_of(link, struct tg_http2_stream, all);

		if (stream->id != id)
			continue;
		stream->unsent = stream->refused = true;
		if (!tg_link_linked(&stream->drained))
			tg_list_push_back(&h2->drained, &stream->drained);
		return;
	}
}

/* A head that cannot be sent would leave its stream without an answer. */
int
tg_http2_on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *data)
{
	struct tg_http2 *h2 = data;

	(void)error;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (h2->client)
		tell_unsent(h2, frame->hd.stream_id);
	else
		(void)nghttp2_submit_rst_stream(
		    session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
	return 0;
}

/* Let nghttp2 say what is next, for as long as it goes out. */
static void
pull(struct tg_http2 *h2)
{
	h2->sending = true;
	while (!h2->broken && h2->ops->writable(h2)) {
		const uint8_t *bytes;
		ssize_t len = nghttp2_session_mem_send(h2->session, &bytes);

		if (len < 0)
			h2->broken = true;
		if (len <= 0)
			break;
		put(h2, (struct tg_str){ (const char *)bytes, (size_t)len });
		if (h2->abused) /* by what was just sent: a reset too many that it had us send */
			(void)nghttp2_session_terminate_session(
			    h2->session, NGHTTP2_ENHANCE_YOUR_CALM);
	}
	h2->sending = false;
}

void
tg_http2_tell_drained(struct tg_http2 *h2)
{
	struct tg_link *link;

	while ((link = tg_list_pop_front(&h2->drained)) != NULL) {
		struct tg_http2_stream *stream =
		    tg_container_of(link, struct tg_http2_stream, drained);

		if (!stream->unsent) {
			h2->ops->on_drained(stream);
		} else if (stream->h2 != NULL) {
			tg_http2_detach(stream);
			h2->ops->on_reset(stream);
		}
	}
}

void
tg_http2_flush(struct tg_http2 *h2)
{
	if (h2->receiving || h2->sending)
		return;
	pull(h2);
	emit(h2, TG_STR(""));
	tg_http2_tell_drained(h2);
	emit(h2, TG_STR("")); /* what these have written */
}

/* Let it go out as far as it may, while the parts that it is in are there. */
int
tg_http2_push(struct tg_http2_stream *stream)
{
	struct tg_http2 *h2 = stream->h2;
	int error = 0;

	stream->writing = true;
	if (!h2->receiving && !h2->sending)
		pull(h2);
	stream->writing = false;
	h2->ops->on_wants_flush(h2);
	if (stream->h2 != NULL)
		error = keep_parts(stream);
	return error;
}

int
tg_http2_answer(struct tg_http2_stream *stream, const struct tg_head *head, bool last)
{
	bool final = head->status >= 200 || head->status == 101;
	struct tg_http2 *h2 = stream->h2;
	nghttp2_data_provider body = { .read_callback = tg_http2_on_read };
	nghttp2_nv *fields = NULL;
	int count, error;

	if (h2 == NULL)
		return 0;
	tg_assert(!stream->begun);
	count = tg_http2_head_pack(head, &fields);
	if (count < 0)
		return count;
	if (final)
		error = nghttp2_submit_response(
		    h2->session, stream->id, fields, (size_t)count, last ? NULL : &body);
	else
		error = nghttp2_submit_headers(
		    h2->session, NGHTTP2_FLAG_NONE, stream->id, NULL, fields, (size_t)count, NULL);
	if (error != 0)
		return TG_HTTP_MEMORY;
	if (final) {
		stream->begun = stream->head_waits = true;
		stream->out_ended = last;
		stream->queued++;
	}
	if (final && last)
		return tg_http2_push(stream);
	h2->ops->on_wants_flush(h2);
	return 0;
}

int
tg_http2_write(
    struct tg_http2_stream *stream, const struct tg_str *parts, unsigned count, bool last)
{
	struct tg_http2 *h2 = stream->h2;
	size_t total = 0;

	if (h2 == NULL)
		return 0;
	tg_assert(stream->begun && !stream->out_ended && !stream->writing);
	for (unsigned i = 0; i < count; i++)
		total += parts[i].len;
	if (total == 0 && !last)
		return 0;
	stream->queued += (uint32_t)total + last;
	stream->out_ended = last;
	stream->parts = parts;
	stream->count = count;
	stream->skip = 0;
	if (stream->deferred)
		(void)nghttp2_session_resume_data(h2->session, stream->id);
	stream->deferred = false;
	return tg_http2_push(stream);
}

/* --- the beginning --------------------------------------------------------------------------- */

/* What we want of the other side: how many entries. */
static size_t
settings_of(const struct tg_http2 *h2, nghttp2_settings_entry entries[4])
{
	size_t n = 0;

	entries[n++] =
	    (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h2->limits.head.head };
	if (h2->client) {
		entries[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };
		return n;
	}
	entries[n++] =
	    (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h2->limits.streams };
	entries[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 };
	if (h2->limits.connect)
		entries[n++] =
		    (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 };
	return n;
}

int
tg_http2_introduce(struct tg_http2 *h2)
{
	nghttp2_settings_entry entries[4];
	size_t n = settings_of(h2, entries);

	/* The window comes behind the settings, which are the first that the peer hears. */
	if (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, entries, n) != 0 ||
	    nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, WINDOW) != 0)
		return TG_HTTP_MEMORY;
	return 0;
}
