/* The file that tells other programs our process id. It is locked for as long as we live: so
 * whether the process of a file is alive is not a guess from a number that may long be another
 * process's, and a file that was left behind hinders nobody.
 */
#ifndef TG_PROCESS_PIDFILE_H
#define TG_PROCESS_PIDFILE_H

#include <stddef.h>

#include "base/assert.h"

struct tg_pidfile {
	int fd;     /* -1: none */
	char *path; /* malloc'ed; NULL: it cannot be removed from here, only be emptied */
};

/* Make the file, or take over one whose process is gone. 0, or -1 with the reason and the remedy
 * in `problem`. */
TG_MUST_USE int tg_pidfile_open(
    struct tg_pidfile *pidfile, const char *path, char *problem, size_t size);

/* It is called `path` from now on (NULL: it is out of reach). */
void tg_pidfile_rename(struct tg_pidfile *pidfile, const char *path);

/* Remove it; where that is not allowed any more, empty it. Safe twice. */
void tg_pidfile_close(struct tg_pidfile *pidfile);

#endif
