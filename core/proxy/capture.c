#include "proxy/capture.h"

/* The last field of that name. */
static struct tg_str
find_field(const struct tg_head *head, struct tg_str name)
{
	struct tg_str found = { NULL, 0 };
	const struct tg_field *field = NULL;

	while ((field = tg_head_find(head, name, field)) != NULL)
		found = field->value;
	return found;
}

static struct tg_str
trim(const char *from, const char *end)
{
	while (from < end && (*from == ' ' || *from == '\t'))
		from++;
	while (end > from && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return (struct tg_str){ from, (size_t)(end - from) };
}

/* The first "name=value" of a field's value that begins with `wanted`. A response has only one in
 * a field, before its attributes. */
static struct tg_str
find_in_field(struct tg_str value, struct tg_str wanted, bool only_one)
{
	const char *at = value.ptr, *end = value.ptr + value.len;

	while (at < end) {
		const char *stop = memchr(at, ';', (size_t)(end - at));
		struct tg_str pair = trim(at, stop != NULL ? stop : end);

		if (pair.len >= wanted.len && memcmp(pair.ptr, wanted.ptr, wanted.len) == 0 &&
		    memchr(pair.ptr, '=', pair.len) != NULL)
			return pair;
		if (only_one || stop == NULL)
			break;
		at = stop + 1;
	}
	return (struct tg_str){ NULL, 0 };
}

static struct tg_str
find_cookie(const struct tg_head *head, struct tg_str wanted, enum tg_side side)
{
	bool response = side == TG_SIDE_RESPONSE;
	struct tg_str name = response ? TG_STR("Set-Cookie") : TG_STR("Cookie");
	struct tg_str found = { NULL, 0 };
	const struct tg_field *field = NULL;

	while (found.ptr == NULL && (field = tg_head_find(head, name, field)) != NULL)
		found = find_in_field(field->value, wanted, response);
	return found;
}

void
tg_capture(struct tg_req *req, enum tg_side side)
{
	const struct tg_plan_listener *listener = req->listener;
	const struct tg_head *head = side == TG_SIDE_REQUEST ? &req->in : &req->out;
	size_t size = listener->capture_count * sizeof(*req->captured);

	if (size == 0)
		return;
	if (req->captured == NULL) {
		req->captured = tg_arena_alloc(&req->arena, size);
		if (req->captured == NULL)
			return;
		memset(req->captured, 0, size);
	}
	for (unsigned i = 0; i < listener->capture_count; i++) {
		const struct tg_capture *capture = &listener->captures[i];

		if (capture->side != side)
			continue;
		req->captured[i] = capture->cookie ? find_cookie(head, capture->name, side)
		                                   : find_field(head, capture->name);
		if (req->captured[i].len > capture->max)
			req->captured[i].len = capture->max;
	}
}

struct tg_str
tg_captured(const struct tg_req *req, unsigned index)
{
	if (req->captured == NULL || index >= req->listener->capture_count)
		return (struct tg_str){ NULL, 0 };
	return req->captured[index];
}
