/* Log lines on their way out: one thread writes, so that no worker ever blocks on a pipe, a full
 * disk or a slow terminal. Each sink has a bounded buffer; what does not fit is dropped, counted
 * and said. Any thread may log.
 */
#ifndef TG_PROCESS_LOGGER_H
#define TG_PROCESS_LOGGER_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/str.h"

/* Start the thread and take over the engine's messages (tg_log). 0 or negative. */
TG_MUST_USE int tg_logger_start(void);

/* Write what is left, stop the thread, and give tg_log back to plain standard error. */
void tg_logger_stop(void);

/* Wait until everything is written, but `ms` milliseconds at most. */
void tg_logger_flush(unsigned ms);

/* One line (a newline is added) for "stdout", "stderr" or "file:/path". 0, or -1: dropped. */
TG_MUST_USE int tg_logger_line(struct tg_str sink, const char *line, size_t len);

/* Can lines be written there? A file is made if need be. 0 or a negative errno. */
TG_MUST_USE int tg_logger_check(struct tg_str sink);

/* Open files anew (after they were rotated away). */
void tg_logger_reopen(void);

/* Lines dropped so far, all sinks. */
uint64_t tg_logger_dropped(void);

#endif
