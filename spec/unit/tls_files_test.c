/* Files of TLS: what is found where, what is wrong with them, and what goes on when they cannot be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "tls_fixture.h"

static struct pair ec, rsa, expired, soon; /* ec.crt ec.key rsa.pem expired.pem soon.pem */

static int
begin(void **state)
{
	begin_files(state);
	ec = make_pair(false, "ec", "DNS:ec.example", -1, 90);
	rsa = make_pair(true, "rsa", "DNS:rsa.example", -1, 90);
	expired = make_pair(false, "expired", NULL, -10, -1);
	soon = make_pair(false, "soon", NULL, -10, 5);
	write_pair("ec.crt", &ec, false);
	write_pair("ec.key", &(struct pair){ NULL, ec.key }, true);
	write_pair("rsa.pem", &rsa, true);
	write_pair("expired.pem", &expired, true);
	write_pair("soon.pem", &soon, true);
	return 0;
}

static int
end(void **state)
{
	free_pair(&ec);
	free_pair(&rsa);
	free_pair(&expired);
	free_pair(&soon);
	return end_files(state);
}

static void
write_text(const char *name, const char *text)
{
	write_bytes(name, text, strlen(text));
}

/* --- what is wrong ------------------------------------------------------------------------------- */

static void
write_bad_files(void)
{
	FILE *file;
	char *text;
	EVP_PKEY *short_key = EVP_RSA_gen(1024);
	struct pair weak = { make_cert(short_key, &root, "weak", NULL, -1, 90), short_key };

	write_pair("weak.pem", &weak, true);
	free_pair(&weak);
	write_text("empty.pem", "");
	write_text("text.pem", "hello\n");
	write_text("damaged.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	write_text("damaged.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
	file = fopen(at("locked.key"), "w");
	text = (char[]){ "secret" };
	PEM_write_PKCS8PrivateKey(file, ec.key, EVP_aes_256_cbc(), text, 6, NULL, NULL);
	fclose(file);
	file = fopen(at("backwards.pem"), "w");
	PEM_write_X509(file, root.cert);
	PEM_write_X509(file, ec.cert);
	PEM_write_PrivateKey(file, ec.key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
	assert_int_equal(mkdir(at("nothing"), 0755), 0);
	write_text("nothing/README", "no certificate\n");
	assert_int_equal(mkdir(at("half"), 0755), 0);
	write_pair("half/a.pem", &ec, false);
	write_text("short.key", "too short");
}

struct bad {
	const char *cert, *key, *error; /* a part of it */
};

static void
test_what_is_wrong_with_a_file_is_said_with_the_remedy(void **state)
{
	static const struct bad rows[] = {
		{ "none.pem", NULL,
		    "none.pem cannot be read: No such file or directory; check the path" },
		{ "text.pem", NULL, "text.pem: there is no certificate in it" },
		{ "empty.pem", "ec.key",
		    "empty.pem: there is no certificate in it; it must have the form of PEM" },
		{ "text.pem", "ec.key", "text.pem: there is no certificate in it" },
		{ "damaged.pem", "ec.key", "damaged.pem: certificate 1 of the file is damaged" },
		{ "ec.crt", "none.key", "the key" },
		{ "ec.crt", "none.key", "none.key cannot be read: No such file or directory" },
		{ "ec.crt", "ec.crt", "ec.crt: there is no private key in it" },
		{ "ec.crt", "damaged.key", "damaged.key: the private key is damaged" },
		{ "ec.crt", "locked.key", "locked.key: the key is encrypted" },
		{ "ec.crt", "rsa.pem", "ec.crt: the key in " },
		{ "ec.crt", "nothing",
		    "nothing cannot be read: Is a directory; name a file in it" },
		{ "backwards.pem", NULL,
		    "the key belongs to certificate 2 of the file; put that one first" },
		{ "weak.pem", NULL, "weak.pem: OpenSSL refuses the certificate: ee key too small" },
		{ "nothing", NULL,
		    "nothing: there is no certificate in this folder; it must have NAME.pem" },
		{ "half", NULL, "half/a.pem: its key is neither in it nor in " },
	};
	struct tg_tls_options options = options_of(TG_TLS_SERVER);

	write_bad_files();
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tg_tls_pair pair = pair_at(rows[i].cert, rows[i].key);

		options.pairs = &pair;
		options.pair_count = 1;
		assert_null(load(&options));
		if (strstr(loader.error, rows[i].error) == NULL ||
		    strstr(loader.error, folder) == NULL)
			fail_msg("row %u: %s", i, loader.error);
	}
	options.pair_count = 0;
	assert_null(load(&options));
	assert_string_equal(loader.error, "there is no certificate");
}

static void
test_what_is_wrong_with_an_option_is_said_too(void **state)
{
	const struct {
		struct tg_tls_options options;
		const char *error;
	} rows[] = {
		{ { .ciphers = TG_STR("ECDHE-RSA-AES128-GCM-SHA256:NONE") },
		    "option \"ciphers\": OpenSSL does not know \"NONE\"" },
		{ { .ciphers = TG_STR("TLS_AES_128_GCM_SHA256") },
		    "option \"ciphers\": OpenSSL does not know \"TLS_AES_128_GCM_SHA256\"" },
		{ { .ciphers = TG_STR("aNULL:!aNULL") }, "option \"ciphers\": " },
		{ { .ciphersuites = TG_STR("TLS_AES_128_GCM_SHA256:TLS_NONE") },
		    "option \"ciphersuites\": OpenSSL does not know \"TLS_NONE\"" },
		{ { .groups = TG_STR("X25519:Y") },
		    "option \"groups\": OpenSSL does not know \"Y\"" },
		{ { .ca = tg_str_of(at("none.pem")) }, "the CA file " },
		{ { .ca = tg_str_of(at("text.pem")) }, "text.pem: there is no certificate in it" },
		{ { .ca = tg_str_of(at("ca.pem")), .crl = tg_str_of(at("text.pem")) },
		    "text.pem: there is no list of revoked certificates (X509 CRL) in it" },
		{ { .ticket_files = &(struct tg_str){ at("short.key"), strlen(at("short.key")) },
		      .ticket_file_count = 1 },
		    "short.key has 9 bytes, but must have 80; make one with: openssl rand -out" },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tg_tls_options options = options_of(TG_TLS_SERVER);
		struct tg_tls_pair pair = pair_at("rsa.pem", NULL);

		options.pairs = &pair;
		options.pair_count = 1;
		options.verify = TG_TLS_VERIFY_OPTIONAL;
		options.ciphers = rows[i].options.ciphers;
		options.ciphersuites = rows[i].options.ciphersuites;
		options.groups = rows[i].options.groups;
		options.ca = rows[i].options.ca;
		options.crl = rows[i].options.crl;
		options.ticket_files = rows[i].options.ticket_files;
		options.ticket_file_count = rows[i].options.ticket_file_count;
		assert_null(load(&options));
		if (strstr(loader.error, rows[i].error) == NULL)
			fail_msg("row %u: %s", i, loader.error);
	}
}

static void
test_old_certificates_are_a_warning(void **state)
{
	static const char *const three[] = { "expired.pem", "soon.pem", "rsa.pem" };
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_context *context = listener(&options, 3, three);
	time_t now = time(NULL);

	assert_non_null(strstr(warnings, "expired.pem has expired"));
	assert_non_null(strstr(warnings, "soon.pem expires in "));
	assert_null(strstr(warnings, "rsa.pem"));
	warnings[0] = '\0';
	tg_tls_context_warn(context, now + 80 * DAY, on_warning, NULL);
	assert_non_null(strstr(warnings, "soon.pem has expired"));
	assert_non_null(strstr(warnings, "rsa.pem expires in "));
	assert_int_equal(tg_tls_context_certificates(context), 3);
	assert_true(labs(tg_tls_context_certificate(context, 2)->not_after - now - 90 * DAY) < 100);
	tg_tls_context_put(context);
}

/* --- folders ------------------------------------------------------------------------------------ */

static void
test_a_folder_has_pairs_of_files(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_pair pair;
	struct tg_tls_context *context;

	assert_int_equal(mkdir(at("certs"), 0755), 0);
	write_pair("certs/b.crt", &ec, false);
	write_pair("certs/b.key", &(struct pair){ NULL, ec.key }, true);
	write_pair("certs/a.pem", &rsa, true);
	write_text("certs/.hidden.pem", "no certificate\n");
	write_text("certs/README", "no certificate\n");
	pair = pair_at("certs", NULL);
	options.pairs = &pair;
	options.pair_count = 1;
	context = must_load(&options);
	assert_int_equal(tg_tls_context_certificates(context), 2);
	assert_string_equal(tg_tls_context_certificate(context, 0)->origin, at("certs/a.pem"));
	assert_string_equal(tg_tls_context_certificate(context, 1)->names[0], "ec.example");
	tg_tls_context_put(context);
	unlink(at("certs/b.crt")); /* a folder that has changed is read anew */
	context = must_load(&options);
	assert_int_equal(tg_tls_context_certificates(context), 1);
	tg_tls_context_put(context);
}

/* --- who may read --------------------------------------------------------------------------------- */

/* Take the right to read files away, or give it back. */
static void
lock(const char *name)
{
	assert_int_equal(chmod(at(name), 0), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
}

static void
unlock(const char *name)
{
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(at(name), 0600), 0);
}

static const X509 *
leaf_of(struct tg_tls_context *context)
{
	return tg_tls_context_certificate(context, 0)->leaf;
}

static void
test_a_key_that_cannot_be_read_any_more_keeps_the_pair(void **state)
{
	struct tg_tls_options options = options_of(TG_TLS_SERVER);
	struct tg_tls_pair pair = pair_at("renewed.crt", "renewed.key");
	struct tg_tls_context *context;

	options.pairs = &pair;
	options.pair_count = 1;
	assert_int_equal(chmod(folder, 0755), 0);
	write_pair("renewed.crt", &ec, false);
	write_pair("renewed.key", &(struct pair){ NULL, ec.key }, true);
	tg_tls_context_put(must_load(&options));
	assert_int_equal(chmod(at("renewed.crt"), 0644), 0);
	tg_tls_context_put(must_load(&options));

	/* Renewed, and the new key is root's: both go on as they were. */
	write_pair("renewed.crt", &rsa, false);
	write_pair("renewed.key", &(struct pair){ NULL, rsa.key }, true);
	lock("renewed.key");
	context = must_load(&options);
	assert_int_equal(X509_cmp(leaf_of(context), ec.cert), 0);
	assert_non_null(strstr(warnings, "renewed.key cannot be read any more: Permission denied"));
	assert_non_null(strstr(warnings, "chgrp GROUP"));
	tg_tls_context_put(context);
	context = must_load(&options); /* and again */
	assert_int_equal(X509_cmp(leaf_of(context), ec.cert), 0);
	tg_tls_context_put(context);

	unlock("renewed.key");
	context = must_load(&options);
	assert_int_equal(X509_cmp(leaf_of(context), rsa.cert), 0);
	assert_string_equal(warnings, "");
	tg_tls_context_put(context);

	/* Not changed: it need not be read again. (chmod changes it: so once with, once without the right.) */
	assert_int_equal(chmod(at("renewed.key"), 0), 0);
	tg_tls_context_put(must_load(&options));
	lock("renewed.key");
	unlock("renewed.key");
}

static void
test_an_unchanged_file_is_not_read_again(void **state)
{
	struct tg_tls_files *cache = tg_tls_files_new();
	struct tg_str first, again;

	write_text("once", "one");
	assert_int_equal(tg_tls_files_read(cache, at("once"), &first), TG_TLS_READ_OK);
	tg_tls_files_keep(cache);
	assert_int_equal(tg_tls_files_read(cache, at("once"), &again), TG_TLS_READ_OK);
	assert_ptr_equal(first.ptr, again.ptr);
	tg_tls_files_keep(cache);
	write_text("once", "two!");
	assert_int_equal(tg_tls_files_read(cache, at("once"), &again), TG_TLS_READ_OK);
	assert_true(tg_str_eq(again, TG_STR("two!")));
	assert_true(tg_tls_files_loaded(cache, at("once"), &again)); /* what runs */
	assert_true(tg_str_eq(again, TG_STR("one")));
	tg_tls_files_drop(cache); /* the load failed: that is still so */
	assert_true(tg_tls_files_loaded(cache, at("once"), &again));
	assert_true(tg_str_eq(again, TG_STR("one")));
	unlink(at("once")); /* not there is not the same as not readable */
	assert_int_equal(tg_tls_files_read(cache, at("once"), &again), TG_TLS_READ_FAILED);
	assert_int_equal(errno, ENOENT);
	tg_tls_files_keep(cache);
	tg_tls_files_keep(cache); /* nobody has asked for it: it is forgotten */
	assert_false(tg_tls_files_loaded(cache, at("once"), &again));
	tg_tls_files_free(cache);
}

static void
test_in_another_root_files_keep_what_was_loaded(void **state)
{
	struct tg_tls_files *cache = tg_tls_files_new();
	struct tg_str bytes;
	char inner[200];

	assert_int_equal(mkdir(at("jail"), 0755), 0);
	write_text("jail/in", "in");
	write_text("out", "out");
	snprintf(inner, sizeof(inner), "%s", at("jail/in"));
	assert_int_equal(tg_tls_files_read(cache, inner, &bytes), TG_TLS_READ_OK);
	assert_int_equal(tg_tls_files_read(cache, at("out"), &bytes), TG_TLS_READ_OK);
	tg_tls_files_rebase(cache, at("jail"));
	tg_tls_files_keep(cache);
	unlink(at("out")); /* as it is in there */
	assert_int_equal(tg_tls_files_read(cache, at("out"), &bytes), TG_TLS_READ_KEPT);
	assert_true(tg_str_eq(bytes, TG_STR("out")));
	assert_int_equal(tg_tls_files_read(cache, "/in", &bytes), TG_TLS_READ_KEPT);
	assert_true(tg_str_eq(bytes, TG_STR("in")));
	tg_tls_files_free(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_wrong_with_a_file_is_said_with_the_remedy),
		cmocka_unit_test(test_what_is_wrong_with_an_option_is_said_too),
		cmocka_unit_test(test_old_certificates_are_a_warning),
		cmocka_unit_test(test_a_folder_has_pairs_of_files),
		cmocka_unit_test(test_a_key_that_cannot_be_read_any_more_keeps_the_pair),
		cmocka_unit_test(test_an_unchanged_file_is_not_read_again),
		cmocka_unit_test(test_in_another_root_files_keep_what_was_loaded),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
