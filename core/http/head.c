/* Fields of a head: finding them, and the edits of scripts. Every byte that a script writes
 * into a head passes through here, so here is where it is judged.
 */
#include "http/head.h"

#include "http/bytes.h"
#include "http/fields.h"

enum { FIELDS_FIRST = 16, FIELDS_MAX = 512 }; /* capacity of a head: at first, and ever */

void
tg_head_init(struct tg_head *head, struct tg_arena *arena)
{
	*head = (struct tg_head){ .arena = arena };
}

int
tg_head_copy(struct tg_head *to, struct tg_arena *arena, const struct tg_head *from)
{
	struct tg_field *fields = tg_arena_alloc(arena, from->count * sizeof(*fields));

	if (fields == NULL)
		return TG_HTTP_MEMORY;
	*to = *from;
	to->arena = arena;
	to->fields = fields;
	to->capacity = from->count;
	for (unsigned i = 0; i < from->count; i++) {
		fields[i] = from->fields[i];
		fields[i].name = tg_arena_copy(arena, fields[i].name);
		fields[i].value = tg_arena_copy(arena, fields[i].value);
		if (fields[i].name.ptr == NULL || fields[i].value.ptr == NULL)
			return TG_HTTP_MEMORY;
	}
	return 0;
}

/* Every name of one length: the id depends on one comparison. */
enum tg_field_id
tg_field_id_of(struct tg_str name)
{
#define TRY(literal, id)                                                                           \
	if ((name.ptr[0] | 0x20) == (literal)[0] && tg_str_ieq(name, TG_STR(literal)))             \
	return id
	switch (name.len) {
	case 2:
		TRY("te", TG_FIELD_TE);
		break;
	case 4:
		TRY("host", TG_FIELD_HOST);
		break;
	case 6:
		TRY("cookie", TG_FIELD_COOKIE);
		TRY("expect", TG_FIELD_EXPECT);
		break;
	case 7:
		TRY("trailer", TG_FIELD_TRAILER);
		TRY("upgrade", TG_FIELD_UPGRADE);
		break;
	case 10:
		TRY("connection", TG_FIELD_CONNECTION);
		TRY("keep-alive", TG_FIELD_KEEP_ALIVE);
		break;
	case 14:
		TRY("content-length", TG_FIELD_CONTENT_LENGTH);
		break;
	case 16:
		TRY("proxy-connection", TG_FIELD_PROXY_CONNECTION);
		break;
	case 17:
		TRY("transfer-encoding", TG_FIELD_TRANSFER_ENCODING);
		break;
	default:
		break;
	}
#undef TRY
	return TG_FIELD_OTHER;
}

bool
tg_field_is_hop(enum tg_field_id id, struct tg_str name)
{
	switch (id) {
	case TG_FIELD_CONNECTION:
	case TG_FIELD_CONTENT_LENGTH:
	case TG_FIELD_KEEP_ALIVE:
	case TG_FIELD_PROXY_CONNECTION:
	case TG_FIELD_TE:
	case TG_FIELD_TRAILER:
	case TG_FIELD_TRANSFER_ENCODING:
	case TG_FIELD_UPGRADE:
		return true;
	case TG_FIELD_OTHER: /* RFC 7540 §3.2.1; the engine has no other use for it */
		return name.len == 14 && (name.ptr[0] | 0x20) == 'h' &&
		    tg_str_ieq(name, TG_STR("http2-settings"));
	default:
		return false;
	}
}

struct tg_field *
tg_head_append(struct tg_head *head)
{
	struct tg_field *fields;
	size_t capacity;

	if (head->count == FIELDS_MAX)
		return NULL;
	if (head->count == head->capacity) {
		capacity = head->capacity == 0 ? FIELDS_FIRST : 2u * head->capacity;
		fields = tg_arena_alloc(head->arena, capacity * sizeof(*fields));
		if (fields == NULL)
			return NULL;
		if (head->count > 0)
			memcpy(fields, head->fields, head->count * sizeof(*fields));
		head->fields = fields;
		head->capacity = (uint16_t)capacity;
	}
	head->fields[head->count] = (struct tg_field){ .id = TG_FIELD_OTHER };
	return &head->fields[head->count++];
}

int
tg_head_append_error(const struct tg_head *head)
{
	return head->count == FIELDS_MAX ? TG_HTTP_TOO_LARGE : TG_HTTP_MEMORY;
}

static bool
named(const struct tg_field *field, enum tg_field_id id, struct tg_str name)
{
	return field->id == id && (id != TG_FIELD_OTHER || tg_str_ieq(field->name, name));
}

const struct tg_field *
tg_head_find(const struct tg_head *head, struct tg_str name, const struct tg_field *after)
{
	enum tg_field_id id = tg_field_id_of(name);
	size_t i = 0;

	if (after != NULL)
		i = (size_t)(after - head->fields) + 1;
	for (; i < head->count; i++) {
		if (named(&head->fields[i], id, name) &&
		    (head->fields[i].flags & TG_FIELD_REMOVED) == 0)
			return &head->fields[i];
	}
	return NULL;
}

/* May a script touch fields of that name? */
static int
judge_name(const struct tg_head *head, struct tg_str name)
{
	enum tg_field_id id;

	if (name.len == 0 || !tg_bytes_are(name, TG_BYTE_TOKEN))
		return TG_HTTP_BAD;
	id = tg_field_id_of(name);
	if (tg_field_is_hop(id, name))
		return TG_HTTP_FORBIDDEN;
	if (id == TG_FIELD_HOST && head->method.ptr != NULL)
		return TG_HTTP_FORBIDDEN;
	return 0;
}

/* A field of its own bytes, or an error. The white space around the value goes: it would not
 * survive the wire. */
static int
make_field(struct tg_head *head, struct tg_str name, struct tg_str value, struct tg_field *made)
{
	int error = judge_name(head, name);

	if (error != 0)
		return error;
	if (!tg_bytes_are(value, TG_BYTE_VALUE))
		return TG_HTTP_BAD;
	/* Who would wait for the 100 (RFC 9110 §10.1.1)? */
	if (head->method.ptr != NULL && tg_field_id_of(name) == TG_FIELD_EXPECT)
		return TG_HTTP_FORBIDDEN;
	*made = (struct tg_field){ .id = (uint8_t)tg_field_id_of(name) };
	made->name = tg_arena_copy(head->arena, name);
	made->value = tg_arena_copy(head->arena, tg_bytes_trim(value));
	return made->name.ptr == NULL || made->value.ptr == NULL ? TG_HTTP_MEMORY : 0;
}

static void
remove_all(struct tg_head *head, struct tg_str name)
{
	enum tg_field_id id = tg_field_id_of(name);

	for (size_t i = 0; i < head->count; i++) {
		if (named(&head->fields[i], id, name))
			head->fields[i].flags |= TG_FIELD_REMOVED;
	}
}

/* Where set puts a field: the first live one of that name; else a removed one, so that a script
 * which removes and sets in turn does not fill the head; else NULL. */
static struct tg_field *
place_of(struct tg_head *head, struct tg_str name)
{
	enum tg_field_id id = tg_field_id_of(name);
	struct tg_field *removed = NULL;

	for (size_t i = 0; i < head->count; i++) {
		if (!named(&head->fields[i], id, name))
			continue;
		if ((head->fields[i].flags & TG_FIELD_REMOVED) == 0)
			return &head->fields[i];
		if (removed == NULL)
			removed = &head->fields[i];
	}
	return removed;
}

int
tg_head_set(struct tg_head *head, struct tg_str name, struct tg_str value)
{
	struct tg_field made, *place;
	int error = make_field(head, name, value, &made);

	if (error != 0)
		return error;
	place = place_of(head, made.name);
	if (place == NULL)
		place = tg_head_append(head);
	if (place == NULL)
		return tg_head_append_error(head);
	remove_all(head, made.name);
	*place = made;
	return 0;
}

int
tg_head_add(struct tg_head *head, struct tg_str name, struct tg_str value)
{
	struct tg_field made, *place;
	int error = make_field(head, name, value, &made);

	if (error != 0)
		return error;
	place = tg_head_append(head);
	if (place == NULL)
		return tg_head_append_error(head);
	*place = made;
	return 0;
}

int
tg_head_remove(struct tg_head *head, struct tg_str name)
{
	int error = judge_name(head, name);

	if (error == 0)
		remove_all(head, name);
	return error;
}

/* Copy what was judged good into `*part`. */
static int
replace(struct tg_head *head, struct tg_str *part, struct tg_str with)
{
	struct tg_str copy = tg_arena_copy(head->arena, with);

	if (copy.ptr == NULL)
		return TG_HTTP_MEMORY;
	*part = copy;
	return 0;
}

int
tg_head_set_path(struct tg_head *head, struct tg_str path)
{
	if (path.len == 0 || path.ptr[0] != '/' || !tg_bytes_are(path, TG_BYTE_TARGET) ||
	    memchr(path.ptr, '?', path.len) != NULL)
		return TG_HTTP_BAD;
	return replace(head, &head->path, path);
}

int
tg_head_set_query(struct tg_head *head, struct tg_str query)
{
	if (query.ptr == NULL) {
		head->query = query;
		return 0;
	}
	if (tg_str_eq(head->path, TG_STR("*")) || !tg_bytes_are(query, TG_BYTE_TARGET))
		return TG_HTTP_BAD; /* "*?query" is no target */
	return replace(head, &head->query, query);
}

int
tg_head_set_host(struct tg_head *head, struct tg_str host)
{
	if (!tg_host_valid(host))
		return TG_HTTP_BAD;
	return replace(head, &head->host, host);
}
