/* Bodies: where they end. */
#include "http/http1_private.h"

void
tg_http1_told_init(struct tg_http1 *http, struct tg_head *head)
{
	*http = (struct tg_http1){ .head = head, .told = true, .left = head->length };
	http->state = head->framing == TG_FRAMING_NONE ? TG_HTTP1_DONE : TG_HTTP1_BODY;
}

void
tg_http1_until_end_init(struct tg_http1 *http, struct tg_head *head)
{
	tg_http1_told_init(http, head);
	http->to_end = true;
}

static bool
until_end(const struct tg_http1 *http)
{
	return http->to_end || http->head->framing == TG_FRAMING_CLOSE ||
	    (http->head->framing == TG_FRAMING_CHUNKED && http->told);
}

int
tg_http1_body(struct tg_http1 *http, char *data, size_t len, size_t *used, struct tg_str *body)
{
	*used = 0;
	*body = (struct tg_str){ data, 0 };
	if (http->error != 0)
		return http->error;
	tg_assert(http->state > TG_HTTP1_LINES);
	if (http->state == TG_HTTP1_DONE)
		return 1;
	if (http->head->framing == TG_FRAMING_CHUNKED && !http->told)
		return tg_http1_chunked(http, data, len, used, body);
	if (http->head->framing == TG_FRAMING_LENGTH && !http->to_end && len > http->left)
		len = (size_t)http->left;
	*used = len;
	body->len = len;
	if (until_end(http))
		return 0;
	http->left -= len;
	if (http->left == 0)
		http->state = TG_HTTP1_DONE;
	return http->state == TG_HTTP1_DONE;
}

bool
tg_http1_complete_at_eof(const struct tg_http1 *http)
{
	if (http->error != 0)
		return false;
	return http->state == TG_HTTP1_DONE || until_end(http);
}
