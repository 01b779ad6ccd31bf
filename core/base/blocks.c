/* A free block is its own list node: its first word points at the next free block. The whole
 * block is poisoned while it is free, so that word is read only after the block is unpoisoned,
 * and putting a block twice is reported by the sanitizer at the second put.
 */
#include "base/blocks.h"

#include <stdlib.h>
#include <string.h>

#include "base/poison.h"

/* Take the first free block out of the list, which must not be empty. */
static void *
pop_free(struct tg_blocks *blocks)
{
	void *block = blocks->head;

	tg_unpoison(block, blocks->size);
	memcpy(&blocks->head, block, sizeof(blocks->head));
	blocks->free--;
	return block;
}

void
tg_blocks_init(struct tg_blocks *blocks, size_t size, size_t keep)
{
	tg_assert(size >= sizeof(void *));
	*blocks = (struct tg_blocks){ .size = size, .keep = keep };
}

void
tg_blocks_fini(struct tg_blocks *blocks)
{
	tg_assert(blocks->out == 0);
	while (blocks->head != NULL)
		free(pop_free(blocks));
	tg_assert(blocks->free == 0);
}

void *
tg_blocks_get(struct tg_blocks *blocks)
{
	void *block = blocks->head != NULL ? pop_free(blocks) : malloc(blocks->size);

	if (block != NULL)
		blocks->out++;
	return block;
}

void
tg_blocks_put(struct tg_blocks *blocks, void *block)
{
	tg_assert(block != NULL && blocks->out > 0);
	blocks->out--;
	if (blocks->free >= blocks->keep) {
		free(block);
		return;
	}
	memcpy(block, &blocks->head, sizeof(blocks->head));
	tg_poison(block, blocks->size);
	blocks->head = block;
	blocks->free++;
}
