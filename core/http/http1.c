/* Reading a head. The method and the target are cut off here, the rest by llhttp: it knows a
 * fixed list of methods, each with its own rules for the target and for what follows the head
 * (CONNECT, PRI, Upgrade), and none of that may decide for us. So it is always told "GET / ",
 * and stopped at the end of the head; bodies are counted in http1_body.c and http1_chunked.c.
 *
 * A head that comes in one piece, as nearly all do, is parsed where it lies and then copied into
 * the arena once, at its exact size. Only one in pieces is gathered first.
 */
#include "http/bytes.h"
#include "http/fields.h"
#include "http/http1_private.h"

enum { SLACK = 512 }; /* room for the next piece of a head that did not come whole */

/* A name is complete, so there is one field more. Only here, and not where the field begins, does
 * the place in the stream not depend on how the bytes arrive.
 * No field is special to llhttp: what Content-Length and the others mean is judged by us, and 8.1.0
 * refuses a tab behind a length. */
static int
on_name_complete(llhttp_t *parser)
{
	struct tg_http1 *http = tg_container_of(parser, struct tg_http1, parser);

	parser->header_state = 0;
	if (http->head->count <= http->limits->fields)
		return 0;
	http->error = TG_HTTP_TOO_LARGE;
	return HPE_USER;
}

/* A part of a name. It begins a field when the field before it has its value. */
static int
on_name(llhttp_t *parser, const char *at, size_t len)
{
	struct tg_http1 *http = tg_container_of(parser, struct tg_http1, parser);
	struct tg_head *head = http->head;
	struct tg_field *field;

	if (http->in_field) {
		head->fields[head->count - 1].name.len += len;
		return 0;
	}
	field = tg_head_append(head);
	if (field == NULL) {
		http->error = tg_head_append_error(head);
		return HPE_USER;
	}
	field->name = (struct tg_str){ at, len };
	http->in_field = true;
	return 0;
}

/* A part of a value. An empty value may come with a position that is not its own. */
static int
on_value(llhttp_t *parser, const char *at, size_t len)
{
	struct tg_http1 *http = tg_container_of(parser, struct tg_http1, parser);
	struct tg_str *value = &http->head->fields[http->head->count - 1].value;

	if (len == 0)
		return 0;
	if (value->ptr == NULL)
		value->ptr = at;
	value->len = (size_t)(at + len - value->ptr);
	return 0;
}

static int
on_value_complete(llhttp_t *parser)
{
	tg_container_of(parser, struct tg_http1, parser)->in_field = false;
	return 0;
}

static int
on_head_complete(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_header_field = on_name,
	.on_header_field_complete = on_name_complete,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_complete,
	.on_headers_complete = on_head_complete,
};

/* Every version passes llhttp: which are spoken here is judged by tg_http1_judge_… . */
static void
init(struct tg_http1 *http, llhttp_type_t type, const struct tg_http1_limits *limits,
    struct tg_head *head)
{
	tg_assert(limits->head <= INT32_MAX);
	*http = (struct tg_http1){ .limits = limits, .head = head };
	tg_head_init(head, head->arena);
	llhttp_init(&http->parser, type, &settings);
	http->parser.lenient_flags = LENIENT_VERSION;
}

void
tg_http1_request_init(
    struct tg_http1 *http, const struct tg_http1_limits *limits, struct tg_head *head)
{
	init(http, HTTP_REQUEST, limits, head);
	http->state = TG_HTTP1_EMPTY;
}

void
tg_http1_response_init(struct tg_http1 *http, const struct tg_http1_limits *limits,
    struct tg_head *head, enum tg_method request_method)
{
	init(http, HTTP_RESPONSE, limits, head);
	http->state = TG_HTTP1_LINES;
	http->is_response = true;
	http->no_body = request_method == TG_METHOD_HEAD;
}

static void
rebase_one(struct tg_str *view, const char *from, const char *to)
{
	if (view->ptr != NULL)
		view->ptr = to + (view->ptr - from);
}

/* Move the bytes into the arena, into `cap` bytes, and all that points at them. */
static int
move(struct tg_http1 *http, size_t cap)
{
	struct tg_head *head = http->head;
	const char *from = http->bytes;
	char *to = tg_arena_alloc(head->arena, cap);

	if (to == NULL)
		return TG_HTTP_MEMORY;
	memcpy(to, from, http->len);
	rebase_one(&head->method, from, to);
	rebase_one(&head->target, from, to);
	rebase_one(&head->reason, from, to);
	for (size_t i = 0; i < head->count; i++) {
		rebase_one(&head->fields[i].name, from, to);
		rebase_one(&head->fields[i].value, from, to);
	}
	http->bytes = to;
	http->cap = (uint32_t)cap;
	return 0;
}

/* Put `len` more bytes, which the limit allows, behind those there are. */
static int
add(struct tg_http1 *http, const char *data, size_t len)
{
	size_t need = http->len + len, cap = 2u * (size_t)http->cap;

	if (http->len == 0) {
		http->bytes = (char *)data; /* not written to while cap is 0 */
		http->len = (uint32_t)len;
		return 0;
	}
	if (need > http->cap) {
		cap = cap > http->limits->head ? http->limits->head : cap;
		if (move(http, cap > need ? cap : need) != 0)
			return TG_HTTP_MEMORY;
	}
	memcpy(http->bytes + http->len, data, len);
	http->len = (uint32_t)need;
	return 0;
}

/* The number of bytes of `data` that are empty lines before the request line (RFC 9112 §2.2),
 * or TG_HTTP_BAD for a CR or LF that is not of one. */
static int64_t
skip_empty_lines(struct tg_http1 *http, const char *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (http->state == TG_HTTP1_EMPTY_CR) {
			if (data[i] != '\n')
				return TG_HTTP_BAD;
			http->state = TG_HTTP1_EMPTY;
		} else if (http->state == TG_HTTP1_EMPTY && data[i] == '\r') {
			http->state = TG_HTTP1_EMPTY_CR;
		} else {
			break;
		}
	}
	if (i < len && http->state == TG_HTTP1_EMPTY)
		http->state = TG_HTTP1_METHOD;
	return (int64_t)i;
}

/* Look for the end of the method. */
static int
read_method(struct tg_http1 *http)
{
	struct tg_str *method = &http->head->method;

	while (http->mark < http->len && tg_byte_is(http->bytes[http->mark], TG_BYTE_TOKEN))
		http->mark++;
	if (http->mark == http->len)
		return 0;
	*method = (struct tg_str){ http->bytes, http->mark };
	if (http->mark == 0 || http->bytes[http->mark] != ' ')
		return TG_HTTP_BAD;
	http->head->method_id = (uint8_t)tg_http1_method_id(*method);
	if (tg_str_eq(*method, TG_STR("PRI"))) /* the preface of HTTP/2 (RFC 9113 §3.4) */
		return TG_HTTP_BAD;
	http->mark++;
	http->state = TG_HTTP1_TARGET;
	return 0;
}

/* Look for the end of the target; then begin with llhttp. */
static int
read_target(struct tg_http1 *http)
{
	uint32_t start = (uint32_t)http->head->method.len + 1;

	while (http->mark < http->len && tg_byte_is(http->bytes[http->mark], TG_BYTE_TARGET))
		http->mark++;
	if (http->mark - start > http->limits->uri)
		return TG_HTTP_URI_TOO_LONG;
	if (http->mark == http->len)
		return 0;
	if (http->mark == start || http->bytes[http->mark] != ' ')
		return TG_HTTP_BAD;
	http->head->target = (struct tg_str){ http->bytes + start, http->mark - start };
	http->mark++;
	http->state = TG_HTTP1_LINES;
	return llhttp_execute(&http->parser, "GET / ", 6) == HPE_OK ? 0 : TG_HTTP_BAD;
}

/* 1 when the head is complete. */
static int
read_lines(struct tg_http1 *http)
{
	llhttp_errno_t result;

	result = llhttp_execute(&http->parser, http->bytes + http->mark, http->len - http->mark);
	http->mark = http->len;
	switch (result) {
	case HPE_OK:
		return 0;
	case HPE_PAUSED:
		return 1;
	default:
		return http->error != 0 ? http->error : TG_HTTP_BAD;
	}
}

/* Read on as far as the bytes go. 1 when the head is complete. */
static int
read_head(struct tg_http1 *http)
{
	int error = 0;

	if (http->state == TG_HTTP1_METHOD)
		error = read_method(http);
	if (error == 0 && http->state == TG_HTTP1_TARGET)
		error = read_target(http);
	if (error == 0 && http->state == TG_HTTP1_LINES)
		return read_lines(http);
	return error;
}

/* For ever. What was read so far stays readable, for the log, and must not point into a buffer
 * of the caller. */
static int
refuse(struct tg_http1 *http, int error)
{
	if (http->len > 0 && http->cap == 0 && move(http, http->len) != 0)
		tg_head_init(http->head, http->head->arena);
	http->error = error;
	return error;
}

/* The head is complete: check its lines, own its bytes, judge what it means. 0 or an error;
 * http->len is its length then. */
static int
finish_head(struct tg_http1 *http)
{
	struct tg_head *head = http->head;
	int len, error;

	len = tg_http1_check(head, http->is_response, http->bytes, http->len);
	if (len < 0)
		return len;
	http->len = (uint32_t)len;
	if (http->cap == 0 && move(http, http->len) != 0)
		return TG_HTTP_MEMORY;
	error = http->is_response ? tg_http1_judge_response(head, http->no_body)
	                          : tg_http1_judge_request(head);
	if (error != 0)
		return error;
	http->left = head->length;
	http->mark = 0;
	if (head->framing == TG_FRAMING_NONE)
		http->state = TG_HTTP1_DONE;
	else if (head->framing == TG_FRAMING_CHUNKED)
		http->state = TG_HTTP1_CHUNK_SIZE;
	else
		http->state = TG_HTTP1_BODY;
	return 0;
}

int
tg_http1_head(struct tg_http1 *http, const char *data, size_t len, size_t *used)
{
	uint32_t before = http->len;
	size_t take, room = http->limits->head - before;
	int64_t skipped;
	int result;

	*used = 0;
	if (http->error != 0)
		return http->error;
	tg_assert(http->state <= TG_HTTP1_LINES);
	skipped = skip_empty_lines(http, data, len);
	if (skipped < 0)
		return refuse(http, TG_HTTP_BAD);
	*used = len;
	if ((size_t)skipped == len)
		return 0;
	take = len - (size_t)skipped;
	take = take < room ? take : room;
	result = add(http, data + skipped, take);
	if (result == 0)
		result = read_head(http);
	if (result == 0 && http->len == http->limits->head)
		result = TG_HTTP_TOO_LARGE;
	if (result == 0 && http->cap == 0)
		result = move(http, http->len + SLACK);
	if (result == 1) {
		result = finish_head(http);
		*used = (size_t)skipped + (http->len - before);
	}
	if (result < 0)
		return refuse(http, result);
	return http->state > TG_HTTP1_LINES;
}

bool
tg_http1_started(const struct tg_http1 *http)
{
	return http->len > 0;
}
