/* What the fuzz targets of the HTTP/1 codec have in common: reading a head in pieces, and saying
 * what differs between two heads that must be the same. A difference aborts.
 */
#ifndef TG_FUZZ_HTTP1_ORACLE_H
#define TG_FUZZ_HTTP1_ORACLE_H

#include <stdio.h>
#include <stdlib.h>

#include "http/http1.h"

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

enum { REQUEST = -1 }; /* else enum tg_method: of the request that is answered */

/* One head and all that it needs. */
struct reading {
	struct tg_blocks blocks;
	struct tg_arena arena;
	struct tg_head head;
	struct tg_http1 http;
	size_t used; /* of all pieces */
	int result;
};

static inline void
reading_close(struct reading *reading)
{
	tg_arena_reset(&reading->arena);
	tg_blocks_fini(&reading->blocks);
}

static inline void
reading_open(struct reading *reading, const struct tg_http1_limits *limits, int kind)
{
	tg_blocks_init(&reading->blocks, 1024, 0);
	tg_arena_init(&reading->arena, &reading->blocks);
	tg_head_init(&reading->head, &reading->arena);
	reading->used = 0;
	reading->result = 0;
	if (kind == REQUEST)
		tg_http1_request_init(&reading->http, limits, &reading->head);
	else
		tg_http1_response_init(
		    &reading->http, limits, &reading->head, (enum tg_method)kind);
}

/* Feed one piece, in memory of its own size that is gone afterwards. */
static inline void
reading_feed(struct reading *reading, const char *data, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);
	size_t used;

	MUST(copy != NULL);
	if (len > 0)
		memcpy(copy, data, len);
	reading->result = tg_http1_head(&reading->http, copy, len, &used);
	explicit_bzero(copy, len); /* nothing may point into it any more */
	free(copy);
	MUST(used <= len);
	MUST(reading->result != 0 || used == len);
	reading->used += used;
}

/* Read a head that comes in pieces of `size` bytes. */
static inline void
reading_of(struct reading *reading, const struct tg_http1_limits *limits, int kind,
    const char *data, size_t len, size_t size)
{
	reading_open(reading, limits, kind);
	for (size_t at = 0; reading->result == 0 && at < len; at += size)
		reading_feed(reading, data + at, len - at < size ? len - at : size);
}

static inline bool
same(struct tg_str a, struct tg_str b)
{
	if (a.ptr == NULL || b.ptr == NULL)
		return a.ptr == b.ptr;
	return tg_str_eq(a, b);
}

/* The same bytes, read in two ways. */
static inline void
must_be_identical(const struct reading *a, const struct reading *b)
{
	const struct tg_head *x = &a->head, *y = &b->head;

	MUST(a->result == b->result);
	if (a->result != 1)
		return;
	MUST(a->used == b->used);
	MUST(same(x->method, y->method) && same(x->target, y->target) && same(x->host, y->host));
	MUST(same(x->path, y->path) && same(x->query, y->query) && same(x->reason, y->reason));
	MUST(x->method_id == y->method_id && x->status == y->status);
	MUST(x->major == y->major && x->minor == y->minor && x->framing == y->framing);
	MUST(x->keep_alive == y->keep_alive && x->expect_continue == y->expect_continue);
	MUST(x->length == y->length && x->has_length == y->has_length && x->count == y->count);
	for (size_t i = 0; i < x->count; i++) {
		MUST(same(x->fields[i].name, y->fields[i].name));
		MUST(same(x->fields[i].value, y->fields[i].value));
		MUST(
		    x->fields[i].id == y->fields[i].id && x->fields[i].flags == y->fields[i].flags);
	}
}

/* The next field that goes to the next hop, from *at on; NULL at the end. */
static inline const struct tg_field *
next_forwarded(const struct tg_head *head, size_t *at)
{
	const struct tg_field *field;

	while (*at < head->count) {
		field = &head->fields[(*at)++];
		if (field->flags == 0 && (head->method.ptr == NULL || field->id != TG_FIELD_HOST))
			return field;
	}
	return NULL;
}

/* What was read, and what the next hop reads of what we wrote of it. */
static inline void
must_mean_the_same(const struct tg_head *sent, const struct tg_head *got)
{
	const struct tg_field *a, *b;
	size_t at_a = 0, at_b = 0;

	MUST(same(sent->method, got->method) && same(sent->host, got->host));
	MUST(same(sent->path, got->path) && same(sent->query, got->query));
	MUST(sent->method_id == got->method_id && sent->status == got->status);
	MUST(sent->framing == got->framing && sent->length == got->length);
	MUST(sent->has_length == got->has_length);
	if (sent->reason.len > 0)
		MUST(same(sent->reason, got->reason));
	do {
		a = next_forwarded(sent, &at_a);
		b = next_forwarded(got, &at_b);
		MUST((a == NULL) == (b == NULL));
		if (a != NULL)
			MUST(same(a->name, b->name) && same(a->value, b->value));
	} while (a != NULL);
}

#endif
