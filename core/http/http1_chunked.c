/* The chunked coding (RFC 9112 §7.1), decoded in place.
 *
 * Not by llhttp: it neither limits the bytes of extensions and trailers nor refuses each bare CR
 * and LF in them, and a second reader beside it, to check, is as long as the whole decoder. What
 * is accepted here is a subset of what llhttp's strict mode accepts, but for well-formed extensions
 * that it refuses (blanks, quoted pairs, in 8.1.0 a second one); spec/fuzz/chunked_fuzz.c compares.
 */
#include "http/bytes.h"
#include "http/http1_private.h"

enum { SIZE_DIGITS = 16 }; /* hexadecimal, leading zeros included */

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* After the size or an extension: there may be another, and only before that blanks (RFC 9112 §7.1.1,
 * BWS). */
static int
after_extension(char c)
{
	switch (c) {
	case ' ':
	case '\t':
		return TG_HTTP1_EXT_FIRST;
	case ';':
		return TG_HTTP1_EXT_NAME_FIRST;
	case '\r':
		return TG_HTTP1_CHUNK_SIZE_LF;
	default:
		return TG_HTTP_BAD;
	}
}

/* A byte of the chunk size, or the one behind it. */
static int
in_size(struct tg_http1 *http, char c)
{
	int digit = hex_value(c);

	if (digit >= 0) {
		if (http->mark == SIZE_DIGITS || http->left > (uint64_t)(INT64_MAX >> 4))
			return TG_HTTP_BAD;
		http->mark++;
		http->left = http->left << 4 | (uint64_t)digit;
		return TG_HTTP1_CHUNK_SIZE;
	}
	return http->mark > 0 ? after_extension(c) : TG_HTTP_BAD;
}

/* Extensions are dropped, but only well-formed ones: what hides a line end in one (RFC 9112
 * §7.1.1, bare LF) makes two readers see two bodies. */
static int
in_extension(struct tg_http1 *http, char c)
{
	bool token = tg_byte_is(c, TG_BYTE_TOKEN), text = tg_byte_is(c, TG_BYTE_VALUE);
	bool blank = c == ' ' || c == '\t';

	if (c != '\r' && ++http->overhead > http->limits->head)
		return TG_HTTP_BAD;
	switch (http->state) {
	case TG_HTTP1_EXT_FIRST:
		if (c == ';')
			return TG_HTTP1_EXT_NAME_FIRST;
		return blank ? TG_HTTP1_EXT_FIRST : TG_HTTP_BAD;
	case TG_HTTP1_EXT_NAME_FIRST:
		if (blank)
			return TG_HTTP1_EXT_NAME_FIRST;
		return token ? TG_HTTP1_EXT_NAME : TG_HTTP_BAD;
	case TG_HTTP1_EXT_NAME:
		if (token)
			return TG_HTTP1_EXT_NAME;
		if (blank)
			return TG_HTTP1_EXT_NAME_END;
		return c == '=' ? TG_HTTP1_EXT_VALUE_FIRST : after_extension(c);
	case TG_HTTP1_EXT_NAME_END:
		if (c == '=')
			return TG_HTTP1_EXT_VALUE_FIRST;
		if (c == ';')
			return TG_HTTP1_EXT_NAME_FIRST;
		return blank ? TG_HTTP1_EXT_NAME_END : TG_HTTP_BAD;
	case TG_HTTP1_EXT_VALUE_FIRST:
		if (c == '"')
			return TG_HTTP1_EXT_QUOTED;
		if (blank)
			return TG_HTTP1_EXT_VALUE_FIRST;
		return token ? TG_HTTP1_EXT_VALUE : TG_HTTP_BAD;
	case TG_HTTP1_EXT_VALUE:
		return token ? TG_HTTP1_EXT_VALUE : after_extension(c);
	case TG_HTTP1_EXT_QUOTED:
		if (c == '\\')
			return TG_HTTP1_EXT_QUOTED_PAIR;
		if (c == '"')
			return TG_HTTP1_EXT_QUOTED_END;
		return text ? TG_HTTP1_EXT_QUOTED : TG_HTTP_BAD;
	case TG_HTTP1_EXT_QUOTED_PAIR:
		return text ? TG_HTTP1_EXT_QUOTED : TG_HTTP_BAD;
	default:
		return after_extension(c);
	}
}

/* The size line is complete. A body may have a head's worth of extensions and beyond that one
 * byte for each byte of data, so that small chunks cannot make us read without end. */
static int
after_size(struct tg_http1 *http, char c)
{
	if (c != '\n')
		return TG_HTTP_BAD;
	http->mark = 0;
	if (http->left == 0) {
		http->overhead = 0; /* from here on: bytes of the trailer section */
		return TG_HTTP1_TRAILER_FIRST;
	}
	http->overhead -= http->overhead < http->left ? http->overhead : (uint32_t)http->left;
	return TG_HTTP1_CHUNK_DATA;
}

/* Trailer fields obey the same grammar and limits as those of a head. They are then dropped, so
 * that their names do not matter. */
static int
in_trailer(struct tg_http1 *http, char c)
{
	if (++http->overhead > http->limits->head)
		return TG_HTTP_TOO_LARGE;
	switch (http->state) {
	case TG_HTTP1_TRAILER_FIRST:
		if (c == '\r')
			return TG_HTTP1_LAST_LF;
		return tg_byte_is(c, TG_BYTE_TOKEN) ? TG_HTTP1_TRAILER_NAME : TG_HTTP_BAD;
	case TG_HTTP1_TRAILER_NAME:
		if (c == ':')
			return ++http->mark > http->limits->fields ? TG_HTTP_TOO_LARGE
			                                           : TG_HTTP1_TRAILER_VALUE;
		return tg_byte_is(c, TG_BYTE_TOKEN) ? TG_HTTP1_TRAILER_NAME : TG_HTTP_BAD;
	case TG_HTTP1_TRAILER_VALUE:
		if (c == '\r')
			return TG_HTTP1_TRAILER_LF;
		return tg_byte_is(c, TG_BYTE_VALUE) ? TG_HTTP1_TRAILER_VALUE : TG_HTTP_BAD;
	case TG_HTTP1_TRAILER_LF:
		return c == '\n' ? TG_HTTP1_TRAILER_FIRST : TG_HTTP_BAD;
	default:
		return c == '\n' ? TG_HTTP1_DONE : TG_HTTP_BAD;
	}
}

/* The state after one byte that is not data, or an error. */
static int
step(struct tg_http1 *http, char c)
{
	switch (http->state) {
	case TG_HTTP1_CHUNK_SIZE:
		return in_size(http, c);
	case TG_HTTP1_CHUNK_SIZE_LF:
		return after_size(http, c);
	case TG_HTTP1_CHUNK_DATA_CR:
		return c == '\r' ? TG_HTTP1_CHUNK_DATA_LF : TG_HTTP_BAD;
	case TG_HTTP1_CHUNK_DATA_LF:
		return c == '\n' ? TG_HTTP1_CHUNK_SIZE : TG_HTTP_BAD;
	default:
		return http->state < TG_HTTP1_CHUNK_SIZE_LF ? in_extension(http, c)
		                                            : in_trailer(http, c);
	}
}

/* Take the data of a chunk at [at, end), and move it up to what was decoded before, which ends
 * at body->ptr + body->len <= at. Returns the bytes taken. */
static size_t
take_data(struct tg_http1 *http, char *at, const char *end, struct tg_str *body)
{
	size_t len = (size_t)(end - at);

	if (len > http->left)
		len = (size_t)http->left;
	if (body->len == 0)
		body->ptr = at; /* the first piece, often the only one, stays where it is */
	else
		memmove((char *)body->ptr + body->len, at, len);
	body->len += len;
	http->left -= len;
	if (http->left == 0)
		http->state = TG_HTTP1_CHUNK_DATA_CR;
	return len;
}

int
tg_http1_chunked(struct tg_http1 *http, char *data, size_t len, size_t *used, struct tg_str *body)
{
	char *at = data, *end = data + len;
	int next;

	while (at < end && http->state != TG_HTTP1_DONE) {
		if (http->state == TG_HTTP1_CHUNK_DATA) {
			at += take_data(http, at, end, body);
			continue;
		}
		next = step(http, *at++);
		if (next < 0) {
			http->error = next;
			return next;
		}
		http->state = (uint8_t)next;
	}
	*used = (size_t)(at - data);
	return http->state == TG_HTTP1_DONE;
}
