/* The client's side of a connection: requests out, answers in. An answer is judged as one of HTTP/1.1 that says the
 * same (http1_judge.c). */
#include "http/bytes.h"
#include "http/http2_private.h"

/* :status, three digits (RFC 9113 §8.3.2); -1: there is none, or it is another thing. */
static int
status_of(struct tg_str text)
{
	int status = 0;

	if (text.len != 3)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return -1;
		status = status * 10 + (text.ptr[i] - '0');
	}
	return status;
}

int
tg_http2_answer_judge(struct tg_http2 *h2, bool ended, bool no_body)
{
	struct tg_head *head = &h2->head;

	head->major = 2;
	if (h2->reader.error != 0)
		return h2->reader.error;
	head->status = status_of(h2->reader.status);
	head->reason = tg_reason(head->status);
	/* No protocol is changed that way here (RFC 9113 §8.6), and an interim answer is not the last. */
	if (head->status < 100 || head->status == 101 || (head->status < 200 && ended))
		return TG_HTTP_BAD;
	return tg_http2_judge_response(head, ended, no_body);
}

void
tg_http2_on_answer(struct tg_http2_stream *stream, bool ended)
{
	struct tg_http2 *h2 = stream->h2;
	struct tg_head *head = &h2->head;
	int error;

	if (stream->in_ended) /* with an error, and its owner has not left yet */
		return;
	error = tg_http2_answer_judge(h2, ended, stream->no_body);
	stream->headed = error != 0 || head->status >= 200;
	stream->in_ended = ended;
	stream->promised = error == 0 && head->framing != TG_FRAMING_CLOSE;
	stream->left = head->framing == TG_FRAMING_LENGTH ? head->length : 0;
	h2->ops->on_head(stream, head, error);
}

unsigned
tg_http2_room(const struct tg_http2 *h2)
{
	uint32_t most = nghttp2_session_get_remote_settings(
	    h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	if (most > h2->limits.streams)
		most = h2->limits.streams;
	if (h2->leaving || h2->final || h2->broken || most <= h2->count ||
	    nghttp2_session_get_next_stream_id(h2->session) > INT32_MAX)
		return 0;
	return most - h2->count;
}

int
tg_http2_request(struct tg_http2 *h2, struct tg_http2_stream *stream, const struct tg_head *head,
    struct tg_str host, bool https, bool last)
{
	nghttp2_data_provider body = { .read_callback = tg_http2_on_read };
	nghttp2_nv *fields = NULL;
	int count = tg_http2_request_pack(head, host, https, &fields);
	int32_t id;

	if (count < 0)
		return count;
	id = nghttp2_submit_request(
	    h2->session, NULL, fields, (size_t)count, last ? NULL : &body, stream);
	if (id < 0)
		return TG_HTTP_MEMORY;
	tg_http2_stream_begin(h2, stream, id);
	stream->no_body = head->method_id == TG_METHOD_HEAD;
	stream->begun = stream->head_waits = true;
	stream->out_ended = last;
	stream->queued = 1;
	if (last)
		return tg_http2_push(stream);
	h2->ops->on_wants_flush(h2);
	return 0;
}
