/* Small helpers on struct tg_str. They never allocate and never look past len. */
#ifndef TG_BASE_STR_H
#define TG_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/view.h"

#define TG_STR(literal) ((struct tg_str){ (literal), sizeof(literal) - 1 })

/* A view of a C string. NULL gives the absent view. */
static inline struct tg_str
tg_str_of(const char *s)
{
	return (struct tg_str){ s, s != NULL ? strlen(s) : 0 };
}

/* The same bytes. The absent view equals the empty one. */
static inline bool
tg_str_eq(struct tg_str a, struct tg_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* The lower case of an ASCII letter, in any locale; every other byte is itself. */
static inline unsigned char
tg_char_lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Equal but for the case of ASCII letters (field names, codings: RFC 9110 §5.1). Not
 * strncasecmp: that takes all after a NUL for equal, and depends on the locale. */
static inline bool
tg_str_ieq(struct tg_str a, struct tg_str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (tg_char_lower(a.ptr[i]) != tg_char_lower(b.ptr[i]))
			return false;
	return true;
}

#endif
