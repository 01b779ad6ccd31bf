/* The bodies of a stream of messages as llhttp decodes them, in its strict mode: what the engine passes
 * on must be these.
 */
#ifndef TG_FUZZ_BODIES_H
#define TG_FUZZ_BODIES_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FNV_START 14695981039346656037u

struct body {
	uint64_t hash; /* FNV-1a */
	size_t len;
	bool whole;
};

struct bodies {
	llhttp_t parser;
	struct body *list;
	unsigned count, most; /* whole ones, and the one that has begun */
	bool head;            /* responses: to a HEAD */
};

static inline void
body_add(struct body *body, const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		body->hash = (body->hash ^ (unsigned char)at[i]) * 1099511628211u;
	body->len += len;
}

static int
bodies_begin(llhttp_t *parser)
{
	struct bodies *bodies = parser->data;

	if (bodies->count == bodies->most)
		return HPE_USER;
	bodies->list[bodies->count] = (struct body){ .hash = FNV_START };
	return 0;
}

/* 1: no body follows, whatever the fields say (RFC 9112 §6.3). */
static int
bodies_head(llhttp_t *parser)
{
	int status = parser->type == HTTP_RESPONSE ? parser->status_code : 0;

	return ((struct bodies *)parser->data)->head || status == 204 || status == 304;
}

static int
bodies_part(llhttp_t *parser, const char *at, size_t len)
{
	struct bodies *bodies = parser->data;

	body_add(&bodies->list[bodies->count], at, len);
	return 0;
}

/* Interim responses are passed over; one to another protocol is the end. */
static int
bodies_complete(llhttp_t *parser)
{
	struct bodies *bodies = parser->data;

	if (parser->type == HTTP_RESPONSE && parser->status_code < 200)
		return parser->status_code == 101 ? HPE_USER : 0;
	bodies->list[bodies->count++].whole = true;
	return parser->upgrade ? HPE_USER : 0;
}

/* Those at the start of `bytes` that llhttp reads, at most `most`; how many are whole. */
static inline unsigned
bodies_of(
    const char *bytes, size_t len, llhttp_type_t type, bool head, struct body *list, unsigned most)
{
	static const llhttp_settings_t settings = {
		.on_message_begin = bodies_begin,
		.on_headers_complete = bodies_head,
		.on_body = bodies_part,
		.on_message_complete = bodies_complete,
	};
	struct bodies bodies = { .list = list, .most = most, .head = head };

	llhttp_init(&bodies.parser, type, &settings);
	bodies.parser.data = &bodies;
	(void)llhttp_execute(&bodies.parser, bytes, len);
	return bodies.count;
}

#endif
