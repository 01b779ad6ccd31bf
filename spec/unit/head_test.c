/* Fields of a head: found by name, edited by scripts, and never a byte that could split a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/bytes.h"
#include "http/head.h"

static struct tg_blocks blocks;
static struct tg_arena arena;
static struct tg_head head;

static int
set_up(void **state)
{
	tg_blocks_init(&blocks, 4096, 4);
	tg_arena_init(&arena, &blocks);
	tg_head_init(&head, &arena);
	return 0;
}

static int
tear_down(void **state)
{
	tg_arena_reset(&arena);
	tg_blocks_fini(&blocks);
	return 0;
}

static void
assert_str(struct tg_str actual, const char *expected)
{
	if (!tg_str_eq(actual, tg_str_of(expected)))
		fail_msg("\"%.*s\" is not \"%s\"", (int)actual.len, actual.ptr, expected);
}

static int
set(const char *name, const char *value)
{
	return tg_head_set(&head, tg_str_of(name), tg_str_of(value));
}

static int
add(const char *name, const char *value)
{
	return tg_head_add(&head, tg_str_of(name), tg_str_of(value));
}

static const struct tg_field *
find(const char *name, const struct tg_field *after)
{
	return tg_head_find(&head, tg_str_of(name), after);
}

static void
assert_live(size_t expected)
{
	size_t live = 0;

	for (size_t i = 0; i < head.count; i++)
		live += (head.fields[i].flags & TG_FIELD_REMOVED) == 0;
	assert_int_equal(live, expected);
}

static void
ids_are_found_whatever_the_case(void **state)
{
	static const struct {
		const char *name;
		enum tg_field_id id;
	} rows[] = {
		{ "connection", TG_FIELD_CONNECTION },
		{ "Connection", TG_FIELD_CONNECTION },
		{ "KEEP-ALIVE", TG_FIELD_KEEP_ALIVE },
		{ "Content-Length", TG_FIELD_CONTENT_LENGTH },
		{ "Cookie", TG_FIELD_COOKIE },
		{ "Expect", TG_FIELD_EXPECT },
		{ "hOST", TG_FIELD_HOST },
		{ "Proxy-Connection", TG_FIELD_PROXY_CONNECTION },
		{ "TE", TG_FIELD_TE },
		{ "Trailer", TG_FIELD_TRAILER },
		{ "Transfer-Encoding", TG_FIELD_TRANSFER_ENCODING },
		{ "Upgrade", TG_FIELD_UPGRADE },
		{ "Accept", TG_FIELD_OTHER },
		{ "Hos", TG_FIELD_OTHER },
		{ "Content_Length", TG_FIELD_OTHER },
		{ "", TG_FIELD_OTHER },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (tg_field_id_of(tg_str_of(rows[i].name)) != rows[i].id)
			fail_msg("id of \"%s\"", rows[i].name);
	}
}

static void
find_walks_the_fields_of_one_name(void **state)
{
	const struct tg_field *field;

	assert_null(find("X-One", NULL));
	assert_int_equal(add("X-One", "1"), 0);
	assert_int_equal(add("X-Two", "2"), 0);
	assert_int_equal(add("x-one", "3"), 0);
	field = find("x-ONE", NULL);
	assert_str(field->value, "1");
	field = find("x-ONE", field);
	assert_str(field->value, "3");
	assert_null(find("x-ONE", field));
	assert_null(find("x-on", NULL));
}

static void
set_replaces_all_in_the_place_of_the_first(void **state)
{
	assert_int_equal(add("A", "1"), 0);
	assert_int_equal(add("B", "2"), 0);
	assert_int_equal(add("a", "3"), 0);
	assert_int_equal(set("A", "new"), 0);
	assert_live(2);
	assert_str(head.fields[0].value, "new");
	assert_str(head.fields[1].value, "2");
	assert_null(find("A", find("A", NULL)));
}

static void
what_was_removed_can_be_set_again(void **state)
{
	assert_int_equal(set("A", "1"), 0);
	assert_int_equal(tg_head_remove(&head, TG_STR("a")), 0);
	assert_null(find("A", NULL));
	assert_int_equal(tg_head_remove(&head, TG_STR("a")), 0);
	assert_int_equal(set("A", "2"), 0);
	assert_str(find("A", NULL)->value, "2");
	assert_live(1);
	for (int i = 0; i < 2000; i++) { /* and does not fill the head */
		assert_int_equal(tg_head_remove(&head, TG_STR("A")), 0);
		assert_int_equal(set("A", "3"), 0);
	}
	assert_int_equal(head.count, 1);
}

static void
a_removed_field_before_a_live_one_stays_removed(void **state)
{
	assert_int_equal(add("A", "old"), 0);
	assert_int_equal(tg_head_remove(&head, TG_STR("A")), 0);
	assert_int_equal(add("A", "1"), 0);
	assert_int_equal(set("A", "2"), 0);
	assert_live(1);
	assert_str(find("A", NULL)->value, "2");
}

static void
edits_copy_their_arguments(void **state)
{
	char name[] = "X-Name", value[] = "value";

	assert_int_equal(set(name, value), 0);
	memset(name, '!', sizeof(name) - 1);
	memset(value, '!', sizeof(value) - 1);
	assert_str(find("X-Name", NULL)->value, "value");
	assert_int_equal(tg_head_set(&head, TG_STR("X-Name"), find("X-Name", NULL)->value), 0);
	assert_str(find("X-Name", NULL)->value, "value");
}

static void
white_space_around_a_value_is_dropped(void **state)
{
	assert_int_equal(set("A", " \t b\tc \t"), 0);
	assert_str(find("A", NULL)->value, "b\tc");
	assert_int_equal(set("A", "  "), 0);
	assert_str(find("A", NULL)->value, "");
	assert_int_equal(tg_head_set(&head, TG_STR("A"), (struct tg_str){ NULL, 0 }), 0);
	assert_str(find("A", NULL)->value, "");
}

/* Each byte, alone and in each place of a longer value (that is read eight bytes at a time). */
static void
no_control_byte_enters_a_value(void **state)
{
	char value[20];
	bool legal;

	for (int byte = 0; byte < 256; byte++) {
		legal = byte == '\t' || (byte >= 0x20 && byte != 0x7F);
		for (size_t at = 0; at < sizeof(value); at++) {
			memset(value, 'v', sizeof(value));
			value[at] = (char)byte;
			if (tg_bytes_are((struct tg_str){ value, sizeof(value) }, TG_BYTE_VALUE) !=
			    legal)
				fail_msg("byte %d at %zu", byte, at);
		}
		assert_int_equal(
		    tg_head_set(&head, TG_STR("A"), (struct tg_str){ value, sizeof(value) }),
		    legal ? 0 : TG_HTTP_BAD);
	}
}

static void
a_name_is_a_token(void **state)
{
	char name[] = "X?Y";

	for (int byte = 0; byte < 256; byte++) {
		bool legal = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
		    (byte >= 'A' && byte <= 'Z') ||
		    (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
		struct tg_str view = { name, 3 };

		name[1] = (char)byte;
		assert_int_equal(tg_head_set(&head, view, TG_STR("v")), legal ? 0 : TG_HTTP_BAD);
		assert_int_equal(tg_head_add(&head, view, TG_STR("v")), legal ? 0 : TG_HTTP_BAD);
		assert_int_equal(tg_head_remove(&head, view), legal ? 0 : TG_HTTP_BAD);
	}
	assert_int_equal(set("", "v"), TG_HTTP_BAD);
}

static void
fields_of_the_engine_are_not_the_scripts(void **state)
{
	static const char *const names[] = { "Connection", "content-length", "Keep-Alive",
		"Proxy-Connection", "TE", "Trailer", "TRANSFER-ENCODING", "Upgrade",
		"HTTP2-Settings" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(set(names[i], "x"), TG_HTTP_FORBIDDEN);
		assert_int_equal(add(names[i], "x"), TG_HTTP_FORBIDDEN);
		assert_int_equal(tg_head_remove(&head, tg_str_of(names[i])), TG_HTTP_FORBIDDEN);
	}
	assert_int_equal(set("Host", "a"), 0); /* of a response: a field like any other */
	head.method = TG_STR("GET");
	assert_int_equal(set("Host", "a"), TG_HTTP_FORBIDDEN);
	assert_int_equal(tg_head_remove(&head, TG_STR("Host")), TG_HTTP_FORBIDDEN);
}

static void
a_head_has_at_most_512_fields(void **state)
{
	for (int i = 0; i < 512; i++)
		assert_int_equal(add("A", "v"), 0);
	assert_int_equal(add("A", "v"), TG_HTTP_TOO_LARGE);
	assert_int_equal(set("B", "v"), TG_HTTP_TOO_LARGE);
	assert_int_equal(set("A", "last"), 0);
	assert_live(1);
	assert_str(find("A", NULL)->value, "last");
}

static void
hosts_are_judged(void **state)
{
	static const char *const good[] = { "example.com", "EXAMPLE.com:80", "a", "a:", "a:0",
		"a:65535", "a_b.c-d~", "127.0.0.1:8080", "[::1]", "[::1]:443",
		"[2001:db8::7]:", "[::ffff:10.0.0.1]", "xn--bcher-kva.example", "a%20b",
		"!$&'()*+,;=", "a.:80" };
	static const char *const bad[] = { "", ":80", "a:65536", "a:99999999999999999999", "a:x",
		"a:-1", "a b", "a/b", "a?b", "a#b", "a@b", "user@a:80", "a:b@c", "[::1", "::1]",
		"::1", "[]", "[::1]x", "[::1]80", "[v1.x]", "[fe80::1%25eth0]", "[1.2.3.4]", "a%",
		"a%2", "a%2g", "a\tb", "a\"b", "a\\b", "a\x80", "a:80:80", "[::1]:80:80", "[[::1]]",
		"a]", "\x7f", "a,b:x" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!tg_host_valid(tg_str_of(good[i])))
			fail_msg("refused: %s", good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (tg_host_valid(tg_str_of(bad[i])))
			fail_msg("accepted: %s", bad[i]);
	}
	assert_false(tg_host_valid((struct tg_str){ "a\0b", 3 }));
	assert_false(tg_host_valid((struct tg_str){ "[::1\0]", 6 }));
}

static void
path_query_and_host_are_judged_and_set(void **state)
{
	static const char *const bad_paths[] = { "", "a", "*", "/a b", "/a?b", "/a#b", "/\x7f",
		"/\x80", "/\r\n", "?" };

	assert_int_equal(tg_head_set_path(&head, TG_STR("/a/%20//..")), 0);
	assert_int_equal(tg_head_set_query(&head, TG_STR("a=b?c")), 0);
	assert_int_equal(tg_head_set_host(&head, TG_STR("b:81")), 0);
	for (size_t i = 0; i < sizeof(bad_paths) / sizeof(bad_paths[0]); i++)
		assert_int_equal(tg_head_set_path(&head, tg_str_of(bad_paths[i])), TG_HTTP_BAD);
	assert_int_equal(tg_head_set_path(&head, (struct tg_str){ "/\0", 2 }), TG_HTTP_BAD);
	assert_int_equal(tg_head_set_query(&head, TG_STR("a b")), TG_HTTP_BAD);
	assert_int_equal(tg_head_set_query(&head, TG_STR("a#b")), TG_HTTP_BAD);
	assert_int_equal(tg_head_set_host(&head, TG_STR("")), TG_HTTP_BAD);
	assert_int_equal(tg_head_set_host(&head, TG_STR("a\r\nb")), TG_HTTP_BAD);
	assert_str(head.path, "/a/%20//..");
	assert_str(head.query, "a=b?c");
	assert_str(head.host, "b:81");
	assert_int_equal(tg_head_set_query(&head, TG_STR("")), 0);
	assert_non_null(head.query.ptr);
	assert_int_equal(tg_head_set_query(&head, (struct tg_str){ NULL, 0 }), 0);
	assert_null(head.query.ptr);
}

static void
the_asterisk_takes_no_query(void **state)
{
	head.path = TG_STR("*");
	assert_int_equal(tg_head_set_query(&head, TG_STR("a")), TG_HTTP_BAD);
	assert_int_equal(tg_head_set_query(&head, (struct tg_str){ NULL, 0 }), 0);
}

static void
reasons_are_the_standard_ones(void **state)
{
	assert_str(tg_reason(200), "OK");
	assert_str(tg_reason(404), "Not Found");
	assert_str(tg_reason(511), "Network Authentication Required");
	assert_str(tg_reason(299), "");
	assert_str(tg_reason(599), "");
	assert_str(tg_reason(99999), "");
	assert_str(tg_reason(-1), "");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ids_are_found_whatever_the_case),
		TEST(find_walks_the_fields_of_one_name),
		TEST(set_replaces_all_in_the_place_of_the_first),
		TEST(what_was_removed_can_be_set_again),
		TEST(a_removed_field_before_a_live_one_stays_removed),
		TEST(edits_copy_their_arguments),
		TEST(white_space_around_a_value_is_dropped),
		TEST(no_control_byte_enters_a_value),
		TEST(a_name_is_a_token),
		TEST(fields_of_the_engine_are_not_the_scripts),
		TEST(a_head_has_at_most_512_fields),
		TEST(hosts_are_judged),
		TEST(path_query_and_host_are_judged_and_set),
		TEST(the_asterisk_takes_no_query),
		TEST(reasons_are_the_standard_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
