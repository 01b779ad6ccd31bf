/* A reader of HTTP/1.1 messages that takes nothing but what RFC 9112 lets a sender generate, and
 * shares no line with the codec that it judges: what the engine writes must be read by it, to
 * exactly the messages that were meant.
 */
#ifndef TG_FUZZ_STRICT_H
#define TG_FUZZ_STRICT_H

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bodies.h"

enum strict_result { STRICT_BAD = -1, STRICT_MORE, STRICT_WHOLE };

struct strict {
	const char *bytes;
	size_t len;       /* all that there is */
	size_t head;      /* bytes of the head; 0: it is not complete */
	size_t used;      /* bytes of the message, when whole */
	struct body body; /* so far, decoded */
	int status;       /* of a response */
	bool until_close;
};

static bool
strict_token(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)at[i]) &&
		    (at[i] == '\0' || strchr("!#$%&'*+-.^_`|~", at[i]) == NULL))
			return false;
	return len > 0;
}

static bool
strict_text(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] != '\t' && ((unsigned char)at[i] < ' ' || at[i] == 0x7F))
			return false;
	return true;
}

/* The end of the line that begins at `at`, which is its CR; NULL: it is not there yet. */
static const char *
strict_line(const char *at, const char *end)
{
	for (; at + 1 < end; at++)
		if (at[0] == '\r' && at[1] == '\n')
			return at;
	return NULL;
}

/* The value of the next field of that name behind *from, with its length; NULL: there is none. The
 * head is complete and in order. */
static const char *
strict_next(const struct strict *message, const char *name, size_t *from, size_t *len)
{
	const char *end = message->bytes + message->head - 2, *line, *cr;
	size_t n = strlen(name);

	line = message->bytes + *from;
	if (*from == 0)
		line = strict_line(line, end) + 2;
	for (; line < end; line = cr + 2) {
		cr = strict_line(line, end);
		if ((size_t)(cr - line) > n && strncasecmp(line, name, n) == 0 && line[n] == ':') {
			*from = (size_t)(cr + 2 - message->bytes);
			*len = (size_t)(cr - line) - n - 2;
			return line + n + 2;
		}
	}
	return NULL;
}

static unsigned
strict_count(const struct strict *message, const char *name)
{
	size_t from = 0, len;
	unsigned count = 0;

	while (strict_next(message, name, &from, &len) != NULL)
		count++;
	return count;
}

/* name ": " value, with no blank at either end of it. */
static bool
strict_field(const char *at, size_t len)
{
	const char *colon = memchr(at, ':', len);
	size_t name = colon != NULL ? (size_t)(colon - at) : 0, value;

	if (colon == NULL || !strict_token(at, name) || len < name + 2 || colon[1] != ' ')
		return false;
	at = colon + 2;
	value = len - name - 2;
	if (value > 0 && (isblank((unsigned char)at[0]) || isblank((unsigned char)at[value - 1])))
		return false;
	return strict_text(at, value);
}

/* METHOD SP target SP HTTP/1.1 */
static bool
strict_request_line(const char *at, size_t len)
{
	const char *space = memchr(at, ' ', len);
	size_t method = space != NULL ? (size_t)(space - at) : 0, target;

	if (space == NULL || !strict_token(at, method) || len < method + 11)
		return false;
	if (memcmp(at + len - 9, " HTTP/1.1", 9) != 0)
		return false;
	target = len - method - 10;
	for (size_t i = 0; i < target; i++)
		if (space[1 + i] <= ' ' || space[1 + i] >= 0x7F || space[1 + i] == '#')
			return false;
	return space[1] == '/' ||
	    (target == 1 && space[1] == '*' && memcmp(at, "OPTIONS ", 8) == 0);
}

/* HTTP/1.1 SP 3DIGIT SP reason */
static bool
strict_status_line(struct strict *message, const char *at, size_t len)
{
	if (len < 13 || memcmp(at, "HTTP/1.1 ", 9) != 0 || at[12] != ' ')
		return false;
	for (int i = 9; i < 12; i++)
		if (!isdigit((unsigned char)at[i]))
			return false;
	message->status = (at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0');
	return message->status >= 100 && message->status <= 599 && strict_text(at, len);
}

static enum strict_result
strict_head(struct strict *message, bool response)
{
	const char *at = message->bytes, *end = at + message->len, *cr = strict_line(at, end);

	if (cr == NULL)
		return STRICT_MORE;
	if (response ? !strict_status_line(message, at, (size_t)(cr - at))
	             : !strict_request_line(at, (size_t)(cr - at)))
		return STRICT_BAD;
	for (at = cr + 2; (cr = strict_line(at, end)) != at; at = cr + 2) {
		if (cr == NULL)
			return STRICT_MORE;
		if (!strict_field(at, (size_t)(cr - at)))
			return STRICT_BAD;
	}
	message->head = (size_t)(at + 2 - message->bytes);
	return STRICT_WHOLE;
}

/* Chunks without extensions, then an empty trailer section: the engine writes nothing else. */
static enum strict_result
strict_chunks(struct strict *message)
{
	const char *at = message->bytes + message->head, *end = message->bytes + message->len, *cr;

	for (;;) {
		unsigned long long size = 0;

		cr = strict_line(at, end);
		if (cr == NULL)
			return end - at > 17 ? STRICT_BAD : STRICT_MORE;
		if (cr == at || cr - at > 8)
			return STRICT_BAD;
		for (; at < cr; at++) {
			const char *digit = strchr("0123456789abcdef", *at);

			if (*at == '\0' || digit == NULL)
				return STRICT_BAD;
			size = size * 16 + (unsigned long long)(digit - "0123456789abcdef");
		}
		at = cr + 2;
		if ((size_t)(end - at) < size + 2) {
			body_add(&message->body, at,
			    (size_t)(end - at) < size ? (size_t)(end - at) : (size_t)size);
			return STRICT_MORE;
		}
		body_add(&message->body, at, (size_t)size);
		at += size;
		if (at[0] != '\r' || at[1] != '\n')
			return STRICT_BAD;
		at += 2;
		if (size == 0)
			break;
	}
	message->used = (size_t)(at - message->bytes);
	return STRICT_WHOLE;
}

static enum strict_result
strict_length(struct strict *message, const char *digits, size_t len)
{
	unsigned long long length = 0;

	if (len == 0 || len > 19 || (len > 1 && digits[0] == '0'))
		return STRICT_BAD;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)digits[i]))
			return STRICT_BAD;
		length = length * 10 + (unsigned long long)(digits[i] - '0');
	}
	if (message->len - message->head < length)
		return STRICT_MORE;
	body_add(&message->body, message->bytes + message->head, (size_t)length);
	message->used = message->head + (size_t)length;
	return STRICT_WHOLE;
}

/* The message at the start of [bytes, bytes + len). `no_body`: a response to HEAD. */
static enum strict_result
strict_read(struct strict *message, const char *bytes, size_t len, bool response, bool no_body)
{
	size_t from = 0, value_len = 0, coding_len = 0;
	const char *length, *coding;
	enum strict_result result;

	*message = (struct strict){ .bytes = bytes, .len = len, .body = { .hash = FNV_START } };
	result = strict_head(message, response);
	if (result != STRICT_WHOLE)
		return result;
	length = strict_next(message, "Content-Length", &from, &value_len);
	from = 0;
	coding = strict_next(message, "Transfer-Encoding", &from, &coding_len);
	if (strict_count(message, "Content-Length") + strict_count(message, "Transfer-Encoding") >
	    1)
		return STRICT_BAD;
	if (coding != NULL && (coding_len != 7 || memcmp(coding, "chunked", 7) != 0))
		return STRICT_BAD;
	if (response && (message->status < 200 || message->status == 204)) {
		no_body = true;
		if (coding != NULL || length != NULL)
			return STRICT_BAD;
	}
	if (response && message->status == 304)
		no_body = true;
	if (!no_body && coding != NULL)
		return strict_chunks(message);
	if (!no_body && length != NULL)
		return strict_length(message, length, value_len);
	message->used = message->head;
	if (!no_body && response) {
		message->until_close = true;
		body_add(&message->body, bytes + message->head, len - message->head);
		message->used = len;
	}
	return STRICT_WHOLE;
}

#endif
