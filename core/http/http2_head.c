/* Fields of HTTP/2 to heads and back. A head that passes here can be written as HTTP/1.1 without saying
 * anything else: RFC 9113 §8.2 and §8.3, and where it leaves a choice, the stricter one. Whatever nghttp2
 * lets through, it is judged here byte by byte.
 */
#include "http/bytes.h"
#include "http/fields.h"
#include "http/http1_private.h"
#include "http/http2_private.h"
#include "http/websocket.h"

enum {
	PER_FIELD = 4, /* bytes that a field has beside its name and value, in HTTP/1 */
	ALL_BOUNDS =
	    4, /* times the limit of a head: nobody means to be answered who goes on so long */
};

void
tg_http2_head_begin(struct tg_http2 *h2, bool trailers)
{
	size_t packed = h2->reader.packed;

	h2->reader =
	    (struct tg_http2_reader){ .open = true, .packed = packed, .trailers = trailers };
	tg_arena_reset(&h2->arena);
	tg_head_init(&h2->head, &h2->arena);
}

void
tg_http2_head_end(struct tg_http2 *h2)
{
	h2->reader.open = false;
	tg_arena_reset(&h2->arena);
}

static void
refuse(struct tg_http2 *h2, int error)
{
	if (h2->reader.error == 0)
		h2->reader.error = error;
}

/* --- pseudo-fields (RFC 9113 §8.3) --------------------------------------------------------- */

/* Where the value belongs; NULL: no such pseudo-field. */
static struct tg_str *
place_of(struct tg_http2 *h2, struct tg_str name)
{
	if (h2->client)
		return tg_str_eq(name, TG_STR(":status")) ? &h2->reader.status : NULL;
	if (tg_str_eq(name, TG_STR(":method")))
		return &h2->head.method;
	if (tg_str_eq(name, TG_STR(":path")))
		return &h2->head.target;
	if (tg_str_eq(name, TG_STR(":scheme")))
		return &h2->reader.scheme;
	if (tg_str_eq(name, TG_STR(":authority")))
		return &h2->reader.authority;
	if (tg_str_eq(name, TG_STR(":protocol")) && h2->limits.connect)
		return &h2->reader.protocol;
	return NULL;
}

/* Each once, and all before the other fields. What is refused is still kept where it can be, for the log. */
static void
read_pseudo(struct tg_http2 *h2, struct tg_str name, struct tg_str value)
{
	struct tg_str *place = place_of(h2, name);

	if (place == NULL || place->ptr != NULL || h2->reader.fields || h2->reader.trailers) {
		refuse(h2, TG_HTTP_BAD);
		return;
	}
	*place = tg_arena_copy(&h2->arena, value);
	if (place->ptr == NULL)
		refuse(h2, TG_HTTP_MEMORY);
}

/* --- fields (RFC 9113 §8.2) ----------------------------------------------------------------- */

static bool
name_is_good(struct tg_str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!tg_byte_is(name.ptr[i], TG_BYTE_TOKEN) ||
		    (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z'))
			return false;
	return name.len > 0;
}

static bool
value_is_good(struct tg_str value)
{
	return tg_bytes_are(value, TG_BYTE_VALUE) && tg_bytes_trim(value).len == value.len;
}

/* What speaks of a connection has no place here (RFC 9113 §8.2.2). */
static bool
may_be_there(enum tg_field_id id, struct tg_str value)
{
	switch (id) {
	case TG_FIELD_CONNECTION:
	case TG_FIELD_KEEP_ALIVE:
	case TG_FIELD_PROXY_CONNECTION:
	case TG_FIELD_TRANSFER_ENCODING:
	case TG_FIELD_UPGRADE:
		return false;
	case TG_FIELD_TE:
		return tg_str_ieq(value, TG_STR("trailers"));
	default:
		return true;
	}
}

static void
read_field(struct tg_http2 *h2, struct tg_str name, bool name_stays, struct tg_str value)
{
	enum tg_field_id id = tg_field_id_of(name);
	struct tg_field *field;

	h2->reader.fields = true;
	if (!name_is_good(name) || !value_is_good(value) || !may_be_there(id, value)) {
		refuse(h2, TG_HTTP_BAD);
		return;
	}
	if (h2->reader.trailers &&
	    id != TG_FIELD_OTHER) /* it means nothing there (RFC 9110 §6.5.1) */
		return;
	if (h2->head.count >= h2->limits.head.fields) {
		refuse(h2, TG_HTTP_TOO_LARGE);
		return;
	}
	field = tg_head_append(&h2->head);
	if (field == NULL) {
		refuse(h2, tg_head_append_error(&h2->head));
		return;
	}
	field->id = (uint8_t)id;
	field->name = name_stays ? name : tg_arena_copy(&h2->arena, name);
	field->value = tg_arena_copy(&h2->arena, value);
	if (field->name.ptr == NULL || field->value.ptr == NULL) {
		h2->head.count--;
		refuse(h2, TG_HTTP_MEMORY);
	}
}

bool
tg_http2_head_field(struct tg_http2 *h2, struct tg_str name, bool name_stays, struct tg_str value)
{
	h2->reader.bytes += name.len + value.len + PER_FIELD;
	if (h2->reader.bytes > ALL_BOUNDS * (size_t)h2->limits.head.head)
		return false;
	if (h2->reader.bytes > h2->limits.head.head)
		refuse(h2, TG_HTTP_TOO_LARGE);
	if (h2->reader.error != 0) /* it is read on for its end, and for the table of HPACK */
		return true;
	if (name.len > 0 && name.ptr[0] == ':')
		read_pseudo(h2, name, value);
	else
		read_field(h2, name, name_stays, value);
	return true;
}

/* --- the whole head ------------------------------------------------------------------------- */

/* Clients may cut Cookie into crumbs, which have to be one field elsewhere (RFC 9113 §8.2.3). An empty one
 * says nothing, and would leave a blank at the end. */
static int
join_cookies(struct tg_head *head)
{
	struct tg_str whole = { NULL, 0 };
	struct tg_field *first = NULL;
	unsigned crumbs = 0, kept = 0;
	char *at;

	for (unsigned i = 0; i < head->count; i++) {
		if (head->fields[i].id != TG_FIELD_COOKIE)
			continue;
		crumbs++;
		whole.len += head->fields[i].value.len + 2;
	}
	if (crumbs < 2)
		return 0;
	whole.ptr = at = tg_arena_alloc(head->arena, whole.len + 1);
	if (at == NULL)
		return TG_HTTP_MEMORY;
	for (unsigned i = 0; i < head->count; i++) {
		struct tg_field *field = &head->fields[i];

		if (field->id == TG_FIELD_COOKIE) {
			if (at > whole.ptr && field->value.len > 0)
				at = mempcpy(at, "; ", 2);
			at = mempcpy(at, field->value.ptr, field->value.len);
			if (first != NULL)
				continue;
			first = &head->fields[kept];
		}
		head->fields[kept++] = *field;
	}
	*at = '\0';
	whole.len = (size_t)(at - whole.ptr);
	head->count = (uint16_t)kept;
	first->value = whole;
	return 0;
}

/* For whom it is: :authority, or Host, or both and the same (RFC 9113 §8.3.1). It becomes a Host field. */
static int
judge_authority(struct tg_http2 *h2)
{
	struct tg_str authority = h2->reader.authority;
	const struct tg_field *host = tg_head_find(&h2->head, TG_STR("host"), NULL);
	struct tg_field *field;

	if (authority.ptr == NULL)
		return host != NULL && host->value.len > 0 ? 0 : TG_HTTP_BAD;
	if (authority.len == 0 || (host != NULL && !tg_str_ieq(host->value, authority)))
		return TG_HTTP_BAD;
	if (host != NULL)
		return 0;
	field = tg_head_append(&h2->head);
	if (field == NULL)
		return tg_head_append_error(&h2->head);
	*field = (struct tg_field){ TG_STR("host"), authority, TG_FIELD_HOST, 0 };
	return 0;
}

/* Another protocol on this stream (RFC 8441). To a server of HTTP/1 it is a GET that asks for an upgrade,
 * with the key that a WebSocket needs there (RFC 6455 §4.1). */
static int
judge_protocol(struct tg_http2 *h2)
{
	struct tg_head *head = &h2->head;
	struct tg_field *key;
	char *text;

	if (!tg_str_eq(head->method, TG_STR("CONNECT")))
		return TG_HTTP_BAD;
	if (!tg_str_ieq(h2->reader.protocol, TG_STR("websocket")))
		return TG_HTTP_NOT_IMPLEMENTED;
	if (tg_head_find(head, TG_STR("sec-websocket-key"), NULL) != NULL)
		return TG_HTTP_BAD; /* RFC 8441 §5.1: it is not used */
	text = tg_arena_alloc(&h2->arena, TG_WEBSOCKET_KEY + 1);
	key = tg_head_append(head);
	if (text == NULL || key == NULL)
		return TG_HTTP_MEMORY;
	tg_websocket_key(text);
	*key = (struct tg_field){ TG_STR("sec-websocket-key"), { text, TG_WEBSOCKET_KEY },
		TG_FIELD_OTHER, 0 };
	head->method = TG_STR("GET");
	return 0;
}

/* :path is in origin-form or "*": what looks absolute there would be for somebody else. */
static int
judge_pseudo(struct tg_http2 *h2)
{
	struct tg_head *head = &h2->head;
	int error = 0;

	if (head->method.ptr == NULL || head->method.len == 0 ||
	    !tg_bytes_are(head->method, TG_BYTE_TOKEN))
		return TG_HTTP_BAD;
	if (h2->reader.protocol.ptr != NULL)
		error = judge_protocol(h2);
	else if (tg_str_eq(head->method, TG_STR("CONNECT")))
		error = TG_HTTP_NOT_IMPLEMENTED; /* we are no forward proxy */
	if (error != 0)
		return error;
	head->https = tg_str_ieq(h2->reader.scheme, TG_STR("https"));
	if (!head->https && !tg_str_ieq(h2->reader.scheme, TG_STR("http")))
		return TG_HTTP_BAD;
	if (head->target.len > h2->limits.head.uri)
		return TG_HTTP_URI_TOO_LONG;
	if (head->target.len == 0 || !tg_bytes_are(head->target, TG_BYTE_TARGET))
		return TG_HTTP_BAD;
	return head->target.ptr[0] == '/' || head->target.ptr[0] == '*' ? 0 : TG_HTTP_BAD;
}

int
tg_http2_head_judge(struct tg_http2 *h2, bool ended)
{
	struct tg_head *head = &h2->head;
	bool protocol = h2->reader.protocol.ptr != NULL;
	int error = h2->reader.error;

	if (error == 0)
		error = judge_pseudo(h2);
	if (error == 0)
		error = judge_authority(h2);
	if (error == 0)
		error = join_cookies(head);
	if (error != 0) {
		head->major = 2;
		return error;
	}
	head->method_id = (uint8_t)tg_http1_method_id(head->method);
	error = tg_http2_judge_request(head, ended || protocol);
	if (error == 0 && protocol)
		head->upgrade = TG_STR("websocket");
	return error;
}

int
tg_http2_trailers_judge(const struct tg_http2 *h2, bool ended)
{
	return h2->reader.error != 0 || !ended ? TG_HTTP_BAD : 0;
}

struct tg_head *
tg_http2_trailers(struct tg_http2 *h2)
{
	return h2->reader.open && h2->reader.trailers && h2->head.count > 0 ? &h2->head : NULL;
}
