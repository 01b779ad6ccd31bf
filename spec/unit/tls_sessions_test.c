/* Sessions: when one is resumed, by whom, and when no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls_fixture.h"

static struct pair server; /* file: server.pem */
static const char *const one[] = { "server.pem" };

static int
begin(void **state)
{
	begin_files(state);
	server = make_pair(false, "server", "DNS:www.example.com,DNS:b.example.com", -1, 90);
	write_pair("server.pem", &server, true);
	return 0;
}

static int
end(void **state)
{
	free_pair(&server);
	return end_files(state);
}

/* --- with listeners ---------------------------------------------------------------------------- */

/* The last session that a client was given; TLS 1.3 gives them behind the handshake. */
static SSL_SESSION *given;

static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION_free(given);
	given = session;
	return 1;
}

static SSL *
client_of(int version, const char *name)
{
	SSL *client = any_client(name);
	SSL_CTX *ctx = SSL_get_SSL_CTX(client);

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	SSL_set_max_proto_version(client, version);
	return client;
}

/* A connection: is the session resumed (NULL: there is none to resume)? `given` is that of it. */
static bool
resumes(struct tg_tls_context *context, SSL_SESSION *session, int version, const char *name)
{
	SSL *client = client_of(version, name);
	struct link link;
	bool resumed;

	if (session != NULL) { /* a copy: OpenSSL uses one of TLS 1.3 only once */
		SSL_SESSION *copy = SSL_SESSION_dup(session);

		assert_int_equal(SSL_set_session(client, copy), 1);
		SSL_SESSION_free(copy);
	}
	link = join(tg_tls_context_accept(context), client);
	assert_true(link.good);
	resumed = SSL_session_reused(client) == 1;
	assert_int_equal(tg_tls_facts_of(link.server).resumed, resumed);
	if (resumed && version == TLS1_2_VERSION) { /* a new ticket is not announced then */
		SSL_SESSION_free(given);
		given = SSL_get1_session(client);
	}
	close_link(&link);
	return resumed;
}

/* A session of a full handshake, the caller's. */
static SSL_SESSION *
session_of(struct tg_tls_context *context, int version)
{
	SSL_SESSION *session;

	SSL_SESSION_free(given);
	given = NULL;
	assert_false(resumes(context, NULL, version, "www.example.com"));
	assert_non_null(given);
	session = given;
	given = NULL;
	return session;
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

static void
test_a_ticket_outlives_a_reload_and_the_rotation_of_its_key(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER);

	options.cache = 0;
	for (int v = 0; v < 2; v++) {
		struct tg_tls_context *before = listener(&options, 1, one), *after;
		struct tg_tls_ring *ring = tg_tls_rings_find(rings, 3600, 3600);
		SSL_SESSION *session = session_of(before, versions[v]);
		SSL_SESSION *renewed;

		assert_true(resumes(before, session, versions[v], "www.example.com"));
		after = listener(&options, 1, one);
		tg_tls_context_put(before);
		tg_tls_rings_sweep(rings);
		assert_true(resumes(after, session, versions[v], "www.example.com"));
		tg_tls_ring_age(ring, 3600); /* the key encrypts no more */
		assert_true(resumes(after, session, versions[v], "www.example.com"));
		renewed = given;
		given = NULL;
		assert_non_null(renewed);
		tg_tls_ring_age(ring, 3600); /* and is gone, but the one of the new ticket is not */
		assert_false(resumes(after, session, versions[v], "www.example.com"));
		assert_true(resumes(after, renewed, versions[v], "www.example.com"));
		tg_tls_ring_age(ring, 100 * 3600); /* nobody came for long */
		assert_false(resumes(after, renewed, versions[v], "www.example.com"));
		SSL_SESSION_free(session);
		SSL_SESSION_free(renewed);
		tg_tls_context_put(after);
		tg_tls_ring_put(ring);
		tg_tls_rings_sweep(rings);
	}
}

static void
test_a_ring_that_nobody_holds_is_forgotten(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_context *context;
	SSL_SESSION *session;

	options.cache = 0;
	context = listener(&options, 1, one);
	session = session_of(context, TLS1_3_VERSION);
	tg_tls_context_put(context);
	tg_tls_rings_sweep(rings);
	context = listener(&options, 1, one);
	assert_false(resumes(context, session, TLS1_3_VERSION, "www.example.com"));
	SSL_SESSION_free(session);
	tg_tls_context_put(context);
}

static void
test_machines_share_keys_from_files(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	unsigned char old[80], new[80];
	struct tg_str paths[2];
	struct tg_tls_context *a, *b, *c;
	SSL_SESSION *session, *renewed;

	RAND_bytes(old, sizeof(old));
	RAND_bytes(new, sizeof(new));
	write_bytes("old.key", old, sizeof(old));
	write_bytes("new.key", new, sizeof(new));
	options.cache = 0;
	options.ticket_files = paths;
	paths[0] = tg_str_of(at("old.key"));
	options.ticket_file_count = 1;
	a = listener(&options, 1, one);
	session = session_of(a, TLS1_2_VERSION);
	paths[0] = tg_str_of(at("new.key"));
	paths[1] = tg_str_of(at("old.key"));
	options.ticket_file_count = 2;
	b = listener(&options, 1, one);
	assert_true(resumes(b, session, TLS1_2_VERSION, "www.example.com"));
	renewed = given;
	given = NULL;
	assert_true(renewed != NULL && renewed != session);
	options.ticket_file_count = 1;
	c = listener(&options, 1, one);
	assert_false(resumes(c, session, TLS1_2_VERSION, "www.example.com"));
	assert_true(resumes(c, renewed, TLS1_2_VERSION, "www.example.com"));
	SSL_SESSION_free(session);
	SSL_SESSION_free(renewed);
	tg_tls_context_put(a);
	tg_tls_context_put(b);
	tg_tls_context_put(c);
}

static void
test_a_session_is_not_resumed_where_clients_are_looked_at_otherwise(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER), stricter = options;
	struct tg_tls_context *lax, *strict;

	stricter.verify = TG_TLS_VERIFY_REQUEST;
	stricter.ca = tg_str_of(at("ca.pem"));
	for (int v = 0; v < 2; v++) {
		SSL_SESSION *session;

		lax = listener(&options, 1, one);
		strict = listener(&stricter, 1, one);
		session = session_of(lax, versions[v]);
		assert_false(resumes(strict, session, versions[v], "www.example.com"));
		assert_true(resumes(lax, session, versions[v], "www.example.com"));
		SSL_SESSION_free(session);
		tg_tls_context_put(lax);
		tg_tls_context_put(strict);
	}
}

static void
test_a_ticket_is_not_taken_under_another_name(void **state)
{
	static const char *const names[] = { "b.example.com", NULL, "WWW.example.com",
		"www.example.com" };
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_context *context;

	options.cache = 0;
	context = listener(&options, 1, one);
	for (int i = 0; i < 4; i++) {
		SSL_SESSION *session = session_of(context, TLS1_2_VERSION);

		assert_int_equal(resumes(context, session, TLS1_2_VERSION, names[i]), i >= 2);
		SSL_SESSION_free(session);
	}
	tg_tls_context_put(context);
}

static void
test_the_cache_serves_who_takes_no_tickets(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER);

	options.tickets = 0;
	for (int cache = 0; cache <= 100; cache += 100)
		for (int v = 0; v < 2; v++) {
			struct tg_tls_context *context;
			SSL_SESSION *session = NULL;

			options.cache = cache;
			context = listener(&options, 1, one);
			assert_false(resumes(context, NULL, versions[v], "www.example.com"));
			session = given;
			given = NULL;
			if (session != NULL) {
				assert_int_equal(
				    resumes(context, session, versions[v], "www.example.com"),
				    cache > 0);
			} else {
				assert_int_equal(cache, 0);
			}
			SSL_SESSION_free(session);
			tg_tls_context_put(context);
		}
	SSL_SESSION_free(given);
	given = NULL;
}

/* --- with backends ------------------------------------------------------------------------------ */

static bool
reuses(
    struct tg_tls_context *to, struct tg_tls_context *from, const char *host, const char *address)
{
	struct link link =
	    join(tg_tls_context_accept(to), tg_tls_context_connect(from, host, address));
	bool reused = SSL_session_reused(link.client) == 1;

	assert_true(link.good);
	assert_int_equal(SSL_get_verify_result(link.client), X509_V_OK);
	close_link(&link);
	return reused;
}

static void
test_backends_resume_the_sessions_of_each_server(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER), from = options_of(TG_TLS_CLIENT);

	from.ca = tg_str_of(at("ca.pem"));
	for (int v = 0; v < 2; v++) {
		struct tg_tls_context *to, *backend = must_load(&from), *other = must_load(&from);

		if (versions[v] == TLS1_3_VERSION)
			options.min_version = 13;
		to = listener(&options, 1, one);
		assert_false(reuses(to, backend, "www.example.com", "a:1"));
		assert_true(reuses(to, backend, "www.example.com", "a:1"));
		assert_true(reuses(to, backend, "www.example.com", "a:1"));
		assert_false(reuses(to, backend, "www.example.com", "b:1"));
		assert_false(reuses(to, backend, "b.example.com", "a:1")); /* verified anew */
		assert_false(reuses(to, other, "www.example.com", "a:1"));
		tg_tls_context_put(to);
		tg_tls_context_put(backend);
		tg_tls_context_put(other);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_ticket_outlives_a_reload_and_the_rotation_of_its_key),
		cmocka_unit_test(test_a_ring_that_nobody_holds_is_forgotten),
		cmocka_unit_test(test_machines_share_keys_from_files),
		cmocka_unit_test(
		    test_a_session_is_not_resumed_where_clients_are_looked_at_otherwise),
		cmocka_unit_test(test_a_ticket_is_not_taken_under_another_name),
		cmocka_unit_test(test_the_cache_serves_who_takes_no_tickets),
		cmocka_unit_test(test_backends_resume_the_sessions_of_each_server),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
