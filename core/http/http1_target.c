/* The target of a request and its Host field: for whom the request is (RFC 9112 §3.2, §3.3). */
#include "http/bytes.h"
#include "http/fields.h"
#include "http/http1_private.h"

enum tg_method
tg_http1_method_id(struct tg_str method)
{
#define TRY(literal, id)                                                                           \
	if (memcmp(method.ptr, literal, sizeof(literal) - 1) == 0)                                 \
	return id
	switch (method.len) {
	case 3:
		TRY("GET", TG_METHOD_GET);
		TRY("PUT", TG_METHOD_PUT);
		break;
	case 4:
		TRY("HEAD", TG_METHOD_HEAD);
		TRY("POST", TG_METHOD_POST);
		break;
	case 5:
		TRY("TRACE", TG_METHOD_TRACE);
		break;
	case 6:
		TRY("DELETE", TG_METHOD_DELETE);
		break;
	case 7:
		TRY("OPTIONS", TG_METHOD_OPTIONS);
		TRY("CONNECT", TG_METHOD_CONNECT);
		break;
	default:
		break;
	}
#undef TRY
	return TG_METHOD_OTHER;
}

/* path [ "?" query ] */
static void
split(struct tg_head *head, const char *at, const char *end)
{
	const char *mark = at < end ? memchr(at, '?', (size_t)(end - at)) : NULL;

	head->path = (struct tg_str){ at, (size_t)((mark != NULL ? mark : end) - at) };
	if (mark != NULL)
		head->query = (struct tg_str){ mark + 1, (size_t)(end - mark - 1) };
}

static bool
starts(struct tg_str target, struct tg_str scheme)
{
	return target.len >= scheme.len && strncasecmp(target.ptr, scheme.ptr, scheme.len) == 0;
}

/* absolute-form: its authority is the host, whatever Host says (RFC 9112 §3.2.2). User information is
 * in no valid host: it is how one host looks like another. */
static int
judge_absolute(struct tg_head *head)
{
	const char *at, *authority, *end = head->target.ptr + head->target.len;
	struct tg_str host;

	head->https = starts(head->target, TG_STR("https://"));
	if (head->https)
		authority = head->target.ptr + 8;
	else if (starts(head->target, TG_STR("http://")))
		authority = head->target.ptr + 7;
	else
		return TG_HTTP_BAD;
	for (at = authority; at < end && *at != '/' && *at != '?'; at++)
		;
	host = (struct tg_str){ authority, (size_t)(at - authority) };
	if (!tg_host_valid(host))
		return TG_HTTP_BAD;
	head->host = host;
	split(head, at, end);
	if (head->path.len == 0) /* RFC 9110 §4.2.3; for OPTIONS: RFC 9112 §3.2.4 */
		head->path = head->method_id == TG_METHOD_OPTIONS && head->query.ptr == NULL
		    ? TG_STR("*")
		    : TG_STR("/");
	return 0;
}

/* The Host field as head->host: absent as ptr NULL. An empty one is what a client without an
 * authority has to send (RFC 9112 §3.2). */
static int
judge_host(struct tg_head *head, const struct tg_field *field)
{
	if (field == NULL)
		return head->minor > 0 ? TG_HTTP_BAD : 0;
	if (field->value.len > 0 && !tg_host_valid(field->value))
		return TG_HTTP_BAD;
	head->host = field->value;
	return 0;
}

int
tg_http1_judge_target(struct tg_head *head, const struct tg_field *field)
{
	struct tg_str target = head->target;

	if (judge_host(head, field) != 0)
		return TG_HTTP_BAD;
	if (head->method_id == TG_METHOD_CONNECT)
		return TG_HTTP_NOT_IMPLEMENTED; /* we are no forward proxy */
	if (target.ptr[0] == '/') {
		split(head, target.ptr, target.ptr + target.len);
	} else if (tg_str_eq(target, TG_STR("*"))) {
		if (head->method_id != TG_METHOD_OPTIONS)
			return TG_HTTP_BAD;
		head->path = target;
	} else if (judge_absolute(head) != 0) {
		return TG_HTTP_BAD;
	}
	if (head->host.ptr == NULL)
		head->host = TG_STR("");
	return 0;
}
