/* What the files of the HTTP/1 codec share. */
#ifndef TG_HTTP_HTTP1_PRIVATE_H
#define TG_HTTP_HTTP1_PRIVATE_H

#include "http/http1.h"

enum tg_http1_state {
	/* the head */
	TG_HTTP1_EMPTY,    /* before the first byte, or after empty lines */
	TG_HTTP1_EMPTY_CR, /* after the CR of an empty line */
	TG_HTTP1_METHOD,
	TG_HTTP1_TARGET,
	TG_HTTP1_LINES, /* the rest, which llhttp reads */

	/* the body */
	TG_HTTP1_BODY, /* of a length, or until the end of the stream */
	TG_HTTP1_CHUNK_SIZE,
	TG_HTTP1_EXT_FIRST, /* blanks before a ";" */
	TG_HTTP1_EXT_NAME_FIRST,
	TG_HTTP1_EXT_NAME,
	TG_HTTP1_EXT_NAME_END, /* blanks after it */
	TG_HTTP1_EXT_VALUE_FIRST,
	TG_HTTP1_EXT_VALUE,
	TG_HTTP1_EXT_QUOTED,
	TG_HTTP1_EXT_QUOTED_PAIR,
	TG_HTTP1_EXT_QUOTED_END,
	TG_HTTP1_CHUNK_SIZE_LF,
	TG_HTTP1_CHUNK_DATA,
	TG_HTTP1_CHUNK_DATA_CR,
	TG_HTTP1_CHUNK_DATA_LF,
	TG_HTTP1_TRAILER_FIRST, /* at the start of a line */
	TG_HTTP1_TRAILER_NAME,
	TG_HTTP1_TRAILER_VALUE,
	TG_HTTP1_TRAILER_LF,
	TG_HTTP1_LAST_LF,

	TG_HTTP1_DONE,
};

/* Check the lines of a complete head byte by byte and take from them what llhttp does not give:
 * versions, status, reason, the ids and exact values of the fields. Returns the offset behind
 * the head in [bytes, bytes + len), or TG_HTTP_BAD. */
TG_MUST_USE int tg_http1_check(
    struct tg_head *head, bool is_response, const char *bytes, size_t len);

/* What a head whose lines are in order means: target and host, framing, keep_alive, and which
 * fields are hop-by-hop. 0 or enum tg_http_error. */
TG_MUST_USE int tg_http1_judge_request(struct tg_head *head);
TG_MUST_USE int tg_http1_judge_response(struct tg_head *head, bool no_body);

/* The method, one of those whose meaning the engine needs. It is not empty. */
enum tg_method tg_http1_method_id(struct tg_str method);

/* target and Host of a request into host, path and query; `field` is the only Host field or NULL. 0 or
 * enum tg_http_error. */
TG_MUST_USE int tg_http1_judge_target(struct tg_head *head, const struct tg_field *field);

/* tg_http1_body for a chunked one. */
TG_MUST_USE int tg_http1_chunked(
    struct tg_http1 *http, char *data, size_t len, size_t *used, struct tg_str *body);

#endif
