#include "base/intern.h"

#include <pthread.h>
#include <stdlib.h>

struct entry {
	struct entry *next;
	size_t len;
	char text[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries; /* under lock; few, and looked up at load only */

const char *
tg_intern(struct tg_str text)
{
	struct entry *entry;

	pthread_mutex_lock(&lock);
	for (entry = entries; entry != NULL; entry = entry->next)
		if (tg_str_eq(text, (struct tg_str){ entry->text, entry->len }))
			break;
	if (entry == NULL && (entry = malloc(sizeof(*entry) + text.len + 1)) != NULL) {
		if (text.len > 0)
			memcpy(entry->text, text.ptr, text.len);
		entry->text[text.len] = '\0';
		entry->len = text.len;
		entry->next = entries;
		entries = entry;
	}
	pthread_mutex_unlock(&lock);
	return entry != NULL ? entry->text : "?";
}
