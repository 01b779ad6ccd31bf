/* What makes one TLS context another: any option, any byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/tls_digest.h"

static struct tg_tls_pair pair;
static struct tg_str ticket;

static struct tg_tls_options
some_options(void)
{
	pair = (struct tg_tls_pair){ TG_STR("/a.pem"), TG_STR("/a.key"), TG_STR("/a.ocsp") };
	ticket = TG_STR("/ticket");
	return (struct tg_tls_options){
		.pairs = &pair, .pair_count = 1, .ticket_files = &ticket, .ticket_file_count = 1
	};
}

/* The digest of options, and of a file with two texts. */
static void
digest_of(const struct tg_tls_options *options, const char *one, const char *two,
    unsigned char out[TG_TLS_DIGEST])
{
	struct tg_tls_digest digest;

	tg_tls_digest_begin(&digest, options);
	tg_tls_digest_add(&digest, tg_str_of(one));
	tg_tls_digest_add(&digest, tg_str_of(two));
	assert_true(tg_tls_digest_end(&digest, out));
}

static void
assert_differs(const struct tg_tls_options *options, const char *what)
{
	struct tg_tls_options plain;
	unsigned char changed[TG_TLS_DIGEST], before[TG_TLS_DIGEST];

	digest_of(options, "ab", "c", changed);
	plain = some_options();
	digest_of(&plain, "ab", "c", before);
	if (memcmp(changed, before, sizeof(before)) == 0)
		fail_msg("%s does not matter", what);
}

#define ASSERT_MATTERS(field, value)                                                               \
	do {                                                                                       \
		struct tg_tls_options o = some_options();                                          \
		o.field = value;                                                                   \
		assert_differs(&o, #field);                                                        \
	} while (0)

static void
test_every_option_matters(void **state)
{
	(void)state;
	ASSERT_MATTERS(kind, 1);
	ASSERT_MATTERS(min_version, 13);
	ASSERT_MATTERS(prefer, 1);
	ASSERT_MATTERS(ciphers, TG_STR("x"));
	ASSERT_MATTERS(ciphers, TG_STR(""));
	ASSERT_MATTERS(ciphersuites, TG_STR("x"));
	ASSERT_MATTERS(groups, TG_STR("x"));
	ASSERT_MATTERS(alpn, TG_STR("x"));
	ASSERT_MATTERS(pair_count, 0);
	ASSERT_MATTERS(warn_days, 1);
	ASSERT_MATTERS(verify, 1);
	ASSERT_MATTERS(depth, 1);
	ASSERT_MATTERS(ca, TG_STR("x"));
	ASSERT_MATTERS(crl, TG_STR("x"));
	ASSERT_MATTERS(has_certificate, 1);
	ASSERT_MATTERS(strict, 1);
	ASSERT_MATTERS(tickets, 1);
	ASSERT_MATTERS(cache, 1);
	ASSERT_MATTERS(lifetime_s, 1);
	ASSERT_MATTERS(rotate_s, 1);
	ASSERT_MATTERS(ticket_file_count, 0);
	ASSERT_MATTERS(name, TG_STR("x"));
	ASSERT_MATTERS(pairs, (&(struct tg_tls_pair){ TG_STR("/b.pem"), pair.key, pair.ocsp }));
	ASSERT_MATTERS(pairs, (&(struct tg_tls_pair){ pair.cert, TG_STR("/b.key"), pair.ocsp }));
	ASSERT_MATTERS(pairs, (&(struct tg_tls_pair){ pair.cert, pair.key, TG_STR("/b.ocsp") }));
	ASSERT_MATTERS(ticket_files, (&(struct tg_str){ "x", 1 }));
}

static void
test_every_byte_of_a_file_matters(void **state)
{
	struct tg_tls_options options = some_options();
	unsigned char first[TG_TLS_DIGEST], other[TG_TLS_DIGEST];
	static const char *const others[][2] = { { "a", "bc" }, { "ab", "d" }, { "ab", "" },
		{ "", "abc" }, { "abc", "" } };

	(void)state;
	digest_of(&options, "ab", "c", first);
	digest_of(&options, "ab", "c", other);
	assert_memory_equal(first, other, sizeof(first));
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		digest_of(&options, others[i][0], others[i][1], other);
		assert_memory_not_equal(first, other, sizeof(first));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_option_matters),
		cmocka_unit_test(test_every_byte_of_a_file_matters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
