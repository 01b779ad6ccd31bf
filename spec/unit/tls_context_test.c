/* Contexts of listeners and backends: who is shown which certificate, who is believed, what is agreed on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls_fixture.h"

static struct pair exact_rsa, exact_ec, wild, other; /* files: rsa.pem ec.pem wild.pem other.pem */

static int
begin(void **state)
{
	begin_files(state);
	exact_rsa = make_pair(true, "rsa", "DNS:www.example.com,DNS:only-rsa.example.com", -1, 90);
	exact_ec = make_pair(false, "ec", "DNS:www.example.com", -1, 90);
	wild = make_pair(false, "wild", "DNS:*.example.com,DNS:EXAMPLE.net", -1, 90);
	other = make_pair(false, "other.example.org", NULL, -1, 90);
	write_pair("rsa.pem", &exact_rsa, true);
	write_pair("ec.pem", &exact_ec, true);
	write_pair("wild.pem", &wild, true);
	write_pair("other.pem", &other, true);
	return 0;
}

static int
end(void **state)
{
	free_pair(&exact_rsa);
	free_pair(&exact_ec);
	free_pair(&wild);
	free_pair(&other);
	return end_files(state);
}

static const char *const all[] = { "other.pem", "rsa.pem", "ec.pem", "wild.pem" };

/* --- which certificate ---------------------------------------------------------------------- */

/* Whose certificate a client is shown; `ciphers`: all that it can do of TLS 1.2 (NULL: TLS 1.3 too). */
static const X509 *
shown(struct tg_tls_context *context, const char *name, const char *ciphers)
{
	SSL *client = any_client(name);
	struct link link;
	const X509 *leaf = NULL;

	if (ciphers != NULL) {
		SSL_set_cipher_list(client, ciphers);
		SSL_set_max_proto_version(client, TLS1_2_VERSION);
	}
	link = join(tg_tls_context_accept(context), client);
	if (link.good) {
		X509 *peer = SSL_get0_peer_certificate(client);
		const X509 *const ours[] = { exact_rsa.cert, exact_ec.cert, wild.cert, other.cert };

		for (int i = 0; i < 4; i++)
			if (X509_cmp(peer, ours[i]) == 0)
				leaf = ours[i];
		assert_non_null(leaf);
		assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(client)), 2);
	}
	close_link(&link);
	return leaf;
}

static void
test_a_certificate_is_chosen_by_name_and_by_what_the_client_can_do(void **state)
{
	static const char rsa[] = "ECDHE-RSA-AES128-GCM-SHA256",
	                  ec[] = "ECDHE-ECDSA-AES128-GCM-SHA256";
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_context *context = listener(&options, 4, all);

	assert_ptr_equal(shown(context, NULL, NULL), other.cert);
	assert_ptr_equal(shown(context, "unknown.org", NULL), other.cert);
	assert_ptr_equal(shown(context, "other.example.org", NULL), other.cert);
	assert_ptr_equal(shown(context, "www.example.com", rsa), exact_rsa.cert);
	assert_ptr_equal(shown(context, "www.example.com", ec), exact_ec.cert);
	assert_ptr_equal(shown(context, "WWW.Example.COM", ec), exact_ec.cert);
	assert_ptr_equal(shown(context, "shop.example.com", NULL), wild.cert);
	assert_ptr_equal(shown(context, "example.net", NULL), wild.cert);
	assert_ptr_equal(
	    shown(context, "a.shop.example.com", NULL), other.cert); /* one label only */
	assert_ptr_equal(shown(context, "example.com", NULL), other.cert);
	assert_ptr_equal(shown(context, ".example.com", NULL), other.cert);
	/* What the exact one cannot do, a wildcard of another key may. */
	assert_ptr_equal(shown(context, "only-rsa.example.com", rsa), exact_rsa.cert);
	assert_ptr_equal(shown(context, "only-rsa.example.com", ec), wild.cert);
	assert_null(shown(context, "shop.example.com", rsa));
	tg_tls_context_put(context);
}

static void
test_the_default_may_have_two_kinds_of_keys(void **state)
{
	static const char *const two[] = { "rsa.pem", "wild.pem", "ec.pem" };
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_context *context = listener(&options, 3, two);

	assert_ptr_equal(shown(context, NULL, "ECDHE-RSA-AES128-GCM-SHA256"), exact_rsa.cert);
	assert_ptr_equal(shown(context, NULL, "ECDHE-ECDSA-AES128-GCM-SHA256"), exact_ec.cert);
	tg_tls_context_put(context);
}

static void
test_strict_names_are_refused_by_an_alert(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_context *context;
	struct link link;

	options.strict = 1;
	context = listener(&options, 4, all);
	link = join(tg_tls_context_accept(context), any_client("unknown.org"));
	assert_false(link.good);
	assert_int_equal(link.client_reason, SSL_AD_REASON_OFFSET + SSL_AD_UNRECOGNIZED_NAME);
	close_link(&link);
	assert_ptr_equal(shown(context, "shop.example.com", NULL), wild.cert);
	tg_tls_context_put(context);
}

/* --- the hook --------------------------------------------------------------------------------- */

static struct {
	enum tg_tls_answer answer;
	struct tg_tls_certificate *certificate; /* to be used; NULL: none */
	char name[64];
	int calls;
} hook;

static enum tg_tls_answer
on_certificate(SSL *ssl, const char *name)
{
	hook.calls++;
	snprintf(hook.name, sizeof(hook.name), "%s", name != NULL ? name : "-");
	if (hook.answer == TG_TLS_GO_ON && hook.certificate != NULL)
		assert_true(tg_tls_certificate_use(ssl, hook.certificate));
	return hook.answer;
}

static char *
slurp(const char *name)
{
	static char text[16384];
	FILE *file = fopen(at(name), "r");
	size_t len = fread(text, 1, sizeof(text) - 1, file);

	text[len] = '\0';
	fclose(file);
	return text;
}

static void
test_the_hook_is_asked_for_unknown_names_and_may_wait(void **state)
{
	static const char *const one[] = { "rsa.pem" };
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_context *context;
	struct link link;
	char error[200];

	memset(&hook, 0, sizeof(hook));
	hook.certificate = tg_tls_certificate_parse(tg_str_of(slurp("other.pem")),
	    (struct tg_str){ NULL, 0 }, "fetched", "", error, sizeof(error));
	assert_non_null(hook.certificate);
	hook.answer = TG_TLS_SUSPENDED;
	options.has_certificate = 1;
	loader.on_certificate = on_certificate;
	context = listener(&options, 1, one);
	loader.on_certificate = NULL;

	assert_ptr_equal(shown(context, "www.example.com", NULL), exact_rsa.cert);
	assert_ptr_equal(shown(context, NULL, NULL), exact_rsa.cert);
	assert_int_equal(hook.calls, 0);

	link = join(tg_tls_context_accept(context), any_client("other.example.org"));
	assert_false(link.good);
	assert_int_equal(link.server_code, SSL_ERROR_WANT_X509_LOOKUP);
	assert_string_equal(hook.name, "other.example.org");
	hook.answer = TG_TLS_GO_ON;
	talk(&link);
	assert_true(link.good);
	assert_int_equal(X509_cmp(SSL_get0_peer_certificate(link.client), other.cert), 0);
	close_link(&link);

	hook.answer = TG_TLS_REFUSED;
	link = join(tg_tls_context_accept(context), any_client("other.example.org"));
	assert_false(link.good);
	assert_int_equal(link.server_code, SSL_ERROR_SSL);
	close_link(&link);
	tg_tls_context_put(context);
	tg_tls_certificate_put(hook.certificate);
}

static void
test_strict_names_that_the_hook_does_not_know_are_refused(void **state)
{
	static const char *const one[] = { "rsa.pem" };
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_context *context;
	struct link link;

	memset(&hook, 0, sizeof(hook));
	hook.answer = TG_TLS_GO_ON;
	options.has_certificate = 1;
	loader.on_certificate = on_certificate;
	for (options.strict = 0; options.strict <= 1; options.strict++) {
		context = listener(&options, 1, one);
		link = join(tg_tls_context_accept(context), any_client("unknown.org"));
		assert_int_equal(link.good, !options.strict);
		close_link(&link);
		tg_tls_context_put(context);
	}
	assert_int_equal(hook.calls, 2);
	loader.on_certificate = NULL;
}

static void
test_a_hook_alone_is_enough(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_context *context;
	struct link link;
	char error[200];

	memset(&hook, 0, sizeof(hook));
	hook.certificate = tg_tls_certificate_parse(tg_str_of(slurp("wild.pem")),
	    (struct tg_str){ NULL, 0 }, "fetched", "", error, sizeof(error));
	hook.answer = TG_TLS_GO_ON;
	options.has_certificate = 1;
	loader.on_certificate = on_certificate;
	context = must_load(&options);
	loader.on_certificate = NULL;
	assert_ptr_equal(shown(context, "any.example.org", NULL), wild.cert);
	assert_ptr_equal(shown(context, NULL, NULL), wild.cert);
	assert_string_equal(hook.name, "-");
	tg_tls_certificate_put(hook.certificate);
	hook.certificate = NULL; /* the hook has none: nothing can be shown */
	link = join(tg_tls_context_accept(context), any_client("any.example.org"));
	assert_false(link.good);
	close_link(&link);
	tg_tls_context_put(context);
}

/* --- versions, ciphers, protocols ------------------------------------------------------------- */

static void
test_old_versions_are_refused(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER);

	for (int min = 12; min <= 13; min++) {
		struct tg_tls_context *context;
		SSL *client = any_client(NULL);
		struct link link;

		options.min_version = min;
		context = listener(&options, 4, all);
		SSL_set_security_level(client, 0);
		SSL_set_min_proto_version(client, TLS1_VERSION);
		SSL_set_max_proto_version(client, min == 12 ? TLS1_1_VERSION : TLS1_2_VERSION);
		link = join(tg_tls_context_accept(context), client);
		assert_false(link.good);
		assert_int_equal(
		    link.client_reason, SSL_AD_REASON_OFFSET + SSL_AD_PROTOCOL_VERSION);
		close_link(&link);
		tg_tls_context_put(context);
	}
}

static void
test_the_defaults_are_forward_secret_and_not_negotiable_anew(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_context *context = listener(&options, 4, all);
	SSL *server = tg_tls_context_accept(context), *client = any_client(NULL);
	STACK_OF(SSL_CIPHER) *ciphers = SSL_get_ciphers(server);
	struct link link;
	char byte;

	for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
		const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);

		assert_int_equal(SSL_CIPHER_is_aead(cipher), 1);
		assert_int_not_equal(SSL_CIPHER_get_kx_nid(cipher), NID_kx_rsa);
	}
	SSL_set_max_proto_version(client, TLS1_2_VERSION);
	link = join(server, client);
	assert_true(link.good);
	assert_int_equal(SSL_renegotiate(client), 1);
	assert_int_equal(SSL_do_handshake(client), -1);
	assert_true(SSL_read(server, &byte, 1) < 0);
	assert_true(SSL_read(client, &byte, 1) < 0);
	assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
	assert_int_equal(SSL_total_renegotiations(server), 0);
	close_link(&link);
	assert_int_equal(
	    SSL_CTX_get_max_early_data(SSL_get_SSL_CTX(server = tg_tls_context_accept(context))),
	    0);
	SSL_free(server);
	tg_tls_context_put(context);
}

static void
test_ciphers_groups_and_their_order_can_be_given(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_context *context;

	for (int prefer = 0; prefer <= 1; prefer++) {
		SSL *client = any_client(NULL);
		struct link link;

		options.ciphers =
		    TG_STR("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:!aNULL");
		options.groups = TG_STR("P-384:X25519");
		options.prefer = prefer;
		context = listener(&options, 4, all);
		SSL_set_max_proto_version(client, TLS1_2_VERSION);
		SSL_set_cipher_list(
		    client, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384");
		SSL_set1_groups_list(client, "P-384:P-256");
		link = join(tg_tls_context_accept(context), client);
		assert_true(link.good);
		assert_string_equal(SSL_get_cipher_name(client),
		    prefer ? "ECDHE-ECDSA-AES256-GCM-SHA384" : "ECDHE-ECDSA-AES128-GCM-SHA256");
		close_link(&link);
		tg_tls_context_put(context);
	}
}

static void
test_protocols_without_any_in_common_are_an_alert(void **state)
{
	static const struct {
		const char *theirs, *agreed; /* agreed NULL: an alert */
	} rows[] = {
		{ "\2h2\10http/1.1", "http/1.1" },
		{ "\10http/1.1\3abc", "abc" },
		{ "", "" },
		{ "\2h2", NULL },
	};
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_context *context;

	options.alpn = TG_STR("\3abc\10http/1.1");
	context = listener(&options, 4, all);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		SSL *client = any_client(NULL);
		struct link link;
		struct tg_tls_facts facts;

		SSL_set_alpn_protos(client, (const unsigned char *)rows[i].theirs,
		    (unsigned)strlen(rows[i].theirs));
		link = join(tg_tls_context_accept(context), client);
		assert_int_equal(link.good, rows[i].agreed != NULL);
		facts = tg_tls_facts_of(link.server);
		if (rows[i].agreed == NULL)
			assert_int_equal(link.client_reason,
			    SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL);
		else
			assert_true(tg_str_eq(facts.alpn, tg_str_of(rows[i].agreed)));
		close_link(&link);
	}
	tg_tls_context_put(context);
}

/* --- OCSP ------------------------------------------------------------------------------------- */

/* What `signer` says of a certificate: V_OCSP_CERTSTATUS_…, until `days` from now. */
static void
write_ocsp(const char *name, X509 *cert, const struct pair *signer, int status, int days)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, cert, root.cert);
	ASN1_TIME *now = X509_time_adj_ex(NULL, -3, 0, NULL),
	          *next = X509_time_adj_ex(NULL, days, 0, NULL);
	OCSP_RESPONSE *response;
	unsigned char *bytes = NULL;
	int len;

	OCSP_basic_add1_status(
	    basic, id, status, 0, status == V_OCSP_CERTSTATUS_REVOKED ? now : NULL, now, next);
	assert_int_equal(
	    OCSP_basic_sign(basic, signer->cert, signer->key, EVP_sha256(), NULL, 0), 1);
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	len = i2d_OCSP_RESPONSE(response, &bytes);
	assert_true(len > 0);
	write_bytes(name, bytes, (size_t)len);
	OPENSSL_free(bytes);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
}

/* What is stapled for a client that asks: bytes. */
static long
stapled(struct tg_tls_context *context)
{
	SSL *client = any_client(NULL);
	const unsigned char *response;
	struct link link;
	long len;

	SSL_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp);
	link = join(tg_tls_context_accept(context), client);
	assert_true(link.good);
	len = SSL_get_tlsext_status_ocsp_resp(client, &response);
	close_link(&link);
	return len;
}

static void
test_ocsp_responses_are_shown_while_they_are_good(void **state)
{
	static const char *const one[] = { "ec.pem" };
	struct pair responder = make_pair(false, "responder", NULL, -1, 90);
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	const struct {
		X509 *cert;
		const struct pair *signer;
		int status, days;
		const char *warning; /* NULL: it is shown */
	} rows[] = {
		{ exact_ec.cert, &root, V_OCSP_CERTSTATUS_GOOD, 2, NULL },
		{ exact_ec.cert, &root, V_OCSP_CERTSTATUS_GOOD, -1, "has expired" },
		{ exact_ec.cert, &root, V_OCSP_CERTSTATUS_REVOKED, 2, "is revoked" },
		{ exact_ec.cert, &root, V_OCSP_CERTSTATUS_UNKNOWN, 2, "unknown to its issuer" },
		{ wild.cert, &root, V_OCSP_CERTSTATUS_GOOD, 2, "of another certificate" },
		{ exact_ec.cert, &responder, V_OCSP_CERTSTATUS_GOOD, 2,
		    "not signed by the issuer" },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tg_tls_context *context;

		write_ocsp("ec.ocsp", rows[i].cert, rows[i].signer, rows[i].status, rows[i].days);
		context = listener(&options, 1, one);
		if (rows[i].warning == NULL) {
			assert_string_equal(warnings, "");
			assert_true(stapled(context) > 0);
		} else {
			assert_non_null(strstr(warnings, rows[i].warning));
			assert_non_null(strstr(warnings, "ec.ocsp: "));
			assert_int_equal(stapled(context), -1);
		}
		tg_tls_context_put(context);
	}
	write_bytes("ec.ocsp", "nonsense", 8);
	tg_tls_context_put(listener(&options, 1, one));
	assert_non_null(strstr(warnings, "no OCSP response in DER"));
	unlink(at("ec.ocsp"));
	free_pair(&responder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_a_certificate_is_chosen_by_name_and_by_what_the_client_can_do),
		cmocka_unit_test(test_the_default_may_have_two_kinds_of_keys),
		cmocka_unit_test(test_strict_names_are_refused_by_an_alert),
		cmocka_unit_test(test_the_hook_is_asked_for_unknown_names_and_may_wait),
		cmocka_unit_test(test_strict_names_that_the_hook_does_not_know_are_refused),
		cmocka_unit_test(test_a_hook_alone_is_enough),
		cmocka_unit_test(test_old_versions_are_refused),
		cmocka_unit_test(test_the_defaults_are_forward_secret_and_not_negotiable_anew),
		cmocka_unit_test(test_ciphers_groups_and_their_order_can_be_given),
		cmocka_unit_test(test_protocols_without_any_in_common_are_an_alert),
		cmocka_unit_test(test_ocsp_responses_are_shown_while_they_are_good),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
