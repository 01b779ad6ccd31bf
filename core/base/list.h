/* An intrusive, circular, doubly linked list: O(1) insert and unlink, no allocation. A link
 * that is in no list points at itself, so that unlinking twice is harmless.
 */
#ifndef TG_BASE_LIST_H
#define TG_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct tg_link {
	struct tg_link *prev;
	struct tg_link *next;
};

/* Make `link` an empty list, or an element that is in no list. */
static inline void
tg_link_init(struct tg_link *link)
{
	link->prev = link;
	link->next = link;
}

static inline bool
tg_list_empty(const struct tg_link *list)
{
	return list->next == list;
}

/* Is this element in a list? */
static inline bool
tg_link_linked(const struct tg_link *link)
{
	return link->next != link;
}

static inline void
tg_link_remove(struct tg_link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	tg_link_init(link);
}

/* Put `link`, which must be in no list, at the front of `list`. */
static inline void
tg_list_push_front(struct tg_link *list, struct tg_link *link)
{
	link->prev = list;
	link->next = list->next;
	list->next->prev = link;
	list->next = link;
}

/* Put `link`, which must be in no list, at the end of `list`. */
static inline void
tg_list_push_back(struct tg_link *list, struct tg_link *link)
{
	tg_list_push_front(list->prev, link);
}

/* The first element, taken out of the list; NULL when it is empty. */
static inline struct tg_link *
tg_list_pop_front(struct tg_link *list)
{
	struct tg_link *first = list->next;

	if (first == list)
		return NULL;
	tg_link_remove(first);
	return first;
}

/* Move all elements of `from` to the end of `list`, in their order; `from` is empty then. */
static inline void
tg_list_append(struct tg_link *list, struct tg_link *from)
{
	if (tg_list_empty(from))
		return;
	from->next->prev = list->prev;
	from->prev->next = list;
	list->prev->next = from->next;
	list->prev = from->prev;
	tg_link_init(from);
}

#endif
