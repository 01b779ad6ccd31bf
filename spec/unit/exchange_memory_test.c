/* Every allocation that an exchange needs fails once: the request ends, nobody takes an answer that is
 * not whole for a whole one, and the worker goes on. That nothing leaks is seen by the address sanitizer.
 *
 * The linker turns the engine's calls of malloc and its like into __wrap_malloc (CMakeLists.txt). Those
 * of libuv do not fail: it aborts when the table of its watchers cannot grow.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../fuzz/exchange.h"
#include "../fuzz/strict.h"

enum { FAILURES_MOST = 200, TURNS_MOST = 3000, BODY = 600000, PATIENCE = 20, LATE = 5 };

/* --- memory ------------------------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_tg_blocks_get(struct tg_blocks *blocks);
void *__wrap_tg_blocks_get(struct tg_blocks *blocks);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static unsigned allocations, fails_at; /* 0: none does */

static bool
fails(void)
{
	return fails_at != 0 && ++allocations == fails_at;
}

void *
__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

void *
__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

/* Most memory of an exchange comes from pools, which hide malloc. */
void *
__wrap_tg_blocks_get(struct tg_blocks *blocks)
{
	return fails() ? NULL : __real_tg_blocks_get(blocks);
}

/* --- the two ends ------------------------------------------------------------------------- */

struct script {
	const char *request;
	const char
	    *answers[4]; /* of the server, to one request each; the last for all others; "": it
	                           closes without one */
	bool large;      /* BODY bytes follow each answer, and the client is slow */
	int status;      /* what the client gets when memory does not fail */
};

static const char filler[BODY];
static char got[2 * BODY], asked[BODY];
static size_t got_len, asked_len;
static int client, server = -1;
static size_t to_answer; /* bytes of a large body that are still to go */

/* As much of a large body as the socket takes. */
static size_t
push(int fd, size_t left)
{
	ssize_t n = left > 0 ? send(fd, filler, left, MSG_NOSIGNAL) : 0;

	return n > 0 ? left - (size_t)n : left;
}

static void
serve(const struct script *script, unsigned *answered)
{
	const char *answer;
	ssize_t n;

	if (server < 0) {
		server = accept4(exchange.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		asked_len = 0;
	}
	if (server < 0)
		return;
	n = recv(server, asked + asked_len, sizeof(asked) - asked_len, 0);
	if (n > 0)
		asked_len += (size_t)n;
	to_answer = push(server, to_answer);
	if (asked_len > 4 && memmem(asked, asked_len, "\r\n\r\n", 4) != NULL) {
		asked_len = 0;
		answer = script->answers[*answered];
		if (*answered < 3 && script->answers[*answered + 1] != NULL)
			(*answered)++;
		n = answer[0] != '\0' ? send(server, answer, strlen(answer), MSG_NOSIGNAL) : 0;
		to_answer = n > 0 && script->large ? BODY : 0;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		close(server);
		server = -1;
	}
}

static void
listen_to_engine(void)
{
	ssize_t n;

	while ((n = recv(client, got + got_len, sizeof(got) - got_len, 0)) > 0)
		got_len += (size_t)n;
}

/* One exchange, to the end of what happens. */
static void
run(const struct script *script)
{
	unsigned answered = 0;
	got_len = to_answer = 0;
	client = exchange_connect();
	(void)!send(
	    client, script->request, strlen(script->request), MSG_NOSIGNAL); /* it may be closed */
	for (int idle = 0, turns = 0; idle < PATIENCE; idle++) {
		size_t before = got_len + asked_len + to_answer;

		exchange_turn();
		serve(script, &answered);
		if (!script->large || idle > LATE)
			listen_to_engine();
		if (before != got_len + asked_len + to_answer)
			idle = -1;
		assert_true(++turns < TURNS_MOST);
	}
	close(client);
}

static void
forget(void)
{
	exchange_clear();
	if (server >= 0)
		close(server);
	server = -1;
}

/* --- the tests ---------------------------------------------------------------------------- */

/* The status of the one whole answer; 0: there is none, or it is cut. */
static int
status_of_answer(void)
{
	struct strict message = { .used = 0 };
	size_t at = 0;

	do {
		at += message.used;
		if (strict_read(&message, got + at, got_len - at, true, false) != STRICT_WHOLE)
			return 0;
	} while (message.status < 200);
	assert_int_equal(at + message.used, got_len);
	return message.status;
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static const struct script scripts[] = {
	{ "GET / HTTP/1.1\r\nHost: A\r\nCookie: x\r\n\r\n", { OK }, false, 200 },
	{ "GET / HTTP/1.0\r\n\r\n",
	    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" }, false, 200 },
	{ POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", { OK }, false, 200 },
	{ "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", { "", OK }, false, 200 },
	{ POST "Content-Length: 5\r\n\r\nhello", { "" }, false, 502 },
	{ "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", { OK }, false, 400 },
	{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", { "nonsense\r\n\r\n" }, false, 502 },
	{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", { "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" OK },
	    false, 200 },
	{ POST "Content-Length: 40000\r\n\r\n", { OK }, false, 413 },
	{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	    { "HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n" }, true, 200 },
	{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", { "HTTP/1.1 304 Not Modified\r\nETag: 1\r\n\r\n" },
	    false, 304 },
};

/* With the nth allocation failing. False: there are not so many. */
static bool
run_with_failure(const struct script *script, unsigned n)
{
	int status;

	allocations = 0;
	fails_at = n;
	run(script);
	fails_at = 0;
	status = status_of_answer();
	if (status != script->status && status != 0 && status < 500)
		fail_msg("%s: with failure %u the client gets %d", script->request, n, status);
	if (allocations < n)
		assert_int_equal(status, script->status);
	return allocations >= n;
}

static void
every_failure_ends_the_request_and_nothing_else(void **state)
{
	bool failed = true;

	(void)state;
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		unsigned n = 0;

		do {
			exchange_open();
			failed = run_with_failure(&scripts[i], ++n);
			forget();
			run(&scripts[0]);
			assert_int_equal(status_of_answer(), 200);
			forget();
			exchange_close();
		} while (failed && n < FAILURES_MOST);
		assert_true(n > 1 && n < FAILURES_MOST);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failure_ends_the_request_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
