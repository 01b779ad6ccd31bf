#include "process/logger.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "process/log_file.h"
#include "process/syslog.h"

enum {
	BUFFER_MAX = 4 * 1024 * 1024,
	FIRST_BUFFER = 16 * 1024,
	REST_MS = 10,
};

struct buffer {
	char *bytes;
	size_t len, cap;
};

/* A place where lines go, for as long as the process logs. One per target and options. */
struct sink {
	struct sink *next;
	char *target;
	struct tg_sink_options options;
	bool to_syslog;

	/* Under lock. */
	pthread_cond_t wake;
	struct buffer filling;
	uint64_t dropped; /* lines, not said yet */
	bool messages;    /* the current plan wants the engine's messages here */
	bool requests;    /* there are lines of requests in `filling`, and more will follow */
	bool reopen;
	bool idle;    /* its thread has nothing to do */
	bool failing; /* the last line could not be written */

	/* Its thread's only. */
	struct buffer writing;
	int error; /* of the last failure, for tg_syslog_strerror; 0: it works */
	struct tg_syslog syslog;
	struct tg_log_file file;
	time_t said; /* when lines were last said to be lost */
};

static struct {
	pthread_mutex_t lock;
	struct sink *sinks;     /* under lock; one that is there stays */
	uint64_t dropped;       /* under lock: lines, in all */
	unsigned threads;       /* under lock: that run */
	pthread_cond_t ended;   /* none of them runs any more */
	bool stopping, running; /* under lock */
} logger = { .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER };

/* Of the thread of a sink: what it says of its own losses does not go there. */
static _Thread_local struct sink *own;

static const struct tg_plan_sink to_stderr = { .target = { "stderr", 6 } };

static void *writer(void *arg);

/* --- sinks -------------------------------------------------------------------------------- */

/* Under lock. Detached: the guard may end the process while one still waits for a reader. */
static bool
start_thread(struct sink *sink)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, writer, sink) != 0)
		return false;
	pthread_detach(thread);
	logger.threads++;
	return true;
}

/* Under lock. NULL: out of memory or threads. */
static struct sink *
new_sink(const struct tg_plan_sink *to)
{
	struct sink *sink = calloc(1, sizeof(*sink));

	if (sink == NULL)
		return NULL;
	sink->target = strndup(to->target.ptr, to->target.len);
	sink->options = to->options;
	sink->to_syslog = tg_syslog_names(to->target);
	sink->syslog = (struct tg_syslog){ .target = sink->target, .options = to->options };
	sink->file.target = sink->target;
	pthread_cond_init(&sink->wake, NULL);
	if (sink->target == NULL || !start_thread(sink)) {
		pthread_cond_destroy(&sink->wake);
		free(sink->target);
		free(sink);
		return NULL;
	}
	sink->next = logger.sinks;
	logger.sinks = sink;
	return sink;
}

/* Under lock: the sink, made if need be; NULL: out of memory or threads. */
static struct sink *
find_sink(const struct tg_plan_sink *to)
{
	for (struct sink *sink = logger.sinks; sink != NULL; sink = sink->next)
		if (tg_str_eq(tg_str_of(sink->target), to->target) &&
		    memcmp(&sink->options, &to->options, sizeof(to->options)) == 0)
			return sink;
	return logger.running ? new_sink(to) : NULL;
}

int
tg_logger_check(struct tg_str target)
{
	return tg_syslog_names(target) ? tg_syslog_check(target) : tg_log_file_check(target);
}

/* --- lines -------------------------------------------------------------------------------- */

static bool
make_room(struct buffer *buffer, size_t len)
{
	size_t cap = buffer->cap > 0 ? buffer->cap : FIRST_BUFFER;
	char *grown;

	if (buffer->cap - buffer->len >= len)
		return true;
	while (cap < buffer->len + len)
		cap *= 2;
	if (cap > BUFFER_MAX)
		return false;
	grown = realloc(buffer->bytes, cap);
	if (grown == NULL)
		return false;
	buffer->bytes = grown;
	buffer->cap = cap;
	return true;
}

static void
put(struct buffer *buffer, const void *bytes, size_t len)
{
	memcpy(buffer->bytes + buffer->len, bytes, len);
	buffer->len += len;
}

/* Under lock. A line without its newline. */
static int
append(struct sink *sink, enum tg_log_level level, const char *line, size_t len)
{
	struct tg_syslog_record record = { (uint32_t)len, level };
	struct buffer *buffer = &sink->filling;

	/* A sink that had work will look again before it sleeps. */
	if (buffer->len == 0)
		pthread_cond_signal(&sink->wake);
	if (!make_room(buffer, len + sizeof(record))) {
		sink->dropped++;
		logger.dropped++;
		return -1;
	}
	tg_assert(buffer->bytes != NULL);
	if (sink->to_syslog)
		put(buffer, &record, sizeof(record));
	put(buffer, line, len);
	if (!sink->to_syslog)
		put(buffer, "\n", 1);
	return 0;
}

int
tg_logger_line(const struct tg_plan_sink *to, enum tg_log_level level, const char *line, size_t len)
{
	struct sink *sink;
	int result = -1;

	pthread_mutex_lock(&logger.lock);
	sink = find_sink(to);
	if (sink != NULL)
		result = append(sink, level, line, len);
	else
		logger.dropped++;
	if (result == 0)
		sink->requests = true;
	pthread_mutex_unlock(&logger.lock);
	return result;
}

/* Under lock: does a message go there? Of what is lost here only those are told that work: two
 * that fail would tell each other for ever. */
static bool
wants(const struct sink *sink, enum tg_log_level level)
{
	if (sink == own || (own != NULL && sink->failing))
		return false;
	return sink->messages && (int)level >= sink->options.level;
}

static void
engine_message(const struct tg_log_message *message)
{
	const char *text = message->line + message->text;
	size_t len = message->len - 1;
	struct sink *usual;

	pthread_mutex_lock(&logger.lock);
	usual = find_sink(&to_stderr);
	if (usual != NULL && usual != own)
		(void)append(usual, message->level, message->line, len);
	for (struct sink *sink = logger.sinks; sink != NULL; sink = sink->next) {
		if (!wants(sink, message->level))
			continue;
		if (sink->to_syslog)
			(void)append(sink, message->level, text, len - message->text);
		else
			(void)append(sink, message->level, message->line, len);
	}
	pthread_mutex_unlock(&logger.lock);
}

/* Under lock. */
static void
reopen_all(void)
{
	for (struct sink *sink = logger.sinks; sink != NULL; sink = sink->next) {
		sink->reopen = true;
		pthread_cond_signal(&sink->wake);
	}
}

void
tg_logger_reopen(void)
{
	pthread_mutex_lock(&logger.lock);
	reopen_all();
	pthread_mutex_unlock(&logger.lock);
}

/* Reopening closes what this plan has no use for. */
void
tg_logger_follow(const struct tg_plan *plan)
{
	pthread_mutex_lock(&logger.lock);
	for (struct sink *sink = logger.sinks; sink != NULL; sink = sink->next)
		sink->messages = false;
	reopen_all();
	for (unsigned i = 0; i < plan->sink_count; i++) {
		struct sink *sink =
		    plan->sinks[i].options.messages ? find_sink(&plan->sinks[i]) : NULL;

		if (sink != NULL)
			sink->messages = true;
	}
	pthread_mutex_unlock(&logger.lock);
}

/* --- the thread of a sink ----------------------------------------------------------------- */

/* How many lines could not be written. */
static uint64_t
write_all(struct sink *sink)
{
	struct buffer *buffer = &sink->writing;
	uint64_t lost = 0;

	if (buffer->len > 0 && sink->to_syslog) {
		lost = tg_syslog_send(&sink->syslog, buffer->bytes, buffer->len);
		sink->error = sink->syslog.error;
	} else if (buffer->len > 0) {
		lost = tg_log_file_write(&sink->file, buffer->bytes, buffer->len);
		sink->error = sink->file.error;
	}
	buffer->len = 0;
	return lost;
}

static void
close_target(struct sink *sink)
{
	tg_syslog_close(&sink->syslog);
	tg_log_file_close(&sink->file);
}

/* Once a second at most. */
static bool
say_lost(struct sink *sink, uint64_t lost)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec == sink->said)
		return false;
	sink->said = now.tv_sec;
	tg_log(TG_LOG_WARNING, "%llu log lines for %.400s were dropped: %s",
	    (unsigned long long)lost, sink->target,
	    sink->error != 0 ? tg_syslog_strerror(sink->error) : "they came too fast");
	return true;
}

/* Under lock; gives it up while it writes. Was there anything? */
static bool
write_sink(struct sink *sink)
{
	struct buffer full = sink->filling;
	uint64_t dropped = sink->dropped, lost;

	if (full.len == 0 && dropped == 0)
		return false;
	sink->filling = sink->writing;
	sink->writing = full;
	sink->dropped = 0;
	pthread_mutex_unlock(&logger.lock);
	lost = write_all(sink);
	dropped += lost;
	if (dropped > 0 && say_lost(sink, dropped))
		dropped = 0;
	pthread_mutex_lock(&logger.lock);
	sink->dropped += dropped; /* said with the next ones */
	if (full.len > 0)
		sink->failing = lost > 0;
	logger.dropped += lost;
	return full.len > 0;
}

/* Under lock; gives it up. After lines of requests: what comes meanwhile is written together, as to wake a thread for
 * each line, and to write each alone, costs more than all the rest of a line. */
static void
rest(struct sink *sink)
{
	struct timespec pause = { .tv_nsec = REST_MS * 1000000L };

	if (!sink->requests || logger.stopping)
		return;
	sink->requests = false;
	pthread_mutex_unlock(&logger.lock);
	nanosleep(&pause, NULL);
	pthread_mutex_lock(&logger.lock);
}

static void *
writer(void *arg)
{
	struct sink *sink = arg;

	own = sink;
	pthread_mutex_lock(&logger.lock);
	for (;;) {
		if (sink->reopen)
			close_target(sink);
		sink->reopen = false;
		if (write_sink(sink)) {
			rest(sink);
			continue;
		}
		if (logger.stopping)
			break;
		sink->idle = true;
		pthread_cond_wait(&sink->wake, &logger.lock);
		sink->idle = false;
	}
	if (--logger.threads == 0)
		pthread_cond_signal(&logger.ended);
	pthread_mutex_unlock(&logger.lock);
	return NULL;
}

/* --- life --------------------------------------------------------------------------------- */

int
tg_logger_start(void)
{
	bool good;

	pthread_mutex_lock(&logger.lock);
	logger.running = true;
	good = find_sink(&to_stderr) != NULL;
	logger.running = good;
	pthread_mutex_unlock(&logger.lock);
	if (good)
		tg_log_set_sink(engine_message);
	return good ? 0 : -EAGAIN;
}

static void
free_sink(struct sink *sink)
{
	sink->said = 0;
	if (sink->dropped > 0)
		say_lost(sink, sink->dropped);
	close_target(sink);
	pthread_cond_destroy(&sink->wake);
	free(sink->filling.bytes);
	free(sink->writing.bytes);
	free(sink->target);
	free(sink);
}

void
tg_logger_stop(void)
{
	struct sink *sinks, *next;

	tg_log_set_sink(NULL);
	pthread_mutex_lock(&logger.lock);
	sinks = logger.sinks;
	logger.sinks = NULL;
	logger.stopping = true;
	logger.running = false;
	for (struct sink *sink = sinks; sink != NULL; sink = sink->next)
		pthread_cond_signal(&sink->wake);
	while (logger.threads > 0)
		pthread_cond_wait(&logger.ended, &logger.lock);
	pthread_mutex_unlock(&logger.lock);
	for (struct sink *sink = sinks; sink != NULL; sink = next) {
		next = sink->next;
		free_sink(sink);
	}
	logger.stopping = false;
}

/* Under lock. */
static bool
all_written(void)
{
	for (struct sink *sink = logger.sinks; sink != NULL; sink = sink->next)
		if (sink->filling.len > 0 || !sink->idle)
			return false;
	return true;
}

void
tg_logger_flush(unsigned ms)
{
	struct timespec pause = { .tv_nsec = 5000000 };
	bool written = false;

	for (unsigned waited = 0; !written && waited <= ms; waited += 5) {
		pthread_mutex_lock(&logger.lock);
		written = all_written();
		pthread_mutex_unlock(&logger.lock);
		if (!written)
			nanosleep(&pause, NULL);
	}
}

uint64_t
tg_logger_dropped(void)
{
	uint64_t dropped;

	pthread_mutex_lock(&logger.lock);
	dropped = logger.dropped;
	pthread_mutex_unlock(&logger.lock);
	return dropped;
}
