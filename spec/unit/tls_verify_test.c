/* Who is believed: clients by listeners, servers by backends, and what is told of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls_fixture.h"

static struct pair server, ann, bob, stranger; /* files: server.pem ann.pem stranger.pem */

/* A list of what the CA has revoked (NULL: nothing), good for `days` from now. */
static void
write_crl(const char *name, const X509 *revoked, int days)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *now = X509_time_adj_ex(NULL, -2, 0, NULL),
	          *next = X509_time_adj_ex(NULL, days, 0, NULL);
	FILE *file = fopen(at(name), "w");

	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(root.cert));
	X509_CRL_set1_lastUpdate(crl, now);
	X509_CRL_set1_nextUpdate(crl, next);
	if (revoked != NULL) {
		X509_REVOKED *entry = X509_REVOKED_new();
		ASN1_INTEGER *serial = ASN1_INTEGER_dup(X509_get0_serialNumber(revoked));

		X509_REVOKED_set_serialNumber(entry, serial);
		X509_REVOKED_set_revocationDate(entry, now);
		X509_CRL_add0_revoked(crl, entry);
		ASN1_INTEGER_free(serial);
	}
	assert_true(X509_CRL_sign(crl, root.key, EVP_sha256()) > 0);
	assert_non_null(file);
	PEM_write_X509_CRL(file, crl);
	assert_int_equal(fclose(file), 0);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	X509_CRL_free(crl);
}

static int
begin(void **state)
{
	begin_files(state);
	server = make_pair(false, "server", "DNS:www.example.com,IP:192.0.2.1", -1, 90);
	ann = make_pair(false, "Ann, of \"A\"",
	    "DNS:ann.example,email:ann@example.com,IP:2001:db8::1,URI:a:b,DNS:a b", -1, 90);
	bob = make_pair(false, "bob", NULL, -1, 90);
	stranger = (struct pair){ NULL, make_key(false) };
	stranger.cert = make_cert(stranger.key, NULL, "stranger", "DNS:www.example.com", -1, 90);
	write_pair("server.pem", &server, true);
	write_pair("ann.pem", &ann, true);
	write_pair("stranger.pem", &stranger, true);
	write_crl("nobody.crl", NULL, 10);
	write_crl("bob.crl", bob.cert, 10);
	write_crl("old.crl", NULL, -1);
	return 0;
}

static int
end(void **state)
{
	free_pair(&server);
	free_pair(&ann);
	free_pair(&bob);
	free_pair(&stranger);
	return end_files(state);
}

/* --- clients ---------------------------------------------------------------------------------- */

static struct tg_tls_context *
asking(enum tg_tls_verify verify, const char *ca, const char *crl)
{
	static const char *const one[] = { "server.pem" };
	struct tg_tls_options options = options_of(TG_TLS_SERVER);

	options.verify = (int32_t)verify;
	options.ca = tg_str_of(ca != NULL ? at(ca) : NULL);
	options.crl = tg_str_of(crl != NULL ? at(crl) : NULL);
	return listener(&options, 1, one);
}

static SSL *
client_with(const struct pair *pair)
{
	SSL *client = any_client("www.example.com");

	if (pair != NULL)
		assert_int_equal(SSL_use_cert_and_key(client, pair->cert, pair->key, NULL, 1), 1);
	return client;
}

enum { ALERT_REQUIRED = SSL_AD_REASON_OFFSET + TLS13_AD_CERTIFICATE_REQUIRED };

static void
test_clients_are_asked_for_certificates(void **state)
{
	const struct {
		const char *ca, *crl;
		const struct pair *client;
		const char *result; /* NULL: it is refused */
		enum tg_tls_verify verify;
	} rows[] = {
		{ NULL, NULL, &ann, "none", TG_TLS_VERIFY_NONE },
		{ NULL, NULL, NULL, "none", TG_TLS_VERIFY_REQUEST },
		{ "ca.pem", NULL, &ann, "ok", TG_TLS_VERIFY_REQUEST },
		{ NULL, NULL, &ann, "unable to verify the first certificate",
		    TG_TLS_VERIFY_REQUEST },
		{ "ca.pem", NULL, &stranger, "self-signed certificate", TG_TLS_VERIFY_REQUEST },
		{ "ca.pem", "bob.crl", &bob, "certificate revoked", TG_TLS_VERIFY_REQUEST },
		{ "ca.pem", NULL, NULL, "none", TG_TLS_VERIFY_OPTIONAL },
		{ "ca.pem", NULL, &ann, "ok", TG_TLS_VERIFY_OPTIONAL },
		{ "ca.pem", NULL, &stranger, NULL, TG_TLS_VERIFY_OPTIONAL },
		{ "ca.pem", NULL, NULL, NULL, TG_TLS_VERIFY_REQUIRED },
		{ "ca.pem", NULL, &ann, "ok", TG_TLS_VERIFY_REQUIRED },
		{ "ca.pem", NULL, &stranger, NULL, TG_TLS_VERIFY_REQUIRED },
		{ "ca.pem", "nobody.crl", &bob, "ok", TG_TLS_VERIFY_REQUIRED },
		{ "ca.pem", "bob.crl", &bob, NULL, TG_TLS_VERIFY_REQUIRED },
		{ "ca.pem", "bob.crl", &ann, "ok", TG_TLS_VERIFY_REQUIRED },
		{ "ca.pem", "old.crl", &ann, NULL, TG_TLS_VERIFY_REQUIRED },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tg_tls_context *context = asking(rows[i].verify, rows[i].ca, rows[i].crl);
		struct link link =
		    join(tg_tls_context_accept(context), client_with(rows[i].client));
		struct tg_tls_peer peer;
		struct tg_blocks blocks;
		struct tg_arena arena;

		tg_blocks_init(&blocks, 4096, 4);
		tg_arena_init(&arena, &blocks);
		if (link.good != (rows[i].result != NULL))
			fail_msg("row %u: %d", i, link.good);
		if (rows[i].crl != NULL && strcmp(rows[i].crl, "old.crl") == 0)
			assert_non_null(strstr(warnings, "old.crl: it has expired"));
		if (link.good) {
			assert_true(tg_tls_peer_of(link.server, &arena, &peer));
			if (!tg_str_eq(peer.result, tg_str_of(rows[i].result)))
				fail_msg("row %u: %.*s", i, (int)peer.result.len, peer.result.ptr);
			assert_int_equal(peer.verified, strcmp(rows[i].result, "ok") == 0);
		} else if (rows[i].client == NULL) {
			assert_int_equal(link.client_reason, ALERT_REQUIRED);
		}
		tg_arena_reset(&arena);
		tg_blocks_fini(&blocks);
		close_link(&link);
		tg_tls_context_put(context);
	}
}

static void
test_what_is_told_of_a_client(void **state)
{
	static const char *const sans[] = { "DNS:ann.example", "email:ann@example.com",
		"IP:2001:db8::1", "URI:a:b" };
	struct tg_tls_context *context = asking(TG_TLS_VERIFY_REQUIRED, "ca.pem", NULL);
	struct link link = join(tg_tls_context_accept(context), client_with(&ann));
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct tg_tls_facts facts;
	struct tg_tls_peer peer;
	struct tg_blocks blocks;
	struct tg_arena arena;
	char hex[65];

	tg_blocks_init(&blocks, 4096, 4);
	tg_arena_init(&arena, &blocks);
	assert_true(link.good);
	assert_true(tg_tls_peer_of(link.server, &arena, &peer));
	assert_true(tg_str_eq(peer.subject, TG_STR("CN=Ann\\, of \\\"A\\\"")));
	assert_true(tg_str_eq(peer.issuer, TG_STR("CN=The CA")));
	assert_int_equal(peer.serial.len, 16);
	X509_digest(ann.cert, EVP_sha256(), digest, NULL);
	for (int i = 0; i < 32; i++)
		sprintf(hex + 2 * i, "%02x", digest[i]);
	assert_true(tg_str_eq(peer.fingerprint, tg_str_of(hex)));
	assert_int_equal(peer.san_count, 4); /* "a b" is none that we tell */
	for (int i = 0; i < 4; i++)
		assert_true(tg_str_eq(peer.sans[i], tg_str_of(sans[i])));
	facts = tg_tls_facts_of(link.server);
	assert_true(tg_str_eq(facts.version, TG_STR("TLSv1.3")));
	assert_true(tg_str_eq(facts.name, TG_STR("www.example.com")));
	assert_true(facts.cipher.len > 0 && !facts.resumed && facts.alpn.ptr == NULL);
	tg_arena_reset(&arena);
	tg_blocks_fini(&blocks);
	close_link(&link);
	tg_tls_context_put(context);
}

/* --- servers ---------------------------------------------------------------------------------- */

static void
test_servers_are_verified(void **state)
{
	static const struct {
		const char *certificate, *ca, *crl, *name, *host;
		int verify;
		long result; /* X509_V_OK: they come together */
	} rows[] = {
		{ "server.pem", "ca.pem", NULL, NULL, "www.example.com", 1, X509_V_OK },
		{ "server.pem", "ca.pem", NULL, NULL, "192.0.2.1", 1, X509_V_OK },
		{ "server.pem", "ca.pem", NULL, "www.example.com", "10.0.0.1", 1, X509_V_OK },
		{ "server.pem", "ca.pem", "nobody.crl", NULL, "www.example.com", 1, X509_V_OK },
		{ "server.pem", "ca.pem", NULL, NULL, "example.com", 1,
		    X509_V_ERR_HOSTNAME_MISMATCH },
		{ "server.pem", "ca.pem", NULL, NULL, "192.0.2.2", 1,
		    X509_V_ERR_IP_ADDRESS_MISMATCH },
		{ "server.pem", "ca.pem", NULL, "b.example", "www.example.com", 1,
		    X509_V_ERR_HOSTNAME_MISMATCH },
		{ "server.pem", "ca.pem", "old.crl", NULL, "www.example.com", 1,
		    X509_V_ERR_CRL_HAS_EXPIRED },
		{ "server.pem", "stranger.pem", NULL, NULL, "www.example.com", 1,
		    X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN },
		{ "stranger.pem", "ca.pem", NULL, NULL, "www.example.com", 1,
		    X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT },
		{ "stranger.pem", NULL, NULL, NULL, "b.example", 0, X509_V_OK },
		{ "stranger.pem", NULL, NULL, NULL, "192.0.2.2", 0, X509_V_OK },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tg_tls_options to = options_of(TG_TLS_SERVER),
		                      from = options_of(TG_TLS_CLIENT);
		struct tg_tls_context *listening, *backend;
		const char *const one[] = { rows[i].certificate };
		struct link link;

		listening = listener(&to, 1, one);
		from.verify = rows[i].verify ? TG_TLS_VERIFY_REQUIRED : TG_TLS_VERIFY_NONE;
		from.ca = tg_str_of(rows[i].ca != NULL ? at(rows[i].ca) : NULL);
		from.crl = tg_str_of(rows[i].crl != NULL ? at(rows[i].crl) : NULL);
		from.name = tg_str_of(rows[i].name);
		backend = must_load(&from);
		assert_int_equal(tg_tls_context_verifies(backend), rows[i].verify);
		link = join(tg_tls_context_accept(listening),
		    tg_tls_context_connect(backend, rows[i].host, "a:1"));
		if (rows[i].verify && SSL_get_verify_result(link.client) != rows[i].result)
			fail_msg("row %u: %ld", i, SSL_get_verify_result(link.client));
		assert_int_equal(link.good, rows[i].result == X509_V_OK);
		close_link(&link);
		tg_tls_context_put(listening);
		tg_tls_context_put(backend);
	}
}

static void
test_names_are_asked_for_but_addresses_are_not(void **state)
{
	static const char *const one[] = { "server.pem" };
	static const struct {
		const char *host, *asked;
	} rows[] = { { "www.example.com", "www.example.com" }, { "192.0.2.1", NULL } };
	struct tg_tls_options to = options_of(TG_TLS_SERVER), from = options_of(TG_TLS_CLIENT);
	struct tg_tls_context *listening = listener(&to, 1, one), *backend;

	from.ca = tg_str_of(at("ca.pem"));
	from.alpn = TG_STR("\10http/1.1");
	backend = must_load(&from);
	for (int i = 0; i < 2; i++) {
		struct link link = join(tg_tls_context_accept(listening),
		    tg_tls_context_connect(backend, rows[i].host, "a:1"));

		assert_true(link.good);
		assert_true(tg_str_eq(tg_tls_facts_of(link.server).name, tg_str_of(rows[i].asked)));
		close_link(&link);
	}
	tg_tls_context_put(listening);
	tg_tls_context_put(backend);
}

static void
test_a_backend_shows_its_own_certificate(void **state)
{
	struct tg_tls_context *listening = asking(TG_TLS_VERIFY_REQUIRED, "ca.pem", NULL), *backend;
	struct tg_tls_options from = options_of(TG_TLS_CLIENT);
	struct tg_tls_pair pair = pair_at("ann.pem", NULL);
	struct link link;

	from.ca = tg_str_of(at("ca.pem"));
	from.pairs = &pair;
	from.pair_count = 1;
	backend = must_load(&from);
	link = join(tg_tls_context_accept(listening),
	    tg_tls_context_connect(backend, "www.example.com", "a:1"));
	assert_true(link.good);
	assert_int_equal(X509_cmp(SSL_get0_peer_certificate(link.server), ann.cert), 0);
	close_link(&link);
	tg_tls_context_put(listening);
	tg_tls_context_put(backend);
}

static void
test_the_system_s_authorities_are_believed_when_none_are_given(void **state)
{
	struct tg_tls_options from = options_of(TG_TLS_CLIENT);
	struct tg_tls_context *backend;

	setenv(
	    "SSL_CERT_FILE", at("ca.pem"), 1); /* what the system believes, to OpenSSL's programs */
	backend = must_load(&from);
	tg_tls_context_put(backend);
	setenv("SSL_CERT_FILE", at("none.pem"), 1);
	assert_null(load(&from));
	assert_non_null(strstr(loader.error, "none.pem"));
	unsetenv("SSL_CERT_FILE");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients_are_asked_for_certificates),
		cmocka_unit_test(test_what_is_told_of_a_client),
		cmocka_unit_test(test_servers_are_verified),
		cmocka_unit_test(test_names_are_asked_for_but_addresses_are_not),
		cmocka_unit_test(test_a_backend_shows_its_own_certificate),
		cmocka_unit_test(test_the_system_s_authorities_are_believed_when_none_are_given),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
