/* Many threads shake hands by the same contexts while the keys of tickets rotate and configurations come
 * and go. Built with the thread sanitizer too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tls_fixture.h"

enum { THREADS = 4, ROUNDS = 150, STEPS = 40 };

static struct pair server; /* file: server.pem */
static const char *const one[] = { "server.pem" };

/* What a generation has; each thread holds it while it shakes hands. */
static struct {
	pthread_mutex_t lock; /* of both pointers */
	struct tg_tls_context *to, *from;
} current = { .lock = PTHREAD_MUTEX_INITIALIZER };

static atomic_uint failed, resumed, full;

static unsigned
done(void)
{
	return atomic_load(&failed) + atomic_load(&resumed) + atomic_load(&full);
}

static int
begin(void **state)
{
	begin_files(state);
	server = make_pair(false, "server", "DNS:www.example.com", -1, 90);
	write_pair("server.pem", &server, true);
	return 0;
}

static int
end(void **state)
{
	free_pair(&server);
	return end_files(state);
}

/* No assertion here: cmocka's are for the main thread. */
static void *
shake_hands(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct tg_tls_context *to, *from;
		struct link link;

		pthread_mutex_lock(&current.lock);
		to = tg_tls_context_get(current.to);
		from = tg_tls_context_get(current.from);
		pthread_mutex_unlock(&current.lock);
		link = join(tg_tls_context_accept(to),
		    tg_tls_context_connect(from, "www.example.com", i % 2 == 0 ? "a:1" : "b:1"));
		tg_tls_context_put(to); /* the connection holds it */
		tg_tls_context_put(from);
		if (!link.good)
			atomic_fetch_add(&failed, 1);
		else
			atomic_fetch_add(
			    SSL_session_reused(link.client) == 1 ? &resumed : &full, 1);
		close_link(&link);
	}
	return NULL;
}

static void
reload(const struct tg_tls_options *options, const struct tg_tls_options *from)
{
	struct tg_tls_options copy = *options;
	struct tg_tls_context *old_to, *old_from, *new_to = listener(&copy, 1, one),
	                                          *new_from = must_load(from);

	pthread_mutex_lock(&current.lock);
	old_to = current.to;
	old_from = current.from;
	current.to = new_to;
	current.from = new_from;
	pthread_mutex_unlock(&current.lock);
	if (old_to != NULL)
		tg_tls_context_put(old_to);
	if (old_from != NULL)
		tg_tls_context_put(old_from);
	tg_tls_rings_sweep(rings);
}

static void
test_handshakes_rotation_and_reloads_at_once(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER), from = options_of(TG_TLS_CLIENT);
	pthread_t threads[THREADS];
	struct tg_tls_ring *ring;

	from.ca = tg_str_of(at("ca.pem"));
	reload(&options, &from);
	ring = tg_tls_rings_find(rings, 3600, 3600);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, shake_hands, NULL), 0);
	for (unsigned i = 0; i < STEPS; i++) {
		while (done() < i * (THREADS * ROUNDS / STEPS))
			sched_yield();
		tg_tls_ring_age(ring, 1800);
		if (i % 8 == 0)
			reload(&options, &from);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	tg_tls_ring_put(ring);
	tg_tls_context_put(current.to);
	tg_tls_context_put(current.from);
	assert_int_equal(atomic_load(&failed), 0);
	assert_int_equal(done(), THREADS * ROUNDS);
	assert_true(atomic_load(&resumed) > 0);
	assert_true(atomic_load(&full) > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshakes_rotation_and_reloads_at_once),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
