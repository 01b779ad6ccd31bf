#include "policy/chunks.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct bytes {
	char *ptr; /* malloc'd */
	size_t len;
};

struct tg_chunk {
	struct tg_chunk *next;
	char *name;
	struct bytes text, code;
	bool used; /* since the last sweep */
};

static void
free_chunk(struct tg_chunk *chunk)
{
	free(chunk->name);
	free(chunk->text.ptr);
	free(chunk->code.ptr);
	free(chunk);
}

void
tg_chunks_fini(struct tg_chunks *chunks)
{
	struct tg_chunk *next;

	for (struct tg_chunk *chunk = chunks->first; chunk != NULL; chunk = next) {
		next = chunk->next;
		free_chunk(chunk);
	}
	chunks->first = NULL;
}

void
tg_chunks_sweep(struct tg_chunks *chunks)
{
	struct tg_chunk **at = &chunks->first, *chunk;

	while ((chunk = *at) != NULL) {
		if (chunk->used) {
			chunk->used = false;
			at = &chunk->next;
		} else {
			*at = chunk->next;
			free_chunk(chunk);
		}
	}
}

/* The same text, which under another name would tell other lines in its errors. */
static struct tg_chunk *
find(const struct tg_chunks *chunks, struct tg_str text, const char *name)
{
	for (struct tg_chunk *chunk = chunks->first; chunk != NULL; chunk = chunk->next)
		if (chunk->text.len == text.len && strcmp(chunk->name, name) == 0 &&
		    memcmp(chunk->text.ptr, text.ptr, text.len) == 0)
			return chunk;
	return NULL;
}

static int
append(lua_State *lua, const void *piece, size_t len, void *arg)
{
	struct bytes *code = arg;
	char *grown = realloc(code->ptr, code->len + len);

	(void)lua;
	if (grown == NULL)
		return 1;
	memcpy(grown + code->len, piece, len);
	code->ptr = grown;
	code->len += len;
	return 0;
}

/* Keep what is on the top of the stack. Without the memory it is compiled again the next time. */
static void
keep(struct tg_chunks *chunks, lua_State *lua, struct tg_str text, const char *name)
{
	struct tg_chunk *chunk = calloc(1, sizeof(*chunk));

	if (chunk == NULL)
		return;
	chunk->name = strdup(name);
	chunk->text = (struct bytes){ malloc(text.len + 1), text.len };
	chunk->used = true;
	if (chunk->name == NULL || chunk->text.ptr == NULL ||
	    lua_dump(lua, append, &chunk->code) != 0) {
		free_chunk(chunk);
		return;
	}
	memcpy(chunk->text.ptr, text.ptr, text.len);
	chunk->next = chunks->first;
	chunks->first = chunk;
}

static int
compile(lua_State *lua)
{
	struct tg_chunks *const *place = lua_touserdata(lua, lua_upvalueindex(1));
	struct tg_str text;
	const char *name = luaL_checkstring(lua, 2);
	struct tg_chunk *chunk;

	text.ptr = luaL_checklstring(lua, 1, &text.len);
	chunk = *place != NULL ? find(*place, text, name) : NULL;
	if (chunk != NULL && luaL_loadbuffer(lua, chunk->code.ptr, chunk->code.len, name) == 0) {
		chunk->used = true;
		return 1;
	}
	if (luaL_loadbuffer(lua, text.ptr, text.len, name) != 0) {
		lua_pushnil(lua);
		lua_insert(lua, -2);
		return 2;
	}
	if (*place != NULL && chunk == NULL)
		keep(*place, lua, text, name);
	return 1;
}

void
tg_chunks_push(struct tg_chunks *const *place, lua_State *lua)
{
	lua_pushlightuserdata(lua, (void *)(uintptr_t)place);
	lua_pushcclosure(lua, compile, 1);
}
