/* The one string view of the house: bytes that somebody else owns, not terminated by NUL.
 *
 * This file is read by two compilers: C includes it, and the build embeds its text for
 * LuaJIT's ffi.cdef. So: declarations only, no #include and no macro but the guard.
 */
#ifndef TG_BASE_VIEW_H
#define TG_BASE_VIEW_H

struct tg_str {
	const char *ptr; /* NULL means "absent"; an empty string has a pointer */
	size_t len;      /* bytes */
};

#endif
