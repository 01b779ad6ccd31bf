/* The engine asks its questions through a table of functions and does not know who answers: here
 * C does. A real loop, a real client, real servers; no Lua is linked into this program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/engine.h"
#include "proxy/plan.h"
#include "proxy/port.h"
#include "proxy/req.h"

enum { SERVERS = 2, TEXT = 4096 };

/* What the hooks are to do in this test, and what they saw. */
static struct script {
	int server; /* the pick; the other one after a redispatch */
	bool route_parks, never_wakes, route_answers, route_fails, pick_fails, response_edits,
	    retry_gives_up;

	struct tg_req *parked;
	int routes, picks, responses, retries, finishes, releases, cancels;
	enum tg_end failure, end;
	char path[64];
	int status;
} script;

/* One worker's world. */
static struct {
	struct tg_loop loop;
	struct tg_engines engines;
	struct tg_engine engine;
	struct tg_counters counters;
	struct tg_generation generation;
	struct tg_addr at; /* where the engine listens */
	uv_async_t over;   /* the client has ended */
	uv_timer_t later;  /* wakes a parked hook */
} world;

static atomic_bool is_parked; /* for the client that goes away then */

static int server_fd[SERVERS];
static bool server_deaf[SERVERS]; /* closed: refuses */

/* --- the hooks ---------------------------------------------------------------------------- */

static void
wake(uv_timer_t *timer)
{
	struct tg_req *req = script.parked;

	script.parked = NULL;
	req->view.backend = 0;
	tg_req_resume(req, TG_HOOK_DONE);
}

static enum tg_hook_result
route(struct tg_req *req)
{
	script.routes++;
	snprintf(
	    script.path, sizeof(script.path), "%.*s", (int)req->view.path.len, req->view.path.ptr);
	if (script.route_fails)
		return TG_HOOK_FAILED;
	if (script.route_answers) {
		assert_int_equal(tg_req_answer(req, 418, TG_STR("short and stout")), 0);
		return TG_HOOK_DONE;
	}
	if (script.route_parks) {
		script.parked = req;
		atomic_store(&is_parked, true);
		if (!script.never_wakes)
			uv_timer_start(&world.later, wake, 1, 0);
		return TG_HOOK_PARKED;
	}
	assert_int_equal(tg_head_set(&req->in, TG_STR("X-Routed"), TG_STR("by C")), 0);
	req->view.backend = 0;
	return TG_HOOK_DONE;
}

static enum tg_hook_result
pick(struct tg_req *req)
{
	script.picks++;
	if (script.pick_fails)
		return TG_HOOK_FAILED;
	req->view.server = req->view.redispatched ? !script.server : script.server;
	return TG_HOOK_DONE;
}

static enum tg_hook_result
response(struct tg_req *req)
{
	script.responses++;
	script.status = req->view.status;
	if (script.response_edits)
		assert_int_equal(tg_head_set(&req->out, TG_STR("X-Edited"), TG_STR("by C")), 0);
	return TG_HOOK_DONE;
}

static enum tg_hook_result
retry(struct tg_req *req, enum tg_end failure)
{
	script.retries++;
	script.failure = failure;
	req->verdict = script.retry_gives_up ? TG_VERDICT_GIVE_UP : TG_VERDICT_REDISPATCH;
	return TG_HOOK_DONE;
}

static void
finish(struct tg_req *req)
{
	script.finishes++;
	script.end = (enum tg_end)req->view.end;
	req->view.has_context = 1; /* so that release is asked for */
}

static void
release(struct tg_req *req)
{
	script.releases++;
}

static void
cancel(struct tg_req *req)
{
	script.cancels++;
	assert_ptr_equal(script.parked, req);
	script.parked = NULL;
	uv_timer_stop(&world.later);
}

static const struct tg_hooks hooks = {
	.route = route,
	.pick = pick,
	.response = response,
	.retry = retry,
	.finish = finish,
	.release = release,
	.cancel = cancel,
};

/* --- the world ---------------------------------------------------------------------------- */

static void
on_unused(struct tg_generation *generation)
{
	tg_plan_put(generation->plan);
	generation->plan = NULL;
}

static int
listening(struct tg_addr *at)
{
	struct tg_addr any = { .in = { .sin_family = AF_INET,
		                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
		.len = sizeof(struct sockaddr_in) };
	int fd = tg_listener_bind(&any, at);

	assert_true(fd >= 0);
	return fd;
}

static struct tg_plan *
make_plan(void)
{
	struct tg_plan *plan = tg_plan_new(2);
	struct tg_backend_options backend = { .connect_ms = 5000,
		.server_ms = 5000,
		.has_pick = 1,
		.has_response = 1,
		.has_retry = 1 };
	struct tg_server_options weight = { .weight = 1 };
	struct tg_listener_options listener = { .client_ms = 5000,
		.head_ms = 5000,
		.keep_alive_ms = 5000,
		.max_head = 16384,
		.max_uri = 8192,
		.max_fields = 128,
		.backend = -1,
		.has_route = 1,
		.has_finish = 1 };
	int index;

	index = tg_plan_add_backend(plan, tg_backend_state_new(1, TG_STR("web")), &backend);
	assert_int_equal(index, 0);
	for (int i = 0; i < SERVERS; i++) {
		char name[] = { (char)('a' + i), '\0' }, text[TG_ADDR_TEXT_MAX];
		struct tg_addr at;
		struct tg_server *server;

		server_fd[i] = listening(&at);
		assert_true(tg_addr_format(&at, text, sizeof(text)) > 0);
		server = tg_server_new(1, TG_STR("web"), tg_str_of(name), tg_str_of(text));
		assert_int_equal(tg_plan_add_server(plan, 0, server, &weight), i);
	}
	index =
	    tg_plan_add_listener(plan, tg_listener_state_new(TG_STR("here")), &world.at, &listener);
	assert_int_equal(index, 0);
	return plan;
}

static void
on_over(uv_async_t *async)
{
	tg_engine_drain(&world.engine);
}

static void
on_idle(struct tg_engine *engine)
{
	struct tg_generation *last = engine->current;

	engine->current = NULL;
	tg_generation_put(last);
	uv_close((uv_handle_t *)&world.over, NULL);
	uv_close((uv_handle_t *)&world.later, NULL);
}

static int
setup(void **state)
{
	int fd;

	memset(&script, 0, sizeof(script));
	memset(&world, 0, sizeof(world));
	memset(server_deaf, 0, sizeof(server_deaf));
	atomic_store(&is_parked, false);
	assert_int_equal(tg_loop_init(&world.loop), 0);
	uv_async_init(&world.loop.uv, &world.over, on_over);
	uv_timer_init(&world.loop.uv, &world.later);
	tg_engine_init(&world.engine, &world.engines, &world.loop, NULL, 0, &world.counters);
	world.engine.on_idle = on_idle;
	fd = listening(&world.at);
	world.generation = (struct tg_generation){
		.plan = make_plan(), .hooks = &hooks, .users = 1, .on_unused = on_unused
	};
	assert_int_equal(
	    tg_port_open(&world.engine, world.generation.plan->listeners[0].state, fd, false), 0);
	tg_engine_switch(&world.engine, &world.generation);
	return 0;
}

static int
teardown(void **state)
{
	tg_engine_fini(&world.engine);
	tg_loop_fini(&world.loop);
	assert_null(world.generation.plan); /* its last user has gone */
	for (int i = 0; i < SERVERS; i++)
		if (!server_deaf[i])
			close(server_fd[i]);
	return 0;
}

static uint64_t
ended(enum tg_end end)
{
	return atomic_load(&world.counters.ends[end]);
}

/* --- a client and servers, each a thread that blocks --------------------------------------- */

/* Read until `mark` has come or the peer has closed; NUL-terminated. */
static void
read_until(int fd, const char *mark, char *text)
{
	size_t len = 0;
	ssize_t n = 1;

	text[0] = '\0';
	while (n > 0 && len < TEXT - 1 && (mark == NULL || strstr(text, mark) == NULL)) {
		n = recv(fd, text + len, TEXT - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
		text[len] = '\0';
	}
}

struct served {
	int fd;
	const char *answer; /* NULL: close without one */
	char request[TEXT];
};

/* Serves one request. */
static void *
serve(void *arg)
{
	struct served *served = arg;
	int fd = accept(served->fd, NULL, NULL);

	while (fd < 0) /* the descriptor does not block */
		fd = accept(served->fd, NULL, NULL);
	read_until(fd, "\r\n\r\n", served->request);
	if (served->answer != NULL)
		send(fd, served->answer, strlen(served->answer), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

struct asked {
	const char *request;
	bool leave; /* go away without reading */
	char answer[TEXT];
};

static void *
ask(void *arg)
{
	struct asked *asked = arg;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, &world.at.sa, world.at.len) == 0 &&
	    send(fd, asked->request, strlen(asked->request), MSG_NOSIGNAL) > 0 && !asked->leave)
		read_until(fd, NULL, asked->answer);
	if (asked->leave) { /* a reset: nobody reads any more */
		struct linger none = { .l_onoff = 1, .l_linger = 0 };

		while (!atomic_load(&is_parked))
			;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	}
	close(fd);
	uv_async_send(&world.over);
	return NULL;
}

#define REQUEST "GET /cart?id=1 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* Run the loop until this client has its answer. */
static void
run(struct asked *asked)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, ask, asked), 0);
	tg_loop_run(&world.loop);
	pthread_join(thread, NULL);
}

static struct served served;
static pthread_t serving;

static void
start_server(int index, const char *answer)
{
	served = (struct served){ .fd = server_fd[index], .answer = answer };
	assert_int_equal(pthread_create(&serving, NULL, serve, &served), 0);
}

static void
close_server(int index)
{
	server_deaf[index] = true;
	close(server_fd[index]);
}

/* --- tests -------------------------------------------------------------------------------- */

static void
each_question_is_asked_once_in_the_life_of_a_request(void **state)
{
	struct asked asked = { .request = REQUEST };

	script.server = 1;
	script.response_edits = true;
	start_server(1, ANSWER);
	run(&asked);
	pthread_join(serving, NULL);

	assert_non_null(strstr(served.request, "GET /cart?id=1 HTTP/1.1\r\n"));
	assert_non_null(strstr(served.request, "X-Routed: by C\r\n"));
	assert_ptr_equal(strstr(asked.answer, "HTTP/1.1 200 OK\r\n"), asked.answer);
	assert_non_null(strstr(asked.answer, "X-Edited: by C\r\n"));
	assert_string_equal(strstr(asked.answer, "\r\n\r\n"), "\r\n\r\nhello");
	assert_string_equal(script.path, "/cart");
	assert_int_equal(script.status, 200);
	assert_int_equal(script.routes, 1);
	assert_int_equal(script.picks, 1);
	assert_int_equal(script.responses, 1);
	assert_int_equal(script.retries, 0);
	assert_int_equal(script.finishes, 1);
	assert_int_equal(script.releases, 1);
	assert_int_equal(script.cancels, 0);
	assert_int_equal(script.end, TG_END_OK);
	assert_int_equal(ended(TG_END_OK), 1);
}

static void
a_parked_question_is_taken_up_again(void **state)
{
	struct asked asked = { .request = REQUEST };

	script.route_parks = true;
	start_server(0, ANSWER);
	run(&asked);
	pthread_join(serving, NULL);

	assert_non_null(strstr(asked.answer, "hello"));
	assert_int_equal(script.routes, 1); /* not asked twice */
	assert_int_equal(script.end, TG_END_OK);
}

static void
a_client_that_goes_away_cancels_what_is_parked(void **state)
{
	struct asked asked = { .request = REQUEST, .leave = true };

	script.route_parks = script.never_wakes = true;
	run(&asked);

	assert_int_equal(script.routes, 1);
	assert_int_equal(script.cancels, 1);
	assert_int_equal(script.picks, 0);
	assert_int_equal(script.finishes, 1);
	assert_int_equal(script.end, TG_END_CLIENT_GONE_WAIT);
}

static void
a_route_may_answer_by_itself(void **state)
{
	struct asked asked = { .request = REQUEST };

	script.route_answers = true;
	run(&asked);

	assert_ptr_equal(strstr(asked.answer, "HTTP/1.1 418 "), asked.answer);
	assert_non_null(strstr(asked.answer, "\r\n\r\nshort and stout"));
	assert_int_equal(script.picks + script.responses, 0);
	assert_int_equal(script.end, TG_END_ANSWERED);
}

static void
a_route_that_fails_costs_its_request(void **state)
{
	struct asked asked = { .request = REQUEST };

	script.route_fails = true;
	run(&asked);

	assert_ptr_equal(strstr(asked.answer, "HTTP/1.1 500 "), asked.answer);
	assert_int_equal(script.picks, 0);
	assert_int_equal(script.finishes, 1);
	assert_int_equal(script.end, TG_END_SCRIPT_ERROR);
}

static void
a_pick_that_fails_leaves_the_choice_to_the_engine(void **state)
{
	struct asked asked = { .request = REQUEST };

	script.pick_fails = true;
	start_server(0, ANSWER);
	run(&asked);
	pthread_join(serving, NULL);

	assert_non_null(strstr(asked.answer, "hello"));
	assert_int_equal(atomic_load(&world.counters.pick_fallback), 1);
}

static void
a_server_that_refuses_is_a_question_for_retry(void **state)
{
	struct asked asked = { .request = REQUEST };

	script.server = 1;
	close_server(1);
	start_server(0, ANSWER);
	run(&asked);
	pthread_join(serving, NULL);

	assert_non_null(strstr(asked.answer, "hello"));
	assert_int_equal(script.retries, 1);
	assert_int_equal(script.failure, TG_END_CONNECT_REFUSED);
	assert_int_equal(script.picks, 2);
	assert_int_equal(script.end, TG_END_OK);
}

static void
a_server_that_closes_without_an_answer_too(void **state)
{
	struct asked asked = { .request = REQUEST };

	script.retry_gives_up = true;
	start_server(0, NULL);
	run(&asked);
	pthread_join(serving, NULL);

	assert_ptr_equal(strstr(asked.answer, "HTTP/1.1 502 "), asked.answer);
	assert_int_equal(script.failure, TG_END_SERVER_CLOSED);
	assert_int_equal(script.responses, 0);
	assert_int_equal(script.end, TG_END_SERVER_CLOSED);
}

/* The linker takes from the engine only what is named: had core/proxy named anything of
 * core/policy, its own table would be here. */
extern const struct tg_hooks tg_policy_hooks __attribute__((weak));

static void
no_policy_is_linked(void **state)
{
	assert_null(&tg_policy_hooks);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_question_is_asked_once_in_the_life_of_a_request),
		TEST(a_parked_question_is_taken_up_again),
		TEST(a_client_that_goes_away_cancels_what_is_parked),
		TEST(a_route_may_answer_by_itself),
		TEST(a_route_that_fails_costs_its_request),
		TEST(a_pick_that_fails_leaves_the_choice_to_the_engine),
		TEST(a_server_that_refuses_is_a_question_for_retry),
		TEST(a_server_that_closes_without_an_answer_too),
		cmocka_unit_test(no_policy_is_linked),
	};

	signal(SIGPIPE, SIG_IGN); /* as the program does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
