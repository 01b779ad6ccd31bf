/* The arena gives aligned memory that does not overlap, and returns all of it at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/arena.h"
#include "base/poison.h"

enum { SIZE = 256 };

static struct tg_blocks blocks;
static struct tg_arena arena;

static int
set_up(void **state)
{
	(void)state;
	tg_blocks_init(&blocks, SIZE, 4);
	tg_arena_init(&arena, &blocks);
	return 0;
}

/* Whatever a test did, a reset brings all blocks home (fini asserts it). */
static int
tear_down(void **state)
{
	(void)state;
	tg_arena_reset(&arena);
	tg_blocks_fini(&blocks);
	return 0;
}

static void
assert_empty(void)
{
	assert_int_equal(blocks.out, 0);
	assert_null(arena.chunks);
	assert_null(arena.large);
	assert_null(arena.next);
	assert_null(arena.end);
}

static void
an_empty_arena_holds_no_memory(void **state)
{
	(void)state;
	assert_empty();
	assert_non_null(tg_arena_alloc(&arena, 1));
	assert_int_equal(blocks.out, 1);
	tg_arena_reset(&arena);
	assert_empty();
	tg_arena_reset(&arena);
	assert_empty();
}

static void
nothing_is_a_valid_allocation(void **state)
{
	char *first, *second;

	(void)state;
	first = tg_arena_alloc(&arena, 0);
	second = tg_arena_alloc(&arena, 0);
	assert_non_null(first);
	assert_non_null(second);
	assert_int_equal((uintptr_t)first % 8, 0);
}

/* Sizes around everything that could go wrong by one, filled and then all looked at again. */
static void
allocations_are_aligned_and_do_not_overlap(void **state)
{
	enum { COUNT = 3 * SIZE };
	static unsigned char *memory[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		size_t size = (i * 7) % COUNT;

		memory[i] = tg_arena_alloc(&arena, size);
		assert_non_null(memory[i]);
		assert_int_equal((uintptr_t)memory[i] % 8, 0);
		memset(memory[i], (int)(i % 251), size);
	}
	for (size_t i = 0; i < COUNT; i++)
		for (size_t at = 0; at < (i * 7) % COUNT; at++)
			assert_int_equal(memory[i][at], i % 251);
}

static void
small_allocations_share_a_block(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		assert_non_null(tg_arena_alloc(&arena, 24));
	assert_int_equal(blocks.out, 1);
	while (blocks.out == 1)
		assert_non_null(tg_arena_alloc(&arena, 24));
	assert_int_equal(blocks.out, 2);
	assert_null(arena.large);
}

static void
two_allocations_may_fill_a_block_to_its_end(void **state)
{
	size_t rest = SIZE - sizeof(void *) - 8 - 2 * TG_POISON_GAP;

	(void)state;
	assert_non_null(tg_arena_alloc(&arena, 8));
	assert_non_null(tg_arena_alloc(&arena, rest));
	assert_int_equal(blocks.out, 1);
	assert_ptr_equal(arena.next, arena.end);
}

static void
what_fills_a_block_exactly_comes_from_the_pool(void **state)
{
	size_t room = SIZE - sizeof(void *) - TG_POISON_GAP;
	char *memory;

	(void)state;
	memory = tg_arena_alloc(&arena, room);
	assert_non_null(memory);
	memset(memory, 1, room);
	assert_int_equal(blocks.out, 1);
	assert_null(arena.large);
	assert_non_null(tg_arena_alloc(&arena, 1));
	assert_int_equal(blocks.out, 2);
}

static void
what_is_too_large_for_a_block_spends_none(void **state)
{
	size_t size = SIZE - sizeof(void *) + 1;
	char *large, *before, *after;

	(void)state;
	large = tg_arena_alloc(&arena, size);
	assert_non_null(large);
	assert_int_equal((uintptr_t)large % 8, 0);
	memset(large, 1, size);
	assert_int_equal(blocks.out, 0);

	before = tg_arena_alloc(&arena, 8);
	assert_non_null(tg_arena_alloc(&arena, 100 * SIZE));
	after = tg_arena_alloc(&arena, 8);
	assert_ptr_equal(after, before + 8 + TG_POISON_GAP);
	assert_int_equal(blocks.out, 1);
	tg_arena_reset(&arena);
	assert_empty();
}

static void
sizes_that_overflow_are_refused(void **state)
{
	(void)state;
	for (size_t below = 0; below < 100; below++)
		assert_null(tg_arena_alloc(&arena, SIZE_MAX - below));
	assert_null(tg_arena_alloc(&arena, SIZE_MAX / 2));
	assert_null(tg_arena_copy(&arena, (struct tg_str){ "x", SIZE_MAX }).ptr);
	assert_null(tg_arena_copy(&arena, (struct tg_str){ "x", SIZE_MAX - 1 }).ptr);
	assert_empty();
}

static void
a_copy_is_terminated_and_its_own(void **state)
{
	char text[] = "example.org:80";
	struct tg_str copy;

	(void)state;
	copy = tg_arena_copy(&arena, (struct tg_str){ text, 11 });
	memset(text, 'x', sizeof(text));
	assert_int_equal(copy.len, 11);
	assert_string_equal(copy.ptr, "example.org");

	copy = tg_arena_copy(&arena, TG_STR("a\0b"));
	assert_int_equal(copy.len, 3);
	assert_memory_equal(copy.ptr, "a\0b", 4);
}

static void
a_copy_of_nothing_is_an_empty_string(void **state)
{
	struct tg_str copy;

	(void)state;
	copy = tg_arena_copy(&arena, TG_STR(""));
	assert_int_equal(copy.len, 0);
	assert_string_equal(copy.ptr, "");
	copy = tg_arena_copy(&arena, (struct tg_str){ NULL, 0 });
	assert_int_equal(copy.len, 0);
	assert_string_equal(copy.ptr, "");
}

static void
a_copy_larger_than_a_block_is_whole(void **state)
{
	char text[4 * SIZE];
	struct tg_str copy;

	(void)state;
	memset(text, 'y', sizeof(text));
	copy = tg_arena_copy(&arena, (struct tg_str){ text, sizeof(text) });
	assert_int_equal(copy.len, sizeof(text));
	assert_memory_equal(copy.ptr, text, sizeof(text));
	assert_int_equal(copy.ptr[sizeof(text)], '\0');
}

static void
what_is_not_allocated_is_poisoned(void **state)
{
	char *memory, *other;

	(void)state;
	memory = tg_arena_alloc(&arena, 8);
	other = tg_arena_alloc(&arena, 5);
	memset(memory, 1, 8);
	memset(other, 1, 5);
	assert_false(tg_poison_missing(memory + 8));
	assert_false(tg_poison_missing(other + 5));
	assert_false(tg_poison_missing(arena.end - 1));
	tg_arena_reset(&arena);
	assert_false(tg_poison_missing(memory));
	assert_false(tg_poison_missing(other));
}

static void
blocks_are_used_again_after_a_reset(void **state)
{
	char *first;

	(void)state;
	first = tg_arena_alloc(&arena, 16);
	for (int round = 0; round < 1000; round++) {
		tg_arena_reset(&arena);
		assert_ptr_equal(tg_arena_alloc(&arena, 16), first);
		assert_non_null(tg_arena_alloc(&arena, SIZE));
	}
	assert_int_equal(blocks.out, 1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(an_empty_arena_holds_no_memory),
		test(nothing_is_a_valid_allocation),
		test(allocations_are_aligned_and_do_not_overlap),
		test(small_allocations_share_a_block),
		test(two_allocations_may_fill_a_block_to_its_end),
		test(what_fills_a_block_exactly_comes_from_the_pool),
		test(what_is_too_large_for_a_block_spends_none),
		test(sizes_that_overflow_are_refused),
		test(a_copy_is_terminated_and_its_own),
		test(a_copy_of_nothing_is_an_empty_string),
		test(a_copy_larger_than_a_block_is_whole),
		test(what_is_not_allocated_is_poisoned),
		test(blocks_are_used_again_after_a_reset),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
