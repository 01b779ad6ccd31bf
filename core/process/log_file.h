/* Lines on their way to a file, standard output or standard error. Only a thread that may wait calls
 * here: a pipe that is full is waited for.
 */
#ifndef TG_PROCESS_LOG_FILE_H
#define TG_PROCESS_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/str.h"

/* Zero but for `target` at first. */
struct tg_log_file {
	const char *target; /* "stdout", "stderr", "file:/path", valid as long as this */
	int fd;
	bool open;
	int error; /* errno of the last failure; 0: none */
};

/* Can it be opened? It is made if need be. 0 or a negative errno. */
TG_MUST_USE int tg_log_file_check(struct tg_str target);

/* Write whole lines; how many of them are lost: disk full, pipe closed, no such directory. */
uint64_t tg_log_file_write(struct tg_log_file *file, const char *lines, size_t len);

/* Open anew with the next line. */
void tg_log_file_close(struct tg_log_file *file);

#endif
