/* The block pool reuses what came home, warm first, and keeps no more than it was told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/blocks.h"
#include "base/poison.h"

enum { SIZE = 64 };

static void
a_block_is_writable_to_its_end(void **state)
{
	struct tg_blocks blocks;
	char *block;

	(void)state;
	tg_blocks_init(&blocks, SIZE, 1);
	for (int round = 0; round < 3; round++) {
		block = tg_blocks_get(&blocks);
		assert_non_null(block);
		memset(block, 0xa5, SIZE);
		tg_blocks_put(&blocks, block);
	}
	tg_blocks_fini(&blocks);
}

static void
the_last_block_home_is_the_first_out(void **state)
{
	struct tg_blocks blocks;
	void *block[3];

	(void)state;
	tg_blocks_init(&blocks, SIZE, 3);
	for (int i = 0; i < 3; i++)
		block[i] = tg_blocks_get(&blocks);
	assert_ptr_not_equal(block[0], block[1]);
	assert_ptr_not_equal(block[1], block[2]);
	for (int i = 0; i < 3; i++)
		tg_blocks_put(&blocks, block[i]);
	for (int i = 2; i >= 0; i--)
		assert_ptr_equal(tg_blocks_get(&blocks), block[i]);
	for (int i = 0; i < 3; i++)
		tg_blocks_put(&blocks, block[i]);
	tg_blocks_fini(&blocks);
}

static void
it_counts_and_keeps_no_more_than_keep(void **state)
{
	struct tg_blocks blocks;
	void *block[5];

	(void)state;
	tg_blocks_init(&blocks, SIZE, 2);
	assert_int_equal(blocks.out, 0);
	for (size_t i = 0; i < 5; i++) {
		block[i] = tg_blocks_get(&blocks);
		assert_int_equal(blocks.out, i + 1);
		assert_int_equal(blocks.free, 0);
	}
	for (size_t i = 0; i < 5; i++) {
		tg_blocks_put(&blocks, block[i]);
		assert_int_equal(blocks.out, 4 - i);
		assert_int_equal(blocks.free, i < 2 ? i + 1 : 2);
	}
	tg_blocks_fini(&blocks);
	assert_int_equal(blocks.free, 0);
	assert_null(blocks.head);
}

static void
keep_zero_keeps_nothing(void **state)
{
	struct tg_blocks blocks;
	void *block;

	(void)state;
	tg_blocks_init(&blocks, sizeof(void *), 0);
	block = tg_blocks_get(&blocks);
	assert_non_null(block);
	tg_blocks_put(&blocks, block);
	assert_int_equal(blocks.free, 0);
	assert_null(blocks.head);
	tg_blocks_fini(&blocks);
}

static void
a_free_block_is_poisoned_and_a_block_out_is_not(void **state)
{
	struct tg_blocks blocks;
	char *block;

	(void)state;
	tg_blocks_init(&blocks, SIZE, 1);
	block = tg_blocks_get(&blocks);
	tg_blocks_put(&blocks, block);
	for (int i = 0; i < SIZE; i++)
		assert_false(tg_poison_missing(block + i));
	assert_ptr_equal(tg_blocks_get(&blocks), block);
	memset(block, 0, SIZE); /* the sanitizer would end us here */
	tg_blocks_put(&blocks, block);
	tg_blocks_fini(&blocks);
}

/* Run `crime` in a child: an assertion must end it. */
static void
assert_aborts(void (*crime)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		crime();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void
finish_with_a_block_out(void)
{
	struct tg_blocks blocks;

	tg_blocks_init(&blocks, SIZE, 1);
	if (tg_blocks_get(&blocks) != NULL)
		tg_blocks_fini(&blocks);
}

static void
put_what_was_never_out(void)
{
	struct tg_blocks blocks;
	char block[SIZE];

	tg_blocks_init(&blocks, SIZE, 1);
	tg_blocks_put(&blocks, block);
}

static void
ask_for_blocks_without_room_for_a_link(void)
{
	struct tg_blocks blocks;

	tg_blocks_init(&blocks, sizeof(void *) - 1, 1);
}

static void
our_own_bugs_abort(void **state)
{
	(void)state;
	assert_aborts(finish_with_a_block_out);
	assert_aborts(put_what_was_never_out);
	assert_aborts(ask_for_blocks_without_room_for_a_link);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_is_writable_to_its_end),
		cmocka_unit_test(the_last_block_home_is_the_first_out),
		cmocka_unit_test(it_counts_and_keeps_no_more_than_keep),
		cmocka_unit_test(keep_zero_keeps_nothing),
		cmocka_unit_test(a_free_block_is_poisoned_and_a_block_out_is_not),
		cmocka_unit_test(our_own_bugs_abort),
	};

	return cmocka_run_group_tests_name("blocks", tests, NULL, NULL);
}
