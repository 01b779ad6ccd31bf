/* Log lines on their way out: each sink has a thread that writes, so that no worker ever blocks on
 * a pipe, a full disk or a slow terminal, and no sink waits for another. Each sink has a bounded
 * buffer; what does not fit is dropped, counted and said. Any thread may log.
 */
#ifndef TG_PROCESS_LOGGER_H
#define TG_PROCESS_LOGGER_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/str.h"
#include "proxy/plan.h"

/* Take over the engine's messages (tg_log). 0 or negative. */
TG_MUST_USE int tg_logger_start(void);

/* Write what is left, stop the threads, and give tg_log back to plain standard error. */
void tg_logger_stop(void);

/* Wait until everything is written, but `ms` milliseconds at most. */
void tg_logger_flush(unsigned ms);

/* One line; a newline is added. 0, or -1: dropped. */
TG_MUST_USE int tg_logger_line(
    const struct tg_plan_sink *to, enum tg_log_level level, const char *line, size_t len);

/* Can lines be written to that target? A file is made if need be. 0 or a negative errno. */
TG_MUST_USE int tg_logger_check(struct tg_str target);

/* This plan is the current one: from now on the engine's messages go to those of its sinks that
 * want them, beside standard error. Opens all sinks anew. */
void tg_logger_follow(const struct tg_plan *plan);

/* Open files anew (after they were rotated away), and connect to syslogs anew. */
void tg_logger_reopen(void);

/* Lines dropped so far, all sinks. */
uint64_t tg_logger_dropped(void);

#endif
