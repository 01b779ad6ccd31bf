#include "policy/shared.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"

enum { FIRST_BUCKETS = 64, NUMBER_TEXT = 40, SWEEP_MS = 1000 };

struct entry {
	struct entry *next;
	struct tg_link link; /* in table->entries */
	uint64_t hash;
	uint64_t expires;    /* ms of the monotonic clock; 0: never */
	struct tg_str value; /* malloc'ed */
	size_t key_len;
	char key[];
};

struct table {
	pthread_mutex_t lock;
	char *name;
	struct entry **buckets; /* under lock, like the rest */
	size_t bucket_count;    /* a power of two */
	size_t entry_count;
	size_t most; /* entries; one more, and the first of `entries` goes. 0: not bounded */
	struct tg_link entries; /* what was set longest ago comes first */
	uint64_t next_sweep;    /* ms: a full table is not searched for room more often */
};

struct tg_shared {
	pthread_mutex_t lock; /* of the list of tables */
	int count;
	struct table tables[TG_SHARED_TABLES];
};

struct tg_shared *
tg_shared_new(void)
{
	struct tg_shared *shared = calloc(1, sizeof(*shared));

	if (shared != NULL)
		pthread_mutex_init(&shared->lock, NULL);
	return shared;
}

static void
free_entry(struct entry *entry)
{
	tg_link_remove(&entry->link);
	free((char *)(uintptr_t)entry->value.ptr);
	free(entry);
}

void
tg_shared_free(struct tg_shared *shared)
{
	for (int i = 0; i < shared->count; i++) {
		struct table *table = &shared->tables[i];

		for (size_t b = 0; b < table->bucket_count; b++)
			for (struct entry *entry = table->buckets[b], *next; entry != NULL;
			     entry = next) {
				next = entry->next;
				free_entry(entry);
			}
		free(table->buckets);
		free(table->name);
		pthread_mutex_destroy(&table->lock);
	}
	pthread_mutex_destroy(&shared->lock);
	free(shared);
}

int
tg_shared_open(struct tg_shared *shared, struct tg_str name)
{
	struct table *table;
	int i;

	pthread_mutex_lock(&shared->lock);
	for (i = 0; i < shared->count; i++)
		if (tg_str_eq(tg_str_of(shared->tables[i].name), name))
			break;
	if (i == shared->count && i < TG_SHARED_TABLES) {
		table = &shared->tables[i];
		table->name = strndup(name.ptr, name.len);
		table->buckets = calloc(FIRST_BUCKETS, sizeof(struct entry *));
		if (table->name == NULL || table->buckets == NULL) {
			free(table->name);
			free(table->buckets);
			i = TG_SHARED_TABLES;
		} else {
			table->bucket_count = FIRST_BUCKETS;
			tg_link_init(&table->entries);
			pthread_mutex_init(&table->lock, NULL);
			shared->count++;
		}
	}
	pthread_mutex_unlock(&shared->lock);
	return i < TG_SHARED_TABLES ? i : -1;
}

/* FNV-1a: keys are the site's own names and cookies, and a table is not reachable by index. */
static uint64_t
hash_of(struct tg_str key)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ (unsigned char)key.ptr[i]) * 1099511628211u;
	return hash;
}

static uint64_t
now_ms(void)
{
	return tg_clock_us() / 1000;
}

/* The link that points at the key's entry, or at the NULL where it would go. An entry whose time
 * is over is removed on the way. */
static struct entry **
find(struct table *table, struct tg_str key, uint64_t hash)
{
	struct entry **link = &table->buckets[hash & (table->bucket_count - 1)];
	struct entry *entry;

	while ((entry = *link) != NULL) {
		if (entry->hash != hash ||
		    !tg_str_eq((struct tg_str){ entry->key, entry->key_len }, key)) {
			link = &entry->next;
			continue;
		}
		if (entry->expires == 0 || entry->expires > now_ms())
			return link;
		*link = entry->next;
		free_entry(entry);
		table->entry_count--;
	}
	return link;
}

/* Remove everything whose time is over. */
static void
sweep(struct table *table)
{
	uint64_t now = now_ms();

	for (size_t b = 0; b < table->bucket_count; b++)
		for (struct entry **link = &table->buckets[b], *entry; (entry = *link) != NULL;) {
			if (entry->expires == 0 || entry->expires > now) {
				link = &entry->next;
				continue;
			}
			*link = entry->next;
			free_entry(entry);
			table->entry_count--;
		}
}

/* Twice the buckets, when there are as many entries; failing is harmless. */
static void
grow(struct table *table)
{
	size_t count = table->bucket_count * 2;
	struct entry **buckets;

	if (table->entry_count < table->bucket_count || table->entry_count >= TG_SHARED_KEYS)
		return;
	sweep(table);
	buckets = calloc(count, sizeof(struct entry *));
	if (buckets == NULL)
		return;
	for (size_t b = 0; b < table->bucket_count; b++)
		for (struct entry *entry = table->buckets[b], *next; entry != NULL; entry = next) {
			struct entry **head = &buckets[entry->hash & (count - 1)];

			next = entry->next;
			entry->next = *head;
			*head = entry;
		}
	free(table->buckets);
	table->buckets = buckets;
	table->bucket_count = count;
}

/* Take those out that were set longest ago, until there are no more than that. */
static void
shrink(struct table *table, size_t most)
{
	while (table->entry_count > most) {
		struct entry *entry = tg_container_of(table->entries.next, struct entry, link);
		struct entry **link = &table->buckets[entry->hash & (table->bucket_count - 1)];

		while (*link != entry)
			link = &(*link)->next;
		*link = entry->next;
		free_entry(entry);
		table->entry_count--;
	}
}

static int
set(struct table *table, struct tg_str key, struct tg_str value, int64_t ttl_ms)
{
	uint64_t hash = hash_of(key);
	struct entry **link, *entry;
	char *copy = malloc(value.len + 1);

	if (copy == NULL)
		return -1;
	if (value.len > 0)
		memcpy(copy, value.ptr, value.len);
	copy[value.len] = '\0';
	grow(table);
	if (table->entry_count >= TG_SHARED_KEYS && now_ms() >= table->next_sweep) {
		sweep(table);
		table->next_sweep = now_ms() + SWEEP_MS;
	}
	link = find(table, key, hash);
	entry = *link;
	if (entry == NULL && table->most > 0 && table->entry_count >= table->most) {
		shrink(table, table->most - 1);
		link = find(table, key, hash); /* the one that it was in may have gone */
	}
	if (entry == NULL) {
		entry = table->entry_count < TG_SHARED_KEYS ? calloc(1, sizeof(*entry) + key.len)
		                                            : NULL;
		if (entry == NULL) {
			free(copy);
			return -1;
		}
		tg_link_init(&entry->link);
		entry->hash = hash;
		entry->key_len = key.len;
		if (key.len > 0)
			memcpy(entry->key, key.ptr, key.len);
		*link = entry;
		table->entry_count++;
	}
	free((char *)(uintptr_t)entry->value.ptr);
	entry->value = (struct tg_str){ copy, value.len };
	tg_link_remove(&entry->link);
	tg_list_push_back(&table->entries, &entry->link);
	entry->expires = ttl_ms > 0 ? now_ms() + (uint64_t)ttl_ms : 0;
	return 0;
}

void
tg_shared_bound(struct tg_shared *shared, int index, size_t most)
{
	struct table *table = &shared->tables[index];

	pthread_mutex_lock(&table->lock);
	table->most = most < TG_SHARED_KEYS ? most : TG_SHARED_KEYS;
	shrink(table, table->most);
	pthread_mutex_unlock(&table->lock);
}

int
tg_shared_get(struct tg_shared *shared, int index, struct tg_str key, struct tg_str *out)
{
	struct table *table = &shared->tables[index];
	struct entry *entry;
	int result = 1;
	char *copy;

	pthread_mutex_lock(&table->lock);
	entry = *find(table, key, hash_of(key));
	if (entry != NULL) {
		copy = malloc(entry->value.len + 1);
		result = copy != NULL ? 0 : -1;
		if (copy != NULL)
			memcpy(copy, entry->value.ptr, entry->value.len + 1);
		*out = (struct tg_str){ copy, entry->value.len };
	}
	pthread_mutex_unlock(&table->lock);
	return result;
}

int
tg_shared_set(
    struct tg_shared *shared, int index, struct tg_str key, struct tg_str value, int64_t ttl_ms)
{
	struct table *table = &shared->tables[index];
	int result;

	pthread_mutex_lock(&table->lock);
	result = set(table, key, value, ttl_ms);
	pthread_mutex_unlock(&table->lock);
	return result;
}

int
tg_shared_delete(struct tg_shared *shared, int index, struct tg_str key)
{
	struct table *table = &shared->tables[index];
	struct entry **link, *entry;

	pthread_mutex_lock(&table->lock);
	link = find(table, key, hash_of(key));
	entry = *link;
	if (entry != NULL) {
		*link = entry->next;
		free_entry(entry);
		table->entry_count--;
	}
	pthread_mutex_unlock(&table->lock);
	return entry != NULL;
}

int
tg_shared_incr(struct tg_shared *shared, int index, struct tg_str key, double by, double initial,
    int64_t ttl_ms, double *result)
{
	struct table *table = &shared->tables[index];
	char text[NUMBER_TEXT];
	struct entry *entry;
	char *end = text;
	int code;

	pthread_mutex_lock(&table->lock);
	entry = *find(table, key, hash_of(key));
	*result = initial + by;
	if (entry != NULL && entry->value.ptr[0] == 'n')
		*result = strtod(entry->value.ptr + 1, &end) + by;
	if (entry != NULL && (entry->value.ptr[0] != 'n' || *end != '\0')) {
		code = 1;
	} else {
		int64_t left = ttl_ms;

		if (entry != NULL && entry->expires == 0)
			left = 0;
		else if (entry != NULL) { /* never 0, which is for ever */
			left = (int64_t)(entry->expires - now_ms());
			left = left > 0 ? left : 1;
		}
		snprintf(text, sizeof(text), "n%.17g", *result);
		code = set(table, key, tg_str_of(text), left);
	}
	pthread_mutex_unlock(&table->lock);
	return code;
}
