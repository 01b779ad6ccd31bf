/* Tables that all scripts of the process share, whatever thread and generation they run in:
 * string to string, with an optional time to live. One mutex a table; operations are short.
 */
#ifndef TG_POLICY_SHARED_H
#define TG_POLICY_SHARED_H

#include <stdint.h>

#include "base/assert.h"
#include "base/str.h"

struct tg_shared;

/* The tables of the process; NULL: out of memory. */
TG_MUST_USE struct tg_shared *tg_shared_new(void);
void tg_shared_free(struct tg_shared *shared);

enum { TG_SHARED_TABLES = 64, TG_SHARED_KEYS = 1 << 20 };

/* The index of the table of that name, made if need be; -1: too many, or out of memory. */
TG_MUST_USE int tg_shared_open(struct tg_shared *shared, struct tg_str name);

/* From now on the table holds so many keys at most (1 or more): for a new one that goes which was set
 * longest ago. */
void tg_shared_bound(struct tg_shared *shared, int table, size_t most);

/* 0 and a malloc'ed copy in *out (NUL-terminated, the caller frees), 1: nothing there, -1: out
 * of memory. */
TG_MUST_USE int tg_shared_get(
    struct tg_shared *shared, int table, struct tg_str key, struct tg_str *out);

/* 0, or -1: out of memory, or more than TG_SHARED_KEYS keys where the table is not bounded. ttl_ms 0: for ever. */
TG_MUST_USE int tg_shared_set(
    struct tg_shared *shared, int table, struct tg_str key, struct tg_str value, int64_t ttl_ms);

/* Was it there? */
int tg_shared_delete(struct tg_shared *shared, int table, struct tg_str key);

/* Add to a value of the form "n<decimal>"; an absent one begins at `initial` and takes the time
 * to live. 0 and the new value, 1: the value is no number, -1 as set. */
TG_MUST_USE int tg_shared_incr(struct tg_shared *shared, int table, struct tg_str key, double by,
    double initial, int64_t ttl_ms, double *result);

#endif
