/* The first message of a TLS client: what it names, and what is none, however it is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/hello.h"

enum { ROOM = 64 * 1024, RECORD = 5 };

/* Bytes that grow; lengths are filled in afterwards. */
static struct {
	unsigned char bytes[ROOM];
	size_t len;
} made;

static void
add(const void *bytes, size_t len)
{
	assert_true(made.len + len <= ROOM);
	memcpy(made.bytes + made.len, bytes, len);
	made.len += len;
}

#define ADD(literal) add(literal, sizeof(literal) - 1)

/* Room for a length of `size` bytes; where it is. */
static size_t
open_vector(unsigned size)
{
	add("\0\0\0", size);
	return made.len;
}

static void
close_vector(size_t start, unsigned size)
{
	size_t len = made.len - start;

	for (unsigned i = 1; i <= size; i++, len >>= 8)
		made.bytes[start - i] = (unsigned char)len;
}

static size_t message, extensions;

/* All up to its extensions. */
static void
begin(void)
{
	made.len = 0;
	ADD("\x01");
	message = open_vector(3);
	ADD("\x03\x03"
	    "0123456789abcdef0123456789abcdef"
	    "\x04"
	    "sess"
	    "\0\4\x13\x01\x13\x02"
	    "\1\0");
	extensions = open_vector(2);
}

static void
end(void)
{
	close_vector(extensions, 2);
	close_vector(message, 3);
}

static void
add_extension(unsigned kind, const void *bytes, size_t len)
{
	unsigned char head[2] = { (unsigned char)(kind >> 8), (unsigned char)kind };
	size_t vector;

	add(head, 2);
	vector = open_vector(2);
	add(bytes, len);
	close_vector(vector, 2);
}

#define EXTENSION(kind, literal) add_extension(kind, literal, sizeof(literal) - 1)

/* What was made, in records of at most `size` bytes. */
static void
cut_into_records(size_t size)
{
	static unsigned char whole[ROOM];
	size_t len = made.len;

	memcpy(whole, made.bytes, len);
	made.len = 0;
	for (size_t at = 0; at < len; at += size) {
		size_t n = len - at < size ? len - at : size, vector;

		ADD("\x16\x03\x01");
		vector = open_vector(2);
		add(whole + at, n);
		close_vector(vector, 2);
	}
}

static struct tg_hello hello;

static enum tg_hello_result
read_made(size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);
	enum tg_hello_result result;

	memcpy(copy, made.bytes, len);
	memset(&hello, 0xa5, sizeof(hello));
	result = tg_hello_read((struct tg_str){ copy, len }, &hello);
	free(copy);
	return result;
}

static void
assert_says(const char *sni, const char *alpn, size_t alpn_len)
{
	assert_int_equal(hello.sni_len, strlen(sni));
	assert_memory_equal(hello.sni, sni, strlen(sni));
	assert_int_equal(hello.alpn_len, alpn_len);
	assert_memory_equal(hello.alpn, alpn, alpn_len);
}

#define ONE_NAME                                                                                   \
	"\0\x0e"                                                                                   \
	"\0"                                                                                       \
	"\0\x0b"                                                                                   \
	"Example.com"

static void
make_usual(void)
{
	begin();
	EXTENSION(0x0a0a, "");
	EXTENSION(0, ONE_NAME);
	EXTENSION(16,
	    "\0\x0c"
	    "\2h2"
	    "\x08http/1.1");
	EXTENSION(43, "\2\3\4");
	end();
}

static void
names_are_found_in_lower_case(void **state)
{
	make_usual();
	cut_into_records(16384);
	assert_int_equal(read_made(made.len), TG_HELLO_DONE);
	assert_says("example.com", "\2h2\x08http/1.1", 12);
}

static void
every_cut_needs_more_and_what_follows_is_not_looked_at(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 4, 5, 7, 50, 16384 };

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t len;

		make_usual();
		cut_into_records(sizes[i]);
		len = made.len;
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(read_made(cut), TG_HELLO_MORE);
		ADD("\x17\x03\x03 whatever");
		assert_int_equal(read_made(made.len), TG_HELLO_DONE);
		assert_says("example.com", "\2h2\x08http/1.1", 12);
	}
}

static void
a_hello_need_not_name_anything(void **state)
{
	begin();
	end();
	cut_into_records(16384);
	assert_int_equal(read_made(made.len), TG_HELLO_DONE);
	assert_says("", "", 0);

	/* Nor have extensions at all. */
	begin();
	made.len = extensions - 2;
	close_vector(message, 3);
	cut_into_records(16384);
	assert_int_equal(read_made(made.len), TG_HELLO_DONE);
	assert_says("", "", 0);
}

static void
what_is_no_tls_is_told_by_its_first_bytes(void **state)
{
	static const struct {
		const char *bytes;
		size_t len, told; /* by so many bytes */
	} rows[] = {
		{ "GET / HTTP/1.1\r\n", 16, 1 }, { "SSH-2.0-x\r\n", 11, 1 },
		{ "\x15\x03\x01\0\2", 5, 1 }, { "\x80\x2e\x01\0\2", 5, 1 }, /* SSL 2 */
		{ "\x16\x02\x01\0\4\1", 6, 2 }, { "\x16\x04\x01\0\4\1", 6, 2 },
		{ "\x16\x03\x01\0\0\1", 6, 5 },                   /* an empty record */
		{ "\x16\x03\x01\x40\x01\1", 6, 5 },               /* one that is too long */
		{ "\x16\x03\x01\0\4\2\0\0\0", 9, 6 },             /* a ServerHello */
		{ "\x16\x03\x01\0\4\1\1\0\0", 9, 9 },             /* a message that is too long */
		{ "\x16\x03\x01\0\1\1\x17\x03\x01\0\1x", 12, 7 }, /* data within the message */
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		made.len = 0;
		add(rows[i].bytes, rows[i].len);
		for (size_t cut = 0; cut <= rows[i].len; cut++)
			assert_int_equal(
			    read_made(cut), cut < rows[i].told ? TG_HELLO_MORE : TG_HELLO_OTHER);
	}
}

/* A hello with this one extension, or with it twice. */
static void
assert_refused(unsigned kind, const void *bytes, size_t len, unsigned times)
{
	begin();
	while (times-- > 0)
		add_extension(kind, bytes, len);
	end();
	cut_into_records(16384);
	assert_int_equal(read_made(made.len), TG_HELLO_OTHER);
}

#define REFUSED(kind, literal) assert_refused(kind, literal, sizeof(literal) - 1, 1)

static void
what_is_malformed_is_none(void **state)
{
	REFUSED(0, "");
	REFUSED(0, "\0\0");
	REFUSED(0, "\0\3\0\0\0");           /* an empty name */
	REFUSED(0, "\0\4\1\0\1a");          /* another kind of name */
	REFUSED(0, "\0\5\0\0\1a");          /* the list says more than there is */
	REFUSED(0, "\0\4\0\0\2a");          /* and the name */
	REFUSED(0, "\0\4\0\0\1a!");         /* something behind the list */
	REFUSED(0, "\0\x08\0\0\1a\0\0\1b"); /* two names */
	REFUSED(0, "\0\6\0\0\3a b");
	REFUSED(0, "\0\6\0\0\3a\0b");
	REFUSED(0, "\0\6\0\0\3a\nb");
	REFUSED(0, "\0\5\0\0\2\xc3\xa4");
	REFUSED(16, "");
	REFUSED(16, "\0\0");
	REFUSED(16, "\0\1\0");
	REFUSED(16, "\0\3\3h2");
	REFUSED(16, "\0\3\2h2!");
	assert_refused(0, ONE_NAME, sizeof(ONE_NAME) - 1, 2);
	assert_refused(16, "\0\3\2h2", 5, 2);
}

static void
lengths_are_not_believed(void **state)
{
	/* The session, the ciphers, the compressions, the extensions: each says more than there is. */
	static const size_t places[] = { 38, 44, 49, 52 };

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		make_usual();
		made.bytes[places[i]] = 0xff;
		cut_into_records(16384);
		assert_int_equal(read_made(made.len), TG_HELLO_OTHER);
	}
	/* The message ends within its extensions. */
	make_usual();
	made.len -= 1;
	close_vector(message, 3);
	cut_into_records(16384);
	assert_int_equal(read_made(made.len), TG_HELLO_OTHER);
	/* And behind them. */
	make_usual();
	ADD("!");
	close_vector(message, 3);
	cut_into_records(16384);
	assert_int_equal(read_made(made.len), TG_HELLO_OTHER);
}

static void
a_long_hello_is_read_up_to_the_limit(void **state)
{
	static const char padding[20000];

	begin();
	add_extension(21, padding, 9000);
	EXTENSION(0, ONE_NAME);
	end();
	cut_into_records(16384);
	assert_int_equal(read_made(made.len), TG_HELLO_DONE);
	assert_says("example.com", "", 0);

	begin();
	add_extension(21, padding, 18000);
	EXTENSION(0, ONE_NAME);
	end();
	cut_into_records(16384);
	assert_int_equal(read_made(made.len), TG_HELLO_OTHER);

	/* Many records make it longer. */
	begin();
	add_extension(21, padding, 9000);
	end();
	cut_into_records(5);
	assert_int_equal(read_made(TG_HELLO_MAX - 1), TG_HELLO_MORE);
	assert_int_equal(read_made(TG_HELLO_MAX), TG_HELLO_OTHER);
}

static void
long_names_are_kept_whole_or_not_at_all(void **state)
{
	static char name[2 + 3 + 255], list[2 + 201 + 51 + 31 + 3];
	static const size_t lens[] = { 200, 50, 30, 2 };
	size_t at = 2;

	memset(name, 'n', sizeof(name));
	memcpy(name, "\1\2\0\0\xff", 5);
	for (unsigned i = 0; i < 4; i++) {
		list[at] = (char)lens[i];
		memset(list + at + 1, 'a' + (int)i, lens[i]);
		at += 1 + lens[i];
	}
	list[0] = (char)((at - 2) >> 8);
	list[1] = (char)(at - 2);
	begin();
	add_extension(0, name, sizeof(name));
	add_extension(16, list, sizeof(list));
	end();
	cut_into_records(16384);
	assert_int_equal(read_made(made.len), TG_HELLO_DONE);
	assert_int_equal(hello.sni_len, 255);
	assert_memory_equal(hello.sni, name + 5, 255);
	assert_int_equal(hello.alpn_len, 201 + 51);
	assert_memory_equal(hello.alpn, list + 2, 201 + 51);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found_in_lower_case),
		cmocka_unit_test(every_cut_needs_more_and_what_follows_is_not_looked_at),
		cmocka_unit_test(a_hello_need_not_name_anything),
		cmocka_unit_test(what_is_no_tls_is_told_by_its_first_bytes),
		cmocka_unit_test(what_is_malformed_is_none),
		cmocka_unit_test(lengths_are_not_believed),
		cmocka_unit_test(a_long_hello_is_read_up_to_the_limit),
		cmocka_unit_test(long_names_are_kept_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
