/* The intrusive list keeps order, and unlinking is safe from anywhere and twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/list.h"

enum { COUNT = 4 };

struct item {
	int name;
	struct tg_link link;
};

static struct item items[COUNT];

static void
reset_items(void)
{
	for (int i = 0; i < COUNT; i++) {
		items[i].name = i;
		tg_link_init(&items[i].link);
	}
}

/* The list holds exactly the items of `names` in that order, seen from both ends. -1 ends. */
static void
assert_holds(const struct tg_link *list, const int *names)
{
	const struct tg_link *link = list;

	for (; *names >= 0; names++) {
		assert_ptr_equal(link->next->prev, link);
		link = link->next;
		assert_ptr_equal(link, &items[*names].link);
		assert_true(tg_link_linked(link));
	}
	assert_ptr_equal(link->next, list);
	assert_ptr_equal(list->prev, link);
}

#define assert_list(list, ...) assert_holds(list, (const int[]){ __VA_ARGS__, -1 })
#define assert_list_empty(list) assert_holds(list, (const int[]){ -1 })

static void
a_new_list_is_empty(void **state)
{
	struct tg_link list;

	(void)state;
	tg_link_init(&list);
	assert_true(tg_list_empty(&list));
	assert_false(tg_link_linked(&list));
	assert_null(tg_list_pop_front(&list));
	assert_list_empty(&list);
}

static void
both_ends_take_elements(void **state)
{
	struct tg_link list;

	(void)state;
	reset_items();
	tg_link_init(&list);
	tg_list_push_back(&list, &items[1].link);
	assert_false(tg_list_empty(&list));
	tg_list_push_back(&list, &items[2].link);
	tg_list_push_front(&list, &items[0].link);
	tg_list_push_back(&list, &items[3].link);
	assert_list(&list, 0, 1, 2, 3);
}

static void
pop_takes_the_first_and_unlinks_it(void **state)
{
	struct tg_link list, *first;

	(void)state;
	reset_items();
	tg_link_init(&list);
	tg_list_push_back(&list, &items[0].link);
	tg_list_push_back(&list, &items[1].link);
	first = tg_list_pop_front(&list);
	assert_ptr_equal(tg_container_of(first, struct item, link), &items[0]);
	assert_false(tg_link_linked(first));
	assert_list(&list, 1);
	assert_ptr_equal(tg_list_pop_front(&list), &items[1].link);
	assert_true(tg_list_empty(&list));
}

static void
removing_twice_is_harmless(void **state)
{
	struct tg_link list;

	(void)state;
	reset_items();
	tg_link_init(&list);
	for (int i = 0; i < COUNT; i++)
		tg_list_push_back(&list, &items[i].link);
	tg_link_remove(&items[1].link);
	tg_link_remove(&items[1].link);
	assert_false(tg_link_linked(&items[1].link));
	assert_list(&list, 0, 2, 3);
	tg_link_remove(&items[3].link);
	tg_link_remove(&items[0].link);
	assert_list(&list, 2);
	tg_link_remove(&items[2].link);
	assert_list_empty(&list);
}

static void
append_moves_all_in_order(void **state)
{
	struct tg_link list, from;

	(void)state;
	reset_items();
	tg_link_init(&list);
	tg_link_init(&from);
	tg_list_append(&list, &from);
	assert_list_empty(&list);
	tg_list_push_back(&from, &items[0].link);
	tg_list_append(&list, &from);
	assert_list(&list, 0);
	assert_list_empty(&from);
	tg_list_push_back(&from, &items[1].link);
	tg_list_push_back(&from, &items[2].link);
	tg_list_push_back(&from, &items[3].link);
	tg_list_append(&list, &from);
	assert_list(&list, 0, 1, 2, 3);
	assert_list_empty(&from);
	tg_list_append(&list, &from);
	assert_list(&list, 0, 1, 2, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_list_is_empty),
		cmocka_unit_test(both_ends_take_elements),
		cmocka_unit_test(pop_takes_the_first_and_unlinks_it),
		cmocka_unit_test(removing_twice_is_harmless),
		cmocka_unit_test(append_moves_all_in_order),
	};

	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
