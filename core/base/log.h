/* The engine's own messages (not the access log): one line each, with a UTC time and a level.
 *
 * Any thread may call. Lines go to a sink that process/ installs (it never blocks a worker);
 * before that, and in unit tests, straight to standard error.
 */
#ifndef TG_BASE_LOG_H
#define TG_BASE_LOG_H

#include <stddef.h>

/* Same numbers as enum tg_level of policy/ffi.h. */
enum tg_log_level { TG_LOG_DEBUG, TG_LOG_INFO, TG_LOG_NOTICE, TG_LOG_WARNING, TG_LOG_ERROR };

/* Log one message; line breaks inside it are kept (tracebacks), other control bytes are not. */
void tg_log(enum tg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One message: the whole line, which ends in a newline, and where in it the text begins. */
struct tg_log_message {
	enum tg_log_level level;
	const char *line;
	size_t len;
	size_t text;
};

/* Where messages go from now on; NULL: standard error. Called with no lock held, from any
 * thread. */
void tg_log_set_sink(void (*sink)(const struct tg_log_message *message));

#endif
