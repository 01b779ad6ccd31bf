/* The target of a request and its Host field: for whom the request is (RFC 9112 §3.2, §3.3). */
#include "http/bytes.h"
#include "http/fields.h"
#include "http/http1_private.h"

static enum tg_method
method_id(struct tg_str method)
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

/* The same host, where a port that is not given is `standard`? */
static bool
same_host(struct tg_str a, struct tg_str b, int standard)
{
	int port_a, port_b;

	a = tg_host_split(a, &port_a);
	b = tg_host_split(b, &port_b);
	return tg_str_ieq(a, b) &&
	    (port_a < 0 ? standard : port_a) == (port_b < 0 ? standard : port_b);
}

static bool
starts(struct tg_str target, struct tg_str scheme)
{
	return target.len >= scheme.len && strncasecmp(target.ptr, scheme.ptr, scheme.len) == 0;
}

/* absolute-form: its authority is the host, and a Host field must say the same. (An intermediary
 * MUST ignore the field then, RFC 9112 §3.2.2; but who sends two hosts wants them read by two
 * readers.) User information is in no valid host: it is how one host looks like another. */
static int
judge_absolute(struct tg_head *head)
{
	const char *at, *authority, *end = head->target.ptr + head->target.len;
	struct tg_str host, named = head->host;
	int standard;

	if (starts(head->target, TG_STR("http://")))
		standard = 80;
	else if (starts(head->target, TG_STR("https://")))
		standard = 443;
	else
		return TG_HTTP_BAD;
	authority = head->target.ptr + (standard == 80 ? 7 : 8);
	for (at = authority; at < end && *at != '/' && *at != '?'; at++)
		;
	host = (struct tg_str){ authority, (size_t)(at - authority) };
	if (!tg_host_valid(host))
		return TG_HTTP_BAD;
	if (named.ptr != NULL && !same_host(host, named, standard))
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

	head->method_id = (uint8_t)method_id(head->method);
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
