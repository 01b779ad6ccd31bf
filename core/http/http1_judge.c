/* What the fields of a head mean for the connection and the body: framing, persistence, and what
 * is hop-by-hop (RFC 9112 §6.3, §9.3; RFC 9110 §7.6.1). One walk over the fields gathers, then
 * each question is answered from what was gathered.
 */
#include "http/bytes.h"
#include "http/fields.h"
#include "http/http1_private.h"
#include "http/http2_private.h"

enum { OPTIONS_MAX = 256 }; /* of Connection: each is looked for among all fields */

struct survey {
	const struct tg_field *host, *length, *protocol; /* the last one; NULL: none */
	unsigned hosts, lengths;
	unsigned codings, chunked; /* elements of Transfer-Encoding; those that are "chunked" */
	bool chunked_last;
	bool coded;              /* there is a Transfer-Encoding */
	bool coding_missing;     /* it has an empty element */
	bool close, keep_alive;  /* options of Connection */
	bool upgrade;            /* another */
	unsigned protocols;      /* Upgrade fields */
	unsigned options, names; /* all options; those that may name a field */
	bool expect;
};

static void
survey_codings(struct survey *seen, struct tg_str list)
{
	struct tg_str coding;

	seen->coded = true;
	while (tg_list_next(&list, &coding)) {
		seen->chunked_last = tg_str_ieq(coding, TG_STR("chunked"));
		seen->chunked += seen->chunked_last;
		seen->coding_missing |= coding.len == 0;
		seen->codings++;
	}
}

static void
survey_options(struct survey *seen, struct tg_str list)
{
	struct tg_str option;

	while (seen->options <= OPTIONS_MAX && tg_list_next(&list, &option)) {
		seen->options++;
		if (tg_str_ieq(option, TG_STR("close")))
			seen->close = true;
		else if (tg_str_ieq(option, TG_STR("keep-alive")))
			seen->keep_alive = true;
		else if (tg_str_ieq(option, TG_STR("upgrade")))
			seen->upgrade = true;
		else
			seen->names++;
	}
}

static void
survey_field(struct survey *seen, struct tg_field *field)
{
	if (tg_field_is_hop(field->id, field->name))
		field->flags |= TG_FIELD_HOP;
	switch (field->id) {
	case TG_FIELD_HOST:
		seen->host = field;
		seen->hosts++;
		break;
	case TG_FIELD_CONTENT_LENGTH:
		seen->length = field;
		seen->lengths++;
		break;
	case TG_FIELD_TRANSFER_ENCODING:
		survey_codings(seen, field->value);
		break;
	case TG_FIELD_CONNECTION:
		survey_options(seen, field->value);
		break;
	case TG_FIELD_UPGRADE:
		seen->protocol = field;
		seen->protocols++;
		break;
	case TG_FIELD_EXPECT:
		seen->expect |= tg_str_ieq(field->value, TG_STR("100-continue"));
		break;
	default:
		break;
	}
}

/* Connection lets a sender have any field dropped, and must not name those that are meant for
 * all recipients (RFC 9110 §7.6.1). Most of these are the client's own affair. Not so what the engine
 * decides by, and what earlier proxies have said of the client: who names these wants to be taken for
 * another. */
static bool
may_be_named(const struct tg_field *field)
{
	static const struct tg_str kept[] = { TG_STR("forwarded"), TG_STR("max-forwards"),
		TG_STR("via"), TG_STR("x-real-ip") };
	static const struct tg_str prefix = TG_STR("x-forwarded-");

	if (field->id == TG_FIELD_HOST || field->id == TG_FIELD_EXPECT)
		return false;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (tg_str_ieq(field->name, kept[i]))
			return false;
	}
	return field->name.len <= prefix.len ||
	    strncasecmp(field->name.ptr, prefix.ptr, prefix.len) != 0;
}

/* Mark the fields that a Connection field names. False: it names one that it must not. */
static bool
mark_named(struct tg_head *head, struct tg_str list, bool is_request)
{
	struct tg_str option;

	while (tg_list_next(&list, &option)) {
		for (size_t i = 0; i < head->count; i++) {
			if (!tg_str_ieq(head->fields[i].name, option))
				continue;
			if (is_request && !may_be_named(&head->fields[i]))
				return false;
			head->fields[i].flags |= TG_FIELD_HOP;
		}
	}
	return true;
}

/* Gather, and mark what is hop-by-hop. */
static int
survey_head(struct tg_head *head, struct survey *seen)
{
	*seen = (struct survey){ .host = NULL };
	for (size_t i = 0; i < head->count; i++)
		survey_field(seen, &head->fields[i]);
	if (seen->options > OPTIONS_MAX)
		return TG_HTTP_BAD;
	for (size_t i = 0; seen->names > 0 && i < head->count; i++) {
		if (head->fields[i].id == TG_FIELD_CONNECTION &&
		    !mark_named(head, head->fields[i].value, head->method.ptr != NULL))
			return TG_HTTP_BAD;
	}
	return 0;
}

/* 1*DIGIT below 2^63: no sign, no list, no space (RFC 9110 §8.6). */
static bool
parse_length(struct tg_str digits, uint64_t *length)
{
	uint64_t value = 0;

	if (digits.len == 0)
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		unsigned digit = (unsigned char)digits.ptr[i] - '0';

		if (digit > 9 || value > ((uint64_t)INT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*length = value;
	return true;
}

/* Transfer-Encoding must be "chunked", once and alone; HTTP/1.0 does not have it (RFC 9112
 * §6.1). Codings before it are valid, but we know none. Empty elements, which other lists may have
 * (RFC 9110 §5.6.1), are refused: not every reader skips them. */
static int
judge_codings(const struct tg_head *head, const struct survey *seen)
{
	if (seen->lengths > 0 || head->minor == 0 || seen->coding_missing)
		return TG_HTTP_BAD;
	if (!seen->chunked_last || seen->chunked != 1)
		return TG_HTTP_BAD;
	return seen->codings == 1 ? 0 : TG_HTTP_NOT_IMPLEMENTED;
}

/* The framing that the fields tell, the same for requests and responses; NONE is told by a
 * Content-Length of 0, and by nothing at all. */
static int
judge_framing(struct tg_head *head, const struct survey *seen)
{
	int error;

	head->framing = TG_FRAMING_NONE;
	if (seen->coded) {
		error = judge_codings(head, seen);
		if (error == 0)
			head->framing = TG_FRAMING_CHUNKED;
		return error;
	}
	if (seen->lengths == 0)
		return 0;
	if (seen->lengths > 1 || !parse_length(seen->length->value, &head->length))
		return TG_HTTP_BAD;
	head->has_length = true;
	if (head->length > 0)
		head->framing = TG_FRAMING_LENGTH;
	return 0;
}

/* Any minor version of 1 is spoken, as 1.1 (RFC 9110 §2.5). */
static int
judge_version(const struct tg_head *head)
{
	if (head->major == 0)
		return TG_HTTP_BAD;
	return head->major > 1 ? TG_HTTP_VERSION : 0;
}

/* A change of protocol is a matter of this connection and of one field, which names it (RFC 9110
 * §7.8). Never to HTTP/2: what goes through that way is not what was judged. */
static void
judge_upgrade(struct tg_head *head, const struct survey *seen)
{
	struct tg_str list, protocol;

	if (!seen->upgrade || seen->protocols != 1 || head->minor == 0 ||
	    seen->protocol->value.len == 0)
		return;
	for (list = seen->protocol->value; tg_list_next(&list, &protocol);)
		if (protocol.len >= 2 && strncasecmp(protocol.ptr, "h2", 2) == 0)
			return;
	head->upgrade = seen->protocol->value;
}

static int
judge_common(struct tg_head *head, struct survey *seen)
{
	int error = judge_version(head);

	if (error == 0)
		error = survey_head(head, seen);
	if (error == 0)
		error = judge_framing(head, seen);
	judge_upgrade(head, seen);
	head->keep_alive = !seen->close && (head->minor > 0 || seen->keep_alive);
	return error;
}

/* Expect means nothing in HTTP/1.0, and 100-continue nothing where there is no content: no server shall
 * see them (RFC 9110 §10.1.1). */
static void
judge_expect(struct tg_head *head, const struct survey *seen)
{
	head->expect_continue = seen->expect && head->minor > 0 && head->framing != TG_FRAMING_NONE;
	if (head->expect_continue || (!seen->expect && head->minor > 0))
		return;
	for (size_t i = 0; i < head->count; i++) {
		if (head->fields[i].id == TG_FIELD_EXPECT)
			head->fields[i].flags |= TG_FIELD_HOP;
	}
}

/* Once the framing is known (`error`: that it is not). */
static int
judge_purpose(struct tg_head *head, const struct survey *seen, int error)
{
	int target_error;

	if (seen->hosts > 1)
		return TG_HTTP_BAD;
	judge_expect(head, seen);
	target_error = tg_http1_judge_target(head, seen->host);
	if (target_error == TG_HTTP_BAD)
		return TG_HTTP_BAD; /* outweighs a coding that is not known */
	if (head->method_id == TG_METHOD_TRACE && head->framing != TG_FRAMING_NONE)
		return TG_HTTP_BAD; /* RFC 9110 §9.3.8 */
	return error != 0 ? error : target_error;
}

int
tg_http1_judge_request(struct tg_head *head)
{
	struct survey seen = { .host = NULL };
	int error = judge_common(head, &seen);

	if (error == TG_HTTP_BAD || error == TG_HTTP_VERSION)
		return error;
	return judge_purpose(head, &seen, error);
}

int
tg_http2_judge_request(struct tg_head *head, bool ended)
{
	struct survey seen = { .host = NULL };
	int error;

	head->major = head->minor = 1;
	error = survey_head(head, &seen);
	if (error == 0)
		error = judge_framing(head, &seen);
	if (error == 0 && ended && head->length > 0)
		error = TG_HTTP_BAD;
	if (error == 0 && !ended && !head->has_length)
		head->framing = TG_FRAMING_CHUNKED;
	if (error == 0)
		error = judge_purpose(head, &seen, 0);
	head->major = 2;
	head->minor = 0;
	head->keep_alive = true;
	return error;
}

/* RFC 9112 §6.3, in its order: what has no body by its status has none whatever its fields say;
 * a length says something there only for HEAD and 304 (RFC 9110 §8.6). */
int
tg_http1_judge_response(struct tg_head *head, bool no_body)
{
	struct survey seen = { .host = NULL };
	int error = judge_common(head, &seen);
	bool never = head->status < 200 || head->status == 204;

	if (error != 0)
		return error;
	if (head->status < 100 || head->status > 599)
		return TG_HTTP_BAD;
	if (never || no_body || head->status == 304) {
		/* Who promises a body where there is none may well send it. */
		if (head->status == 204 && head->framing != TG_FRAMING_NONE)
			head->keep_alive = false;
		head->framing = TG_FRAMING_NONE;
		head->has_length = head->has_length && !never;
	} else if (!seen.coded && !head->has_length) {
		head->framing = TG_FRAMING_CLOSE;
		head->keep_alive = false;
	}
	if (!head->has_length)
		head->length = 0;
	return 0;
}

int
tg_http2_judge_response(struct tg_head *head, bool ended, bool no_body)
{
	int error;

	head->major = head->minor = 1;
	error = tg_http1_judge_response(head, no_body);
	if (error == 0 && ended && head->framing == TG_FRAMING_LENGTH)
		error = TG_HTTP_BAD;
	if (error == 0 && ended && head->framing == TG_FRAMING_CLOSE) {
		head->framing = TG_FRAMING_NONE;
		head->has_length = true; /* there is none, which HTTP/1 has to be told */
	}
	head->major = 2;
	head->minor = 0;
	head->keep_alive = true;
	return error;
}
