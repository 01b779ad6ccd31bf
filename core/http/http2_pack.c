/* Heads as fields for nghttp2, which makes names lower case and copies all. */
#include "http/bytes.h"
#include "http/http2_private.h"

enum { PSEUDO = 5, ADDED = 2 }; /* fields that a head does not have as such */

static nghttp2_nv
pack(struct tg_str name, struct tg_str value)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name.ptr, (uint8_t *)(uintptr_t)value.ptr,
		name.len, value.len, NGHTTP2_NV_FLAG_NONE };
}

/* The text of a number in the arena; ptr NULL: out of memory. */
static struct tg_str
number(struct tg_arena *arena, uint64_t value)
{
	char digits[20], *at = digits + sizeof(digits);

	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	return tg_arena_copy(arena, (struct tg_str){ at, (size_t)(digits + sizeof(digits) - at) });
}

/* The live end-to-end fields, but those with the id `not`. */
static int
pack_fields(const struct tg_head *head, enum tg_field_id not, nghttp2_nv *nv, int n)
{
	for (unsigned i = 0; i < head->count; i++) {
		const struct tg_field *field = &head->fields[i];

		if (field->flags == 0 && (not == TG_FIELD_OTHER || field->id != not ))
			nv[n++] = pack(field->name, field->value);
	}
	return n;
}

static nghttp2_nv *
room_for(const struct tg_head *head)
{
	return tg_arena_alloc(head->arena, (head->count + PSEUDO + ADDED) * sizeof(nghttp2_nv));
}

int
tg_http2_head_pack(const struct tg_head *head, nghttp2_nv **fields)
{
	bool told = head->has_length && head->status >= 200 && head->status != 204;
	struct tg_str status =
	    number(head->arena, head->status == 101 ? 200u : (unsigned)head->status);
	struct tg_str length = told ? number(head->arena, head->length) : (struct tg_str){ "", 0 };
	nghttp2_nv *nv = room_for(head);
	int n = 0;

	if (status.ptr == NULL || length.ptr == NULL || nv == NULL)
		return TG_HTTP_MEMORY;
	nv[n++] = pack(TG_STR(":status"), status);
	n = pack_fields(head, TG_FIELD_OTHER, nv, n);
	if (told)
		nv[n++] = pack(TG_STR("content-length"), length);
	*fields = nv;
	return n;
}

/* path?query; ptr NULL: out of memory. */
static struct tg_str
path_of(const struct tg_head *head)
{
	char *text, *at;

	if (head->query.ptr == NULL)
		return head->path;
	text = at = tg_arena_alloc(head->arena, head->path.len + 1 + head->query.len);
	if (text == NULL)
		return (struct tg_str){ NULL, 0 };
	at = mempcpy(at, head->path.ptr, head->path.len);
	*at++ = '?';
	at = mempcpy(at, head->query.ptr, head->query.len);
	return (struct tg_str){ text, (size_t)(at - text) };
}

/* Does the client take trailers? It is asked hop by hop, and we pass them on. */
static bool
takes_trailers(const struct tg_head *head)
{
	const struct tg_field *field = NULL;
	struct tg_str list, item;

	while ((field = tg_head_find(head, TG_STR("TE"), field)) != NULL)
		for (list = field->value; tg_list_next(&list, &item);)
			if (tg_str_ieq(item, TG_STR("trailers")))
				return true;
	return false;
}

int
tg_http2_request_pack(
    const struct tg_head *head, struct tg_str host, bool https, nghttp2_nv **fields)
{
	bool told = head->has_length || head->framing == TG_FRAMING_LENGTH;
	struct tg_str path = path_of(head);
	struct tg_str length = told ? number(head->arena, head->length) : (struct tg_str){ "", 0 };
	nghttp2_nv *nv = room_for(head);
	int n = 0;

	if (path.ptr == NULL || length.ptr == NULL || nv == NULL)
		return TG_HTTP_MEMORY;
	nv[n++] = pack(TG_STR(":method"), head->method);
	nv[n++] = pack(TG_STR(":scheme"), https ? TG_STR("https") : TG_STR("http"));
	nv[n++] = pack(TG_STR(":authority"), host);
	nv[n++] = pack(TG_STR(":path"), path);
	n = pack_fields(head, TG_FIELD_HOST, nv, n);
	if (told)
		nv[n++] = pack(TG_STR("content-length"), length);
	if (takes_trailers(head))
		nv[n++] = pack(TG_STR("te"), TG_STR("trailers"));
	*fields = nv;
	return n;
}

int
tg_http2_trailers_pack(const struct tg_head *trailers, nghttp2_nv **fields)
{
	nghttp2_nv *nv = room_for(trailers);

	if (nv == NULL)
		return TG_HTTP_MEMORY;
	*fields = nv;
	return pack_fields(trailers, TG_FIELD_OTHER, nv, 0);
}
