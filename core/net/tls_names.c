#include "net/tls_names.h"

#include <stdlib.h>

enum { NAME_MAX_LEN = 253 };

struct tg_tls_name {
	const char *text; /* the certificate's */
	unsigned order;   /* of the first certificate that has it */
	struct tg_tls_choice choice;
};

bool
tg_tls_names_add(struct tg_tls_names *names, struct tg_tls_certificate *certificate)
{
	struct tg_tls_certificate **list = realloc(names->certificates,
	    (names->certificate_count + 1) * sizeof(struct tg_tls_certificate *));

	if (list == NULL)
		return false;
	names->certificates = list;
	list[names->certificate_count++] = certificate;
	return true;
}

void
tg_tls_names_fini(struct tg_tls_names *names)
{
	for (unsigned i = 0; i < names->certificate_count; i++)
		tg_tls_certificate_put(names->certificates[i]);
	free(names->certificates);
	free(names->list);
	*names = (struct tg_tls_names){ .count = 0 };
}

static int
compare(const void *a, const void *b)
{
	const struct tg_tls_name *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	if (order != 0)
		return order;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* The second has what the first has not. */
static void
merge(struct tg_tls_choice *first, const struct tg_tls_choice *second)
{
	for (int kind = 0; kind < TG_TLS_KEYS; kind++)
		if (first->by_key[kind] == NULL)
			first->by_key[kind] = second->by_key[kind];
}

static void
merge_all(struct tg_tls_names *names, unsigned total)
{
	for (unsigned i = 0; i < total; i++) {
		struct tg_tls_name *last = names->count > 0 ? &names->list[names->count - 1] : NULL;

		if (last != NULL && strcmp(last->text, names->list[i].text) == 0)
			merge(&last->choice, &names->list[i].choice);
		else
			names->list[names->count++] = names->list[i];
	}
}

bool
tg_tls_names_sort(struct tg_tls_names *names)
{
	unsigned total = 0, n = 0;

	for (unsigned i = 0; i < names->certificate_count; i++)
		total += names->certificates[i]->name_count;
	names->list = calloc(total + 1, sizeof(*names->list));
	if (names->list == NULL)
		return false;
	for (unsigned i = 0; i < names->certificate_count; i++) {
		const struct tg_tls_certificate *certificate = names->certificates[i];

		for (unsigned j = 0; j < certificate->name_count; j++, n++) {
			names->list[n] =
			    (struct tg_tls_name){ certificate->names[j], i, { { NULL } } };
			names->list[n].choice.by_key[certificate->kind] = certificate;
		}
	}
	qsort(names->list, total, sizeof(*names->list), compare);
	merge_all(names, total);
	return true;
}

static const struct tg_tls_choice *
find(const struct tg_tls_names *names, const char *text)
{
	unsigned low = 0, high = names->count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		int order = strcmp(text, names->list[middle].text);

		if (order == 0)
			return &names->list[middle].choice;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

bool
tg_tls_names_find(const struct tg_tls_names *names, const char *name, struct tg_tls_choice *out)
{
	char text[NAME_MAX_LEN + 1];
	size_t len = strlen(name), label = strcspn(name, ".");
	const struct tg_tls_choice *found;

	*out = (struct tg_tls_choice){ { NULL } };
	if (len == 0 || len > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i <= len; i++)
		text[i] = (char)tg_char_lower(name[i]);
	found = find(names, text);
	if (found != NULL)
		*out = *found;
	if (label > 0 && label < len) {
		const struct tg_tls_choice *wild;

		text[label - 1] = '*';
		wild = find(names, text + label - 1);
		if (wild != NULL)
			merge(out, wild);
		found = found != NULL ? found : wild;
	}
	return found != NULL;
}

struct tg_tls_choice
tg_tls_names_default(const struct tg_tls_names *names)
{
	struct tg_tls_choice choice = { { NULL } };
	const struct tg_tls_certificate *first;

	if (names->certificate_count == 0)
		return choice;
	first = names->certificates[0];
	choice.by_key[first->kind] = first;
	for (unsigned i = 0; i < first->name_count; i++) {
		const struct tg_tls_choice *same = find(names, first->names[i]);

		if (same != NULL)
			merge(&choice, same);
	}
	return choice;
}
