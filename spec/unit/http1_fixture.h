/* What the unit tests of the HTTP/1 codec have in common: one arena, one head, one parser. */
#ifndef TG_UNIT_HTTP1_FIXTURE_H
#define TG_UNIT_HTTP1_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/http1.h"

#define M(literal)                                                                                 \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define HOST "Host: a\r\n"

static const struct tg_http1_limits limits = { 16384, 8192, 128 };
static struct tg_blocks blocks;
static struct tg_arena arena;
static struct tg_head head;
static struct tg_http1 http;

static inline int
set_up(void **state)
{
	tg_blocks_init(&blocks, 4096, 4);
	tg_arena_init(&arena, &blocks);
	tg_head_init(&head, &arena);
	return 0;
}

static inline int
tear_down(void **state)
{
	tg_arena_reset(&arena);
	tg_blocks_fini(&blocks);
	return 0;
}

/* Feed one piece from memory of its own size that is gone afterwards. */
static inline int
feed(struct tg_str piece, size_t *used)
{
	char *copy = malloc(piece.len + 1);
	int result;

	memcpy(copy, piece.ptr, piece.len);
	copy = realloc(copy, piece.len > 0 ? piece.len : 1);
	result = tg_http1_head(&http, copy, piece.len, used);
	explicit_bzero(copy, piece.len); /* nothing may point into it any more */
	free(copy);
	return result;
}

#endif
