/* Compiled once, and the same as compiled anew: results, errors, lines; forgotten when nothing needs it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "policy/chunks.h"

static struct tg_chunks chunks, *place;
static lua_State *lua;

static int
setup(void **state)
{
	(void)state;
	place = &chunks;
	lua = luaL_newstate();
	luaL_openlibs(lua);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	lua_close(lua);
	tg_chunks_fini(&chunks);
	return 0;
}

/* compile(text, name): the function, or nil and a message, are on the stack. */
static void
compile(const char *text, const char *name)
{
	lua_settop(lua, 0);
	tg_chunks_push(&place, lua);
	lua_pushstring(lua, text);
	lua_pushstring(lua, name);
	assert_int_equal(lua_pcall(lua, 2, LUA_MULTRET, 0), 0);
}

/* What the compiled function returns, or its error. */
static const char *
run(const char *text, const char *name)
{
	compile(text, name);
	assert_true(lua_isfunction(lua, 1));
	(void)lua_pcall(lua, 0, 1, 0);
	return lua_tostring(lua, -1);
}

static void
test_the_second_time_is_as_the_first(void **state)
{
	const struct tg_chunk *first;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_string_equal(run("local a = ... return 'x' .. 1", "@a.lua"), "x1");
		assert_string_equal(run("\n\nerror 'bad'", "@b.lua"), "b.lua:3: bad");
		if (i == 0)
			first = chunks.first;
		assert_ptr_equal(chunks.first, first); /* nothing was added */
	}
}

static void
test_another_text_or_name_is_another(void **state)
{
	(void)state;
	assert_string_equal(run("return 'one'", "@a.lua"), "one");
	assert_string_equal(run("return 'two'", "@a.lua"), "two");
	assert_string_equal(run("return 'one'", "@a.lua"), "one");
	assert_string_equal(run("error 'bad'", "@a.lua"), "a.lua:1: bad");
	assert_string_equal(run("error 'bad'", "@c.lua"), "c.lua:1: bad");
}

static void
test_a_text_of_another_state_serves(void **state)
{
	lua_State *other = lua;

	assert_string_equal(run("return 'x'", "@a.lua"), "x");
	setup(state);
	assert_string_equal(run("return 'x'", "@a.lua"), "x");
	lua_close(other);
	assert_string_equal(run("return 'x'", "@a.lua"), "x");
}

static void
test_an_error_is_told_and_not_kept(void **state)
{
	(void)state;
	compile("return return", "@a.lua");
	assert_int_equal(lua_gettop(lua), 2);
	assert_true(lua_isnil(lua, 1));
	assert_non_null(strstr(lua_tostring(lua, 2), "a.lua:1:"));
	assert_null(chunks.first);
}

static void
test_without_them_it_compiles(void **state)
{
	const struct tg_chunk *first;

	(void)state;
	assert_string_equal(run("return 'x'", "@a.lua"), "x");
	first = chunks.first;
	place = NULL;
	assert_string_equal(run("return 'x'", "@a.lua"), "x");
	assert_string_equal(run("return 'y'", "@b.lua"), "y");
	assert_ptr_equal(chunks.first, first);
}

static void
test_what_no_load_needs_is_forgotten(void **state)
{
	(void)state;
	(void)run("return 1", "@a.lua");
	(void)run("return 2", "@b.lua");
	tg_chunks_sweep(&chunks);
	assert_non_null(chunks.first);
	(void)run("return 1", "@a.lua");
	tg_chunks_sweep(&chunks);
	assert_string_equal(run("return 1", "@a.lua"), "1");
	tg_chunks_sweep(&chunks);
	tg_chunks_sweep(&chunks);
	assert_null(chunks.first);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_the_second_time_is_as_the_first),
		TEST(test_another_text_or_name_is_another),
		TEST(test_a_text_of_another_state_serves),
		TEST(test_an_error_is_told_and_not_kept),
		TEST(test_without_them_it_compiles),
		TEST(test_what_no_load_needs_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
