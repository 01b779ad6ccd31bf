/* Reads the answers of a server that is under test, byte by byte or as they come: where one ends,
 * and whether it was one. Used by load.c; no part of Tidegate, so that a mistake there is not
 * made here as well.
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum answer_state {
	ANSWER_HEAD,
	ANSWER_LENGTH,     /* `left` bytes of body to come */
	ANSWER_CHUNK_SIZE, /* within the line of a chunk's size */
	ANSWER_CHUNK,      /* `left` bytes of a chunk, its CRLF included */
	ANSWER_TRAILER,    /* within the lines after the last chunk */
	ANSWER_TO_CLOSE,   /* the body ends with the connection */
	ANSWER_WHOLE,
	ANSWER_BAD,
};

struct answer {
	enum answer_state state;
	int status;      /* 0: the head is not complete */
	bool keep;       /* the connection may be used again */
	char head[4096]; /* with a NUL */
	size_t head_len;
	uint64_t left;
	size_t line; /* bytes of the current line of a chunked body */
};

static inline void
answer_begin(struct answer *a)
{
	a->state = ANSWER_HEAD;
	a->status = 0;
	a->head_len = 0;
}

/* The value of a field, to its CR; NULL: there is none. */
static inline const char *
answer_field(const struct answer *a, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = strstr(a->head, "\r\n"); line != NULL;
	     line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':')
			return line + 3 + len + strspn(line + 3 + len, " ");
	return NULL;
}

/* The head is there: what follows it? */
static inline void
answer_frame(struct answer *a, bool to_head)
{
	const char *length = answer_field(a, "Content-Length");
	const char *coding = answer_field(a, "Transfer-Encoding");
	const char *connection = answer_field(a, "Connection");

	if (strncmp(a->head, "HTTP/1.1 ", 9) != 0 || (a->status = atoi(a->head + 9)) < 200) {
		a->state = ANSWER_BAD;
		return;
	}
	a->keep = connection == NULL || strncasecmp(connection, "close", 5) != 0;
	a->left = length != NULL ? strtoull(length, NULL, 10) : 0;
	a->line = 0;
	if (to_head || a->status == 204 || a->status == 304)
		a->state = ANSWER_WHOLE;
	else if (coding != NULL)
		a->state = ANSWER_CHUNK_SIZE;
	else if (length != NULL)
		a->state = a->left > 0 ? ANSWER_LENGTH : ANSWER_WHOLE;
	else
		a->state = ANSWER_TO_CLOSE;
}

/* One byte of a line of a chunked body: a size, or a trailer. */
static inline void
answer_line(struct answer *a, char c)
{
	if (c != '\n') {
		if (c != '\r' && a->state == ANSWER_CHUNK_SIZE) {
			const char *digit = strchr("0123456789abcdef", c | 0x20);

			if (digit == NULL || a->line > 8)
				a->state = ANSWER_BAD;
			else
				a->left = a->left * 16 +
				    (uint64_t)(strchr("0123456789abcdef", c | 0x20) -
				        "0123456789abcdef");
		}
		a->line += c != '\r';
		return;
	}
	if (a->state == ANSWER_TRAILER) {
		if (a->line == 0)
			a->state = ANSWER_WHOLE;
	} else if (a->line == 0) {
		a->state = ANSWER_BAD;
	} else if (a->left == 0) {
		a->state = ANSWER_TRAILER;
	} else {
		a->left += 2;
		a->state = ANSWER_CHUNK;
	}
	a->line = 0;
}

static inline size_t
answer_head_byte(struct answer *a, char c, bool to_head)
{
	if (a->head_len == sizeof a->head - 1) {
		a->state = ANSWER_BAD;
		return 1;
	}
	a->head[a->head_len++] = c;
	a->head[a->head_len] = '\0';
	if (c == '\n' && a->head_len >= 4 && strcmp(a->head + a->head_len - 4, "\r\n\r\n") == 0)
		answer_frame(a, to_head);
	return 1;
}

/* Bytes that came; `to_head`: they answer a HEAD. Afterwards state is ANSWER_WHOLE, ANSWER_BAD
 * (also for bytes behind the end), or says that more must come. */
static inline void
answer_read(struct answer *a, const char *data, size_t len, bool to_head)
{
	size_t used = 0;

	while (used < len && a->state != ANSWER_WHOLE && a->state != ANSWER_BAD) {
		if (a->state == ANSWER_HEAD) {
			used += answer_head_byte(a, data[used], to_head);
		} else if (a->state == ANSWER_LENGTH || a->state == ANSWER_CHUNK) {
			size_t n = len - used < a->left ? len - used : (size_t)a->left;

			used += n;
			a->left -= n;
			if (a->left == 0)
				a->state =
				    a->state == ANSWER_LENGTH ? ANSWER_WHOLE : ANSWER_CHUNK_SIZE;
		} else if (a->state == ANSWER_TO_CLOSE) {
			used = len;
		} else {
			answer_line(a, data[used++]);
		}
	}
	if (used < len)
		a->state = ANSWER_BAD;
}

#endif
