/* Memory that lives exactly as long as one request: allocation moves a pointer, and one reset
 * frees all. Chunks come from a pool of blocks; what does not fit a block is malloc'ed and
 * freed by the reset. An arena with nothing in it holds no memory. Owner thread only.
 */
#ifndef TG_BASE_ARENA_H
#define TG_BASE_ARENA_H

#include <stddef.h>

#include "base/assert.h"
#include "base/blocks.h"
#include "base/str.h"

struct tg_arena_chunk;

struct tg_arena {
	struct tg_blocks *blocks;
	struct tg_arena_chunk *chunks; /* the newest block first */
	struct tg_arena_chunk *large;  /* what was too big for a block */
	char *next;                    /* free space in the newest block: [next, end) */
	char *end;
};

void tg_arena_init(struct tg_arena *arena, struct tg_blocks *blocks);

/* `size` bytes, aligned to 8, not zeroed; NULL when memory is out. 0 gives a valid pointer. */
TG_MUST_USE void *tg_arena_alloc(struct tg_arena *arena, size_t size);

/* A copy of `from`, terminated by NUL (not counted in len); ptr is NULL only when memory is out:
 * the absent view is copied as an empty string. */
TG_MUST_USE struct tg_str tg_arena_copy(struct tg_arena *arena, struct tg_str from);

/* All that is in `from` belongs to `to` from now on, which had nothing; views of it stay valid. */
void tg_arena_move(struct tg_arena *to, struct tg_arena *from);

/* Free everything; the arena is as after init. */
void tg_arena_reset(struct tg_arena *arena);

#endif
