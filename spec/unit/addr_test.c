/* Every form of address is read as its writer means it, or refused with a remedy; and what is
 * written can be read again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "net/addr.h"

static struct tg_addr addr;
static struct tg_str host;
static uint16_t port;

/* Parse a copy that ends where the text ends, so that the sanitizer sees a look beyond. */
static int
parse_view(struct tg_str text, bool listen)
{
	static char copy[1024];
	static char *start;

	assert_true(text.len <= sizeof(copy));
	start = copy + sizeof(copy) - text.len;
	memcpy(start, text.ptr, text.len);
	memset(&addr, 0xff, sizeof(addr));
	host = TG_STR("stale");
	port = 4711;
	return tg_addr_parse((struct tg_str){ start, text.len }, listen, &addr, &host, &port);
}

static int
parse(const char *text, bool listen)
{
	return parse_view(tg_str_of(text), listen);
}

static void
assert_shows(const struct tg_addr *shown, const char *text, const char *ip)
{
	char out[TG_ADDR_TEXT_MAX];

	assert_int_equal(tg_addr_format(shown, out, sizeof(out)), strlen(text));
	assert_string_equal(out, text);
	assert_int_equal(tg_addr_ip(shown, out, sizeof(out)), strlen(ip));
	assert_string_equal(out, ip);
}

static void
literals_are_filled_in(void **state)
{
	(void)state;
	for (int listen = 0; listen < 2; listen++) {
		assert_int_equal(parse("127.0.0.1:80", listen), TG_ADDR_OK);
		assert_int_equal(addr.in.sin_family, AF_INET);
		assert_int_equal(addr.len, sizeof(addr.in));
		assert_int_equal(ntohl(addr.in.sin_addr.s_addr), INADDR_LOOPBACK);
		assert_int_equal(ntohs(addr.in.sin_port), 80);
		assert_true(tg_str_eq(host, TG_STR("127.0.0.1")));
		assert_int_equal(port, 80);

		assert_int_equal(parse("[::1]:65535", listen), TG_ADDR_OK);
		assert_int_equal(addr.in6.sin6_family, AF_INET6);
		assert_int_equal(addr.len, sizeof(addr.in6));
		assert_memory_equal(
		    &addr.in6.sin6_addr, &in6addr_loopback, sizeof(struct in6_addr));
		assert_int_equal(ntohs(addr.in6.sin6_port), 65535);
		assert_int_equal(addr.in6.sin6_scope_id, 0);
		assert_int_equal(addr.in6.sin6_flowinfo, 0);
		assert_true(tg_str_eq(host, TG_STR("::1")));
		assert_int_equal(port, 65535);
	}
	assert_int_equal(parse("0.0.0.0:80", true), TG_ADDR_OK);
	assert_int_equal(addr.in.sin_addr.s_addr, INADDR_ANY);
}

static void
a_star_or_nothing_listens_on_every_address(void **state)
{
	const char *const texts[] = { "*:80", ":80", "[::]:80" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(parse(texts[i], true), TG_ADDR_OK);
		assert_int_equal(addr.in6.sin6_family, AF_INET6);
		assert_memory_equal(&addr.in6.sin6_addr, &in6addr_any, sizeof(struct in6_addr));
		assert_int_equal(addr.len, sizeof(addr.in6));
		assert_int_equal(tg_addr_port(&addr), 80);
		assert_int_equal(port, 80);
	}
}

static void
a_unix_socket_has_a_path(void **state)
{
	(void)state;
	assert_int_equal(parse("unix:/run/app.sock", false), TG_ADDR_OK);
	assert_int_equal(addr.un.sun_family, AF_UNIX);
	assert_string_equal(addr.un.sun_path, "/run/app.sock");
	assert_int_equal(addr.len, offsetof(struct sockaddr_un, sun_path) + 13 + 1);
	assert_null(host.ptr);
	assert_int_equal(port, 0);
	assert_int_equal(parse("unix:/with:80", true), TG_ADDR_OK);
	assert_string_equal(addr.un.sun_path, "/with:80");
}

static void
an_abstract_socket_has_a_name(void **state)
{
	(void)state;
	assert_int_equal(parse("unix:@app", true), TG_ADDR_OK);
	assert_memory_equal(addr.un.sun_path, "\0app\0", 5);
	assert_int_equal(addr.len, offsetof(struct sockaddr_un, sun_path) + 4);
}

static void
a_path_fits_sun_path_or_is_refused(void **state)
{
	char text[200];

	(void)state;
	for (int len = 100; len < 130; len++) {
		int expected = len <= 107 ? TG_ADDR_OK : TG_ADDR_LONG_PATH;

		for (int i = 0; i < 2; i++) {
			snprintf(text, sizeof(text), "unix:%c%0*d", "/@"[i], len - 1, 0);
			assert_int_equal(parse(text, true), expected);
			if (expected == TG_ADDR_OK)
				assert_shows(&addr, text, "unix");
		}
	}
}

static void
a_name_is_checked_and_handed_back(void **state)
{
	const char *const names[] = { "name.example", "localhost", "a", "my_app-1.internal",
		"trailing.dot.", "4you.example", "127.0.0.1.nip.io", "10.0.0.1a", "A.B" };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(names) / sizeof(names[0]); i++) {
		const char *name = names[i / 2];
		char text[100];

		snprintf(text, sizeof(text), "%s:8080", name);
		assert_int_equal(parse(text, i % 2), TG_ADDR_RESOLVE);
		assert_true(tg_str_eq(host, tg_str_of(name)));
		assert_int_equal(port, 8080);
		assert_int_equal(addr.len, 0);
	}
}

/* A name of `len` bytes: labels of at most `label` bytes, and a port. */
static int
parse_long_name(size_t len, size_t label)
{
	char text[512];

	memset(text, 'x', len);
	for (size_t dot = label; dot < len; dot += label + 1)
		text[dot] = '.';
	memcpy(text + len, ":80", 4);
	return parse(text, false);
}

static void
a_name_has_an_end(void **state)
{
	(void)state;
	assert_int_equal(parse_long_name(63, 63), TG_ADDR_RESOLVE);
	assert_int_equal(parse_long_name(64, 64), TG_ADDR_BAD_NAME);
	assert_int_equal(parse_long_name(200, 64), TG_ADDR_BAD_NAME);
	assert_int_equal(parse_long_name(253, 63), TG_ADDR_RESOLVE);
	assert_int_equal(parse_long_name(254, 63), TG_ADDR_BAD_NAME);
	assert_int_equal(parse_long_name(254, 253), TG_ADDR_BAD_NAME); /* the dot ends 253 bytes */
	assert_int_equal(parse_long_name(254, 1), TG_ADDR_RESOLVE);    /* likewise, legal */
}

/* What must fail, and how: to connect, and to listen. */
static const struct {
	const char *text;
	int connect;
	int listen;
} wrong[] = {
	{ "", TG_ADDR_EMPTY, TG_ADDR_EMPTY },
	{ "127.0.0.1", TG_ADDR_NO_PORT, TG_ADDR_NO_PORT },
	{ "127.0.0.1:", TG_ADDR_NO_PORT, TG_ADDR_NO_PORT },
	{ "name.example", TG_ADDR_NO_PORT, TG_ADDR_NO_PORT },
	{ "80", TG_ADDR_NO_PORT, TG_ADDR_NO_PORT },
	{ "*", TG_ADDR_NO_PORT, TG_ADDR_NO_PORT },
	{ ":", TG_ADDR_NO_PORT, TG_ADDR_NO_PORT },
	{ "[::1]", TG_ADDR_NO_PORT, TG_ADDR_NO_PORT },
	{ "[::1]:", TG_ADDR_NO_PORT, TG_ADDR_NO_PORT },
	{ "127.0.0.1:http", TG_ADDR_BAD_PORT, TG_ADDR_BAD_PORT },
	{ "127.0.0.1:+80", TG_ADDR_BAD_PORT, TG_ADDR_BAD_PORT },
	{ "127.0.0.1:-1", TG_ADDR_BAD_PORT, TG_ADDR_BAD_PORT },
	{ "127.0.0.1: 80", TG_ADDR_BAD_PORT, TG_ADDR_BAD_PORT },
	{ "127.0.0.1:80 ", TG_ADDR_BAD_PORT, TG_ADDR_BAD_PORT },
	{ "127.0.0.1:80/", TG_ADDR_BAD_PORT, TG_ADDR_BAD_PORT },
	{ "127.0.0.1:0x50", TG_ADDR_BAD_PORT, TG_ADDR_BAD_PORT },
	{ "http://name.example", TG_ADDR_BAD_PORT, TG_ADDR_BAD_PORT },
	{ "127.0.0.1:65536", TG_ADDR_PORT_RANGE, TG_ADDR_PORT_RANGE },
	{ "127.0.0.1:4294967376", TG_ADDR_PORT_RANGE, TG_ADDR_PORT_RANGE },
	{ "a:18446744073709551696", TG_ADDR_PORT_RANGE, TG_ADDR_PORT_RANGE },
	{ "[::1]:65536", TG_ADDR_PORT_RANGE, TG_ADDR_PORT_RANGE },
	{ "127.0.0.1:0", TG_ADDR_PORT_RANGE, TG_ADDR_OK },
	{ "*:0", TG_ADDR_PORT_RANGE, TG_ADDR_OK },
	{ "[::1]:0", TG_ADDR_PORT_RANGE, TG_ADDR_OK },
	{ "*:80", TG_ADDR_ANY, TG_ADDR_OK },
	{ ":80", TG_ADDR_NO_HOST, TG_ADDR_OK },
	{ "[]:80", TG_ADDR_NO_HOST, TG_ADDR_NO_HOST },
	{ "[::1", TG_ADDR_BRACKETS, TG_ADDR_BRACKETS },
	{ "[", TG_ADDR_BRACKETS, TG_ADDR_BRACKETS },
	{ "[::1]80", TG_ADDR_BRACKETS, TG_ADDR_BRACKETS },
	{ "[::1]]:80", TG_ADDR_BRACKETS, TG_ADDR_BRACKETS },
	{ "::1:80", TG_ADDR_BRACKETS, TG_ADDR_BRACKETS },
	{ "::", TG_ADDR_BRACKETS, TG_ADDR_BRACKETS },
	{ "::1]:80", TG_ADDR_BRACKETS, TG_ADDR_BRACKETS },
	{ "1.2.3.4:80:80", TG_ADDR_BRACKETS, TG_ADDR_BRACKETS },
	{ "[127.0.0.1]:80", TG_ADDR_BAD_IPV6, TG_ADDR_BAD_IPV6 },
	{ "[name]:80", TG_ADDR_BAD_IPV6, TG_ADDR_BAD_IPV6 },
	{ "[:::]:80", TG_ADDR_BAD_IPV6, TG_ADDR_BAD_IPV6 },
	{ "[[::1]]:80", TG_ADDR_BAD_IPV6, TG_ADDR_BAD_IPV6 },
	{ "[fe80::1%lo]:80", TG_ADDR_BAD_IPV6, TG_ADDR_BAD_IPV6 },
	{ "[0000000:000000000000000000000000000000000000000000::1]:80", TG_ADDR_BAD_IPV6,
	    TG_ADDR_BAD_IPV6 },
	{ "256.0.0.1:80", TG_ADDR_BAD_IPV4, TG_ADDR_BAD_IPV4 },
	{ "127.1:80", TG_ADDR_BAD_IPV4, TG_ADDR_BAD_IPV4 },
	{ "2130706433:80", TG_ADDR_BAD_IPV4, TG_ADDR_BAD_IPV4 },
	{ "0177.0.0.1:80", TG_ADDR_BAD_IPV4, TG_ADDR_BAD_IPV4 },
	{ "1.2.3.4.5:80", TG_ADDR_BAD_IPV4, TG_ADDR_BAD_IPV4 },
	{ "1.2.3.4.:80", TG_ADDR_BAD_IPV4, TG_ADDR_BAD_IPV4 },
	{ "0x7f.1:80", TG_ADDR_BAD_IPV4, TG_ADDR_BAD_IPV4 },
	{ "na me:80", TG_ADDR_BAD_NAME, TG_ADDR_BAD_NAME },
	{ " name:80", TG_ADDR_BAD_NAME, TG_ADDR_BAD_NAME },
	{ "na/me:80", TG_ADDR_BAD_NAME, TG_ADDR_BAD_NAME },
	{ "user@name:80", TG_ADDR_BAD_NAME, TG_ADDR_BAD_NAME },
	{ "b\xc3\xbc"
	  "cher.example:80",
	    TG_ADDR_BAD_NAME, TG_ADDR_BAD_NAME },
	{ "a..b:80", TG_ADDR_BAD_NAME, TG_ADDR_BAD_NAME },
	{ ".a:80", TG_ADDR_BAD_NAME, TG_ADDR_BAD_NAME },
	{ "a..:80", TG_ADDR_BAD_NAME, TG_ADDR_BAD_NAME },
	{ ".:80", TG_ADDR_BAD_NAME, TG_ADDR_BAD_NAME },
	{ "-a:80", TG_ADDR_BAD_NAME, TG_ADDR_BAD_NAME },
	{ "**:80", TG_ADDR_BAD_NAME, TG_ADDR_BAD_NAME },
	{ "*.example:80", TG_ADDR_BAD_NAME, TG_ADDR_BAD_NAME },
	{ "unix:", TG_ADDR_BAD_PATH, TG_ADDR_BAD_PATH },
	{ "unix:/", TG_ADDR_BAD_PATH, TG_ADDR_BAD_PATH },
	{ "unix:@", TG_ADDR_BAD_PATH, TG_ADDR_BAD_PATH },
	{ "unix:app.sock", TG_ADDR_BAD_PATH, TG_ADDR_BAD_PATH },
	{ "unix:80", TG_ADDR_BAD_PATH, TG_ADDR_BAD_PATH },
};

static void
assert_result(struct tg_str text, bool listen, int expected)
{
	int result = parse_view(text, listen);

	if (result != expected)
		fail_msg("\"%s\" to %s: %d (%s)", text.ptr, listen ? "listen" : "connect", result,
		    tg_addr_strerror(result));
	if (result >= 0)
		return;
	assert_int_equal(addr.len, 0);
	assert_null(host.ptr);
	assert_int_equal(port, 0);
}

static void
what_is_wrong_is_refused_for_what_it_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_result(tg_str_of(wrong[i].text), false, wrong[i].connect);
		assert_result(tg_str_of(wrong[i].text), true, wrong[i].listen);
	}
}

static void
a_nul_is_no_end(void **state)
{
	(void)state;
	assert_result(TG_STR("127.0.0.1\0:80"), false, TG_ADDR_BAD_NAME);
	assert_result(TG_STR("127.0.0.1:80\0"), false, TG_ADDR_BAD_PORT);
	assert_result(TG_STR("[::1\0]:80"), false, TG_ADDR_BAD_IPV6);
	assert_result(TG_STR("unix:/a\0b"), false, TG_ADDR_BAD_PATH);
	assert_result(TG_STR("unix:@a\0b"), false, TG_ADDR_BAD_PATH);
	assert_result((struct tg_str){ "127.0.0.1:8080", 12 }, false, TG_ADDR_OK);
	assert_int_equal(port, 80);
}

static void
every_error_has_a_remedy_of_its_own(void **state)
{
	(void)state;
	for (int a = TG_ADDR_FAMILY; a <= TG_ADDR_RESOLVE; a++) {
		assert_non_null(tg_addr_strerror(a));
		assert_string_not_equal(tg_addr_strerror(a), "unknown address error");
		for (int b = TG_ADDR_FAMILY; b < a; b++)
			assert_string_not_equal(tg_addr_strerror(a), tg_addr_strerror(b));
	}
	assert_string_equal(tg_addr_strerror(TG_ADDR_FAMILY - 1), "unknown address error");
	assert_string_equal(tg_addr_strerror(2), "unknown address error");
	assert_string_equal(tg_addr_strerror(INT32_MIN), "unknown address error");
	assert_non_null(strstr(tg_addr_strerror(TG_ADDR_NO_PORT), "host:port"));
	assert_non_null(strstr(tg_addr_strerror(TG_ADDR_LONG_PATH), "107"));
}

static void
what_is_written_is_what_was_read(void **state)
{
	const struct {
		const char *text, *ip;
	} rows[] = {
		{ "127.0.0.1:80", "127.0.0.1" },
		{ "0.0.0.0:0", "0.0.0.0" },
		{ "255.255.255.255:65535", "255.255.255.255" },
		{ "[::1]:80", "::1" },
		{ "[::]:80", "::" },
		{ "[2001:db8::7]:443", "2001:db8::7" },
		{ "[1111:2222:3333:4444:5555:6666:7777:8888]:65535",
		    "1111:2222:3333:4444:5555:6666:7777:8888" },
		{ "unix:/run/app.sock", "unix" },
		{ "unix:@app", "unix" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(rows[i].text, true), TG_ADDR_OK);
		assert_shows(&addr, rows[i].text, rows[i].ip);
	}
}

static void
a_mapped_address_is_shown_as_ipv4(void **state)
{
	(void)state;
	assert_int_equal(parse("[::ffff:10.1.2.3]:80", false), TG_ADDR_OK);
	assert_int_equal(addr.sa.sa_family, AF_INET6);
	assert_shows(&addr, "10.1.2.3:80", "10.1.2.3");
	assert_int_equal(tg_addr_port(&addr), 80);
}

static void
an_unnamed_socket_has_no_path(void **state)
{
	struct tg_addr peer = { .len = sizeof(peer.un) };
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	memset(&peer.un, 'x', sizeof(peer.un));
	assert_int_equal(getpeername(pair[0], &peer.sa, &peer.len), 0);
	assert_shows(&peer, "unix:", "unix");
	assert_int_equal(tg_addr_port(&peer), 0);
	close(pair[0]);
	close(pair[1]);
}

/* Linux gives 108 bytes without a NUL, and an abstract name may hold any byte. */
static void
the_kernel_s_own_forms_are_shown_in_full(void **state)
{
	struct tg_addr peer;
	char expected[TG_ADDR_TEXT_MAX];

	(void)state;
	memset(&peer, '/', sizeof(peer));
	peer.un.sun_family = AF_UNIX;
	peer.len = sizeof(peer.un) + 1;
	memset(expected, '/', sizeof(expected));
	memcpy(expected, "unix:", 5);
	expected[5 + sizeof(peer.un.sun_path)] = '\0';
	assert_shows(&peer, expected, "unix");

	memcpy(peer.un.sun_path, "\0a\0b", 4);
	peer.len = offsetof(struct sockaddr_un, sun_path) + 4;
	assert_shows(&peer, "unix:@a@b", "unix");
}

static void
a_small_buffer_gets_nothing_rather_than_a_part(void **state)
{
	const char *const texts[] = { "127.0.0.1:80", "[::1]:80", "unix:/run/app.sock" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		size_t len = strlen(texts[i]);
		char out[TG_ADDR_TEXT_MAX];

		assert_int_equal(parse(texts[i], false), TG_ADDR_OK);
		assert_int_equal(tg_addr_format(&addr, out, len + 1), len);
		assert_string_equal(out, texts[i]);
		memset(out, 'x', sizeof(out));
		assert_int_equal(tg_addr_format(&addr, out, len), TG_ADDR_NO_ROOM);
		assert_string_equal(out, "");
		assert_int_equal(out[1], 'x');
		assert_int_equal(tg_addr_format(&addr, NULL, 0), TG_ADDR_NO_ROOM);
		out[0] = 'x';
		assert_int_equal(tg_addr_ip(&addr, out, 3), TG_ADDR_NO_ROOM);
		assert_string_equal(out, "");
	}
}

static void
no_address_is_an_error_to_show(void **state)
{
	struct tg_addr none = { .len = 0 };
	char out[8] = "x";

	(void)state;
	assert_int_equal(tg_addr_format(&none, out, sizeof(out)), TG_ADDR_FAMILY);
	assert_string_equal(out, "");
	out[0] = 'x';
	assert_int_equal(tg_addr_ip(&none, out, sizeof(out)), TG_ADDR_FAMILY);
	assert_string_equal(out, "");
	assert_int_equal(tg_addr_port(&none), 0);
	none.in.sin_family = AF_INET;
	none.in.sin_port = 80;
	assert_int_equal(tg_addr_ip(&none, out, sizeof(out)), TG_ADDR_FAMILY);
	assert_int_equal(tg_addr_port(&none), 0);
}

/* Each row stands for one socket; no two rows are equal. */
static void
equal_means_the_same_socket(void **state)
{
	const char *const same[][2] = {
		{ "127.0.0.1:80", "[::ffff:127.0.0.1]:80" },
		{ "127.0.0.1:81", "[::ffff:127.0.0.1]:81" },
		{ "127.0.0.2:80", "[::ffff:127.0.0.2]:80" },
		{ "0.0.0.0:80", "[::ffff:0.0.0.0]:80" },
		{ "[::]:80", "*:80" },
		{ "[::1]:80", "[0:0:0:0:0:0:0:1]:80" },
		{ "[::1]:81", "[0::1]:081" },
		{ "[::7f00:1]:80", "[::127.0.0.1]:80" },
		{ "unix:/a", "unix:/a" },
		{ "unix:@a", "unix:@a" },
		{ "unix:/ab", "unix:/ab" },
		{ "unix:@ab", "unix:@ab" },
	};
	const size_t count = sizeof(same) / sizeof(same[0]);

	(void)state;
	for (size_t i = 0; i < 2 * count; i++) {
		struct tg_addr a;

		assert_int_equal(parse(same[i / 2][i % 2], true), TG_ADDR_OK);
		a = addr;
		for (size_t j = 0; j < 2 * count; j++) {
			assert_int_equal(parse(same[j / 2][j % 2], true), TG_ADDR_OK);
			assert_int_equal(tg_addr_equal(&a, &addr), i / 2 == j / 2);
		}
		assert_false(tg_addr_equal(&a, &(struct tg_addr){ .len = 0 }));
		assert_false(tg_addr_equal(&(struct tg_addr){ .len = 0 }, &a));
	}
}

/* The kernel may count the NUL that ends a path, or not; and a zone makes another address. */
static void
equal_looks_at_what_counts(void **state)
{
	struct tg_addr a;

	(void)state;
	assert_int_equal(parse("unix:/run/app.sock", false), TG_ADDR_OK);
	a = addr;
	a.len--;
	assert_true(tg_addr_equal(&a, &addr));
	a.len = sizeof(a.un);
	assert_true(tg_addr_equal(&a, &addr));

	assert_int_equal(parse("[fe80::1]:80", false), TG_ADDR_OK);
	a = addr;
	a.in6.sin6_scope_id = 2;
	assert_false(tg_addr_equal(&a, &addr));

	assert_int_equal(parse("127.0.0.1:80", false), TG_ADDR_OK);
	a = addr;
	a.sa.sa_family = AF_UNIX; /* the same bytes as an abstract name */
	assert_false(tg_addr_equal(&a, &addr));
	assert_false(tg_addr_equal(&addr, &a));

	a = (struct tg_addr){ .len = 0 };
	assert_true(tg_addr_equal(&a, &a));
	assert_int_equal(parse("*:0", true), TG_ADDR_OK);
	assert_false(tg_addr_equal(&a, &addr));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literals_are_filled_in),
		cmocka_unit_test(a_star_or_nothing_listens_on_every_address),
		cmocka_unit_test(a_unix_socket_has_a_path),
		cmocka_unit_test(an_abstract_socket_has_a_name),
		cmocka_unit_test(a_path_fits_sun_path_or_is_refused),
		cmocka_unit_test(a_name_is_checked_and_handed_back),
		cmocka_unit_test(a_name_has_an_end),
		cmocka_unit_test(what_is_wrong_is_refused_for_what_it_is),
		cmocka_unit_test(a_nul_is_no_end),
		cmocka_unit_test(every_error_has_a_remedy_of_its_own),
		cmocka_unit_test(what_is_written_is_what_was_read),
		cmocka_unit_test(a_mapped_address_is_shown_as_ipv4),
		cmocka_unit_test(an_unnamed_socket_has_no_path),
		cmocka_unit_test(the_kernel_s_own_forms_are_shown_in_full),
		cmocka_unit_test(a_small_buffer_gets_nothing_rather_than_a_part),
		cmocka_unit_test(no_address_is_an_error_to_show),
		cmocka_unit_test(equal_means_the_same_socket),
		cmocka_unit_test(equal_looks_at_what_counts),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
