/* Headers of the PROXY protocol: what they say, what is malformed, and what we write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "net/proxyproto.h"

#define M(literal)                                                                                 \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\x0a\0\0\1\x0a\0\0\2\x04\xd2\0\x50"
#define V6 "\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x04\xd2\0\x50"

struct row {
	struct tg_str bytes;
	const char *said; /* NULL: malformed */
};

static const struct row rows[] = {
	{ M("PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\r\n"), "10.0.0.1:1234 > 10.0.0.2:80" },
	{ M("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n"),
	    "255.255.255.255:65535 > 0.0.0.0:0" },
	{ M("PROXY TCP6 2001:db8::1 ::ffff:10.0.0.2 1234 80\r\n"),
	    "[2001:db8::1]:1234 > 10.0.0.2:80" },
	{ M("PROXY UNKNOWN\r\n"), "- > -" }, { M("PROXY UNKNOWN and whatever\r\n"), "- > -" },
	{ M("PROXY\r\n"), NULL }, { M("PROXY \r\n"), NULL },
	{ M("PROXY TCP5 10.0.0.1 10.0.0.2 1234 80\r\n"), NULL },
	{ M("PROXY TCP4 10.0.0.1 10.0.0.2 1234\r\n"), NULL },
	{ M("PROXY TCP4 10.0.0.1 10.0.0.2 1234 80 \r\n"), NULL },
	{ M("PROXY TCP4 10.0.0.1 10.0.0.2 1234 80 1\r\n"), NULL },
	{ M("PROXY  TCP4 10.0.0.1 10.0.0.2 1234 80\r\n"), NULL },
	{ M("PROXY TCP4  10.0.0.1 10.0.0.2 1234 80\r\n"), NULL },
	{ M("PROXY TCP4 10.0.0.1 10.0.0.2 01234 80\r\n"), NULL },
	{ M("PROXY TCP4 10.0.0.1 10.0.0.2 65536 80\r\n"), NULL },
	{ M("PROXY TCP4 10.0.0.1 10.0.0.2 -1 80\r\n"), NULL },
	{ M("PROXY TCP4 10.0.0.1 10.0.0 1234 80\r\n"), NULL },
	{ M("PROXY TCP4 2001:db8::1 10.0.0.2 1234 80\r\n"), NULL },
	{ M("PROXY TCP6 10.0.0.1 10.0.0.2 1234 80\r\n"), NULL },
	{ M("PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\r\r\n"), NULL },
	{ M("PROXY TCP4 10.0.0.1\0 10.0.0.2 1234 80\r\n"), NULL },
	{ M("PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\n"), "..." },
	{ M("proxy TCP4 10.0.0.1 10.0.0.2 1234 80\r\n"), NULL }, { M("GET / HTTP/1.1\r\n"), NULL },
	{ M("\r\nGET / HTTP/1.1\r\n"), NULL }, { M("P"), "..." }, { M("\r\n\r\n"), "..." },

	{ M(SIGNATURE "\x21\x11\0\x0c" V4), "10.0.0.1:1234 > 10.0.0.2:80" },
	{ M(SIGNATURE "\x21\x21\0\x24" V6), "[2001:db8::1]:1234 > [2001:db8::2]:80" },
	{ M(SIGNATURE "\x20\0\0\0"), "local - > -" },
	{ M(SIGNATURE "\x20\x11\0\x0c" V4), "local - > -" }, { M(SIGNATURE "\x21\0\0\0"), "- > -" },
	{ M(SIGNATURE "\x21\0\0\3abc"), "- > -" },
	{ M(SIGNATURE "\x21\x11\0\x0c" V4 "GET"), "10.0.0.1:1234 > 10.0.0.2:80" },
	{ M(SIGNATURE "\x21\x11\0\x0b" V4), NULL }, { M(SIGNATURE "\x21\x21\0\x0c" V4), NULL },
	{ M(SIGNATURE "\x21\x12\0\x0c" V4), NULL }, /* UDP */
	{ M(SIGNATURE "\x22\x11\0\x0c" V4), NULL },
	{ M(SIGNATURE "\x11\x11\0\x0c" V4), NULL }, /* version 1 in binary */
	{ M(SIGNATURE "\x21\x11\xff\xff" V4), NULL }, { M(SIGNATURE "\x21\x11\0\x0c"), "..." },

	{ M(SIGNATURE "\x21\x11\0\x17" V4 "\2\0\3a.b\5\0\2id"),
	    "10.0.0.1:1234 > 10.0.0.2:80 authority=a.b unique_id=id" },
	{ M(SIGNATURE "\x21\x11\0\x11" V4 "\1\0\2h2"), "10.0.0.1:1234 > 10.0.0.2:80 alpn=h2" },
	{ M(SIGNATURE "\x21\x11\0\x10" V4 "\xee\0\1x"), "10.0.0.1:1234 > 10.0.0.2:80" },
	{ M(SIGNATURE "\x21\x11\0\x1e" V4 "\x20\0\x0f\1\0\0\0\0\x21\0\7TLSv1.3"),
	    "10.0.0.1:1234 > 10.0.0.2:80 tls version=TLSv1.3" },
	{ M(SIGNATURE "\x21\x11\0\x18" V4 "\x20\0\x09\7\0\0\0\0\x22\0\1x"),
	    "10.0.0.1:1234 > 10.0.0.2:80 tls verified cn=x" },
	{ M(SIGNATURE "\x21\x11\0\x14" V4 "\x20\0\5\7\0\0\0\1"),
	    "10.0.0.1:1234 > 10.0.0.2:80 tls" },
	{ M(SIGNATURE "\x21\x11\0\x13" V4 "\x20\0\4\7\0\0\0"), NULL },
	{ M(SIGNATURE "\x21\x11\0\x0d" V4 "\2"), NULL },
	{ M(SIGNATURE "\x21\x11\0\x10" V4 "\2\0\2a"), NULL },
	{ M(SIGNATURE "\x21\x11\0\x13" V4 "\3\0\4\0\0\0\0"), NULL }, /* a wrong checksum */
};

static void
put_addr(char *out, size_t cap, const struct tg_addr *addr)
{
	if (addr->len == 0)
		snprintf(out, cap, "-");
	else
		assert_true(tg_addr_format(addr, out, cap) > 0);
}

static const char *
summary(const struct tg_proxyproto *said)
{
	static char text[400];
	char from[TG_ADDR_TEXT_MAX], to[TG_ADDR_TEXT_MAX];
	int len;

	put_addr(from, sizeof(from), &said->from);
	put_addr(to, sizeof(to), &said->to);
	len = snprintf(text, sizeof(text), "%s%s > %s%s%s", said->local ? "local " : "", from, to,
	    said->tls ? " tls" : "", said->verified ? " verified" : "");
#define PUT(view, name)                                                                            \
	if (said->view.ptr != NULL)                                                                \
	len += snprintf(text + len, sizeof(text) - (size_t)len, " " name "=%.*s",                  \
	    (int)said->view.len, said->view.ptr)
	PUT(alpn, "alpn");
	PUT(authority, "authority");
	PUT(unique_id, "unique_id");
	PUT(tls_version, "version");
	PUT(tls_cipher, "cipher");
	PUT(tls_cn, "cn");
#undef PUT
	return text;
}

static void
a_header_says_for_whom(void **state)
{
	struct tg_proxyproto said;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		int used = tg_proxyproto_read(row->bytes, &said);

		if (row->said == NULL) {
			if (used != TG_PROXYPROTO_MALFORMED)
				fail_msg("row %zu gives %d", i, used);
		} else if (strcmp(row->said, "...") == 0) {
			if (used != 0)
				fail_msg("row %zu gives %d", i, used);
		} else {
			if (used <= 0)
				fail_msg("row %zu gives %d", i, used);
			assert_string_equal(summary(&said), row->said);
			/* whatever it is cut to, more is needed */
			for (size_t len = 1; len < (size_t)used; len++)
				assert_int_equal(tg_proxyproto_read(
				                     (struct tg_str){ row->bytes.ptr, len }, &said),
				    0);
		}
	}
}

static void
a_line_that_does_not_end_is_malformed(void **state)
{
	struct tg_proxyproto said;
	char line[200];

	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	assert_int_equal(tg_proxyproto_read((struct tg_str){ line, 106 }, &said), 0);
	assert_int_equal(
	    tg_proxyproto_read((struct tg_str){ line, 107 }, &said), TG_PROXYPROTO_MALFORMED);
}

static void
what_is_written_is_read(void **state)
{
	static const char *const addresses[] = { "10.0.0.1:1234", "[2001:db8::1]:80", "" };
	char out[TG_PROXYPROTO_WRITE], expected[2 * TG_ADDR_TEXT_MAX + 4];
	struct tg_addr addr[3];
	struct tg_proxyproto said;
	struct tg_str host;
	uint16_t port;

	for (int i = 0; i < 2; i++)
		assert_int_equal(
		    tg_addr_parse(tg_str_of(addresses[i]), false, &addr[i], &host, &port), 0);
	addr[2] = (struct tg_addr){ .len = 0 };
	for (int version = 1; version <= 2; version++)
		for (int from = 0; from < 3; from++)
			for (int to = 0; to < 3; to++) {
				size_t len =
				    tg_proxyproto_write(version, &addr[from], &addr[to], out);
				bool known = from < 2 && to < 2;

				assert_true(len <= sizeof(out));
				assert_int_equal(
				    tg_proxyproto_read((struct tg_str){ out, len }, &said), len);
				snprintf(expected, sizeof(expected), "%s > %s",
				    known ? addresses[from] : "-", known ? addresses[to] : "-");
				assert_string_equal(
				    summary(&said) + (version == 2 && !known ? 6 : 0), expected);
			}
}

/* As sockets tell that listen to both. */
static void
ipv4_mapped_to_ipv6_is_written_as_ipv4(void **state)
{
	static const char line[] = "PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\r\n",
	                  header[] = SIGNATURE "\x21\x11\0\x0c" V4;
	char out[TG_PROXYPROTO_WRITE];
	struct tg_addr from, to;
	struct tg_str host;
	uint16_t port;

	assert_int_equal(tg_addr_parse(tg_str_of("10.0.0.1:1234"), false, &from, &host, &port), 0);
	assert_int_equal(
	    tg_addr_parse(tg_str_of("[::ffff:10.0.0.2]:80"), false, &to, &host, &port), 0);
	assert_int_equal(tg_proxyproto_write(1, &from, &to, out), sizeof(line) - 1);
	assert_memory_equal(out, line, sizeof(line) - 1);
	assert_int_equal(tg_proxyproto_write(2, &from, &to, out), sizeof(header) - 1);
	assert_memory_equal(out, header, sizeof(header) - 1);
}

static void
a_checksum_is_checked(void **state)
{
	char bytes[] = SIGNATURE "\x21\x11\0\x13" V4 "\3\0\4\xf0\x92\xf7\x51";
	struct tg_str header = { bytes, sizeof(bytes) - 1 };
	struct tg_proxyproto said;

	assert_int_equal(tg_proxyproto_read(header, &said), header.len);
	for (size_t i = 16; i < header.len; i++) {
		if (i == 28) /* another type, which has no checksum */
			continue;
		bytes[i] ^= 1;
		assert_int_equal(tg_proxyproto_read(header, &said), TG_PROXYPROTO_MALFORMED);
		bytes[i] ^= 1;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_says_for_whom),
		cmocka_unit_test(a_line_that_does_not_end_is_malformed),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(ipv4_mapped_to_ipv6_is_written_as_ipv4),
		cmocka_unit_test(a_checksum_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
