/* A pool of equal blocks of memory, one or two per thread: what the keep-alive path uses
 * instead of malloc. Blocks are handed out last-in first-out, so that they are warm in the
 * cache; beyond `keep` free blocks they go back to malloc. Owner thread only.
 */
#ifndef TG_BASE_BLOCKS_H
#define TG_BASE_BLOCKS_H

#include <stddef.h>

#include "base/assert.h"

struct tg_blocks {
	size_t size; /* bytes a block; at least sizeof(void *) */
	size_t keep; /* free blocks kept at most */
	size_t free; /* free blocks now */
	size_t out;  /* blocks in use now; 0 when the pool may be finished */
	void *head;  /* singly linked list of the free blocks */
};

void tg_blocks_init(struct tg_blocks *blocks, size_t size, size_t keep);

/* Give the free blocks back. All blocks must have come home: a block out is a bug of ours. */
void tg_blocks_fini(struct tg_blocks *blocks);

/* A block of blocks->size bytes, not zeroed; NULL when memory is out. Free blocks are poisoned
 * under the address sanitizer. */
TG_MUST_USE void *tg_blocks_get(struct tg_blocks *blocks);

/* Bring a block home, to the pool that it came from. */
void tg_blocks_put(struct tg_blocks *blocks, void *block);

#endif
