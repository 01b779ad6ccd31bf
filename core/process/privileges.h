/* Becoming who the process is to run as, once and for good.
 *
 * The order is the safety: all that needs root is done first, then this, and only then are threads
 * started. Linux keeps credentials and capabilities per thread; glibc carries set*id() over to all
 * threads, but capset(2) and prctl(2) it does not. With one thread there is nothing to carry over,
 * every later thread inherits, and no thread can be forgotten.
 *
 * What is kept of root is CAP_NET_BIND_SERVICE alone, so that a reload can bind low ports; programs
 * that scripts start do not get it. Afterwards everything is read back: a process that is not
 * exactly what was asked for must not go on. Who is started as that user gives up the same, but the
 * groups are the business of whoever started it.
 */
#ifndef TG_PROCESS_PRIVILEGES_H
#define TG_PROCESS_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/assert.h"
#include "base/str.h"

struct tg_identity {
	bool wanted; /* a user or a group was named; else everything but `root` is meaningless */
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary ones, malloc'ed */
	int group_count;
	const char *root; /* directory to be confined to, or NULL */
};

/* Look the names up (len 0: not given; digits are a number). NULL, or what is wrong and the remedy,
 * in static memory. Control thread only. */
const char *tg_identity_find(struct tg_identity *identity, struct tg_str user, struct tg_str group);
void tg_identity_fini(struct tg_identity *identity);

/* The same without the result. */
const char *tg_identity_error(struct tg_str user, struct tg_str group);

/* Become it. 0, or a negative errno and in *step what failed: then the process may be anything
 * between what it was and what it should be, and must end. */
TG_MUST_USE int tg_privileges_drop(const struct tg_identity *identity, const char **step);

#endif
