/* What the text of scripts compiles to, kept from one load to the next: with N workers a reload makes N + 1 VMs, and
 * to compile the runtime and the shipped scripts is nearly all of what each costs. Control thread only, which loads
 * all VMs.
 */
#ifndef TG_POLICY_CHUNKS_H
#define TG_POLICY_CHUNKS_H

#include <lua.h>
#include <stdbool.h>

struct tg_chunks {
	struct tg_chunk *first;
};

void tg_chunks_fini(struct tg_chunks *chunks);

/* A load is over: what it had no use for is forgotten. */
void tg_chunks_sweep(struct tg_chunks *chunks);

/* Push onto the stack a function (text, name) → function, or nil and a message, as loadstring. It looks for the chunks
 * at `place`, and does without once that holds NULL: a VM that was handed to another thread must not touch them. */
void tg_chunks_push(struct tg_chunks *const *place, lua_State *lua);

#endif
