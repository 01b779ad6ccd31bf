/* Each chunk starts with a link to the chunk before it. What does not fit into a whole block is
 * a chunk of its own beside the blocks, so that one large allocation wastes no block. The rest
 * of a block that was too small for the next allocation is given up: an arena is short-lived,
 * and searching old blocks would cost more than it saves.
 *
 * The free space of a block is poisoned under the address sanitizer, with a gap behind each
 * allocation, so that one header value cannot be overrun into the next unseen.
 */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/poison.h"

enum { ALIGN = 8 };

struct tg_arena_chunk {
	_Alignas(ALIGN) struct tg_arena_chunk *older; /* NULL: the first of its list */
	char data[];
};

/* No object is larger than this (C11 6.5.6: pointers into it must subtract), and below it no sum
 * of this file can overflow. */
static const size_t size_max = PTRDIFF_MAX / 2;

static size_t
round_up(size_t size)
{
	return (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static void *
alloc_large(struct tg_arena *arena, size_t size)
{
	struct tg_arena_chunk *chunk = malloc(sizeof(*chunk) + size);

	if (chunk == NULL)
		return NULL;
	chunk->older = arena->large;
	arena->large = chunk;
	return chunk->data;
}

/* Go on in a new block. False when memory is out; the old block stays in use then. */
static bool
add_block(struct tg_arena *arena)
{
	struct tg_arena_chunk *chunk = tg_blocks_get(arena->blocks);

	if (chunk == NULL)
		return false;
	chunk->older = arena->chunks;
	arena->chunks = chunk;
	arena->next = chunk->data;
	arena->end = (char *)chunk + arena->blocks->size;
	tg_poison(arena->next, (size_t)(arena->end - arena->next));
	return true;
}

void
tg_arena_init(struct tg_arena *arena, struct tg_blocks *blocks)
{
	tg_assert(blocks->size >= sizeof(struct tg_arena_chunk));
	*arena = (struct tg_arena){ .blocks = blocks };
}

void *
tg_arena_alloc(struct tg_arena *arena, size_t size)
{
	size_t need;
	char *start;

	if (size > size_max)
		return NULL;
	if (size == 0)
		size = 1; /* or an empty arena would have no pointer to give */
	need = round_up(size) + TG_POISON_GAP;
	if (need > arena->blocks->size - sizeof(struct tg_arena_chunk))
		return alloc_large(arena, size);
	if (need > (size_t)(arena->end - arena->next) && !add_block(arena))
		return NULL;
	start = arena->next;
	arena->next += need;
	tg_unpoison(start, size);
	return start;
}

struct tg_str
tg_arena_copy(struct tg_arena *arena, struct tg_str from)
{
	char *copy;

	if (from.len >= size_max)
		return (struct tg_str){ NULL, 0 };
	copy = tg_arena_alloc(arena, from.len + 1);
	if (copy == NULL)
		return (struct tg_str){ NULL, 0 };
	if (from.len > 0)
		memcpy(copy, from.ptr, from.len);
	copy[from.len] = '\0';
	return (struct tg_str){ copy, from.len };
}

void
tg_arena_move(struct tg_arena *to, struct tg_arena *from)
{
	tg_assert(to->chunks == NULL && to->large == NULL && to->blocks == from->blocks);
	*to = *from;
	tg_arena_init(from, from->blocks);
}

void
tg_arena_reset(struct tg_arena *arena)
{
	struct tg_arena_chunk *chunk, *older;

	for (chunk = arena->chunks; chunk != NULL; chunk = older) {
		older = chunk->older;
		tg_blocks_put(arena->blocks, chunk);
	}
	for (chunk = arena->large; chunk != NULL; chunk = older) {
		older = chunk->older;
		free(chunk);
	}
	tg_arena_init(arena, arena->blocks);
}
