/* Which bytes may stand where, and the comma lists of field values: what reading, editing and
 * judging a head have in common. For this floor only.
 */
#ifndef TG_HTTP_BYTES_H
#define TG_HTTP_BYTES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum tg_byte_class {
	TG_BYTE_TOKEN = 1,  /* tchar: methods, field names, codings (RFC 9110 §5.6.2) */
	TG_BYTE_VALUE = 2,  /* field values: HT, SP, VCHAR, obs-text (RFC 9110 §5.5) */
	TG_BYTE_TARGET = 4, /* a request target: VCHAR, but no fragment (RFC 9112 §3.2) */
	TG_BYTE_HOST = 8,   /* a reg-name, without pct-encoded (RFC 3986 §3.2.2) */
};

extern const uint8_t tg_byte_classes[256];

static inline bool
tg_byte_is(char byte, enum tg_byte_class class)
{
	return (tg_byte_classes[(unsigned char)byte] & class) != 0;
}

bool tg_bytes_are_value(struct tg_str bytes);

/* Is every byte of that class? True for an empty string. */
static inline bool
tg_bytes_are(struct tg_str bytes, enum tg_byte_class class)
{
	if (class == TG_BYTE_VALUE)
		return tg_bytes_are_value(bytes);
	for (size_t i = 0; i < bytes.len; i++) {
		if (!tg_byte_is(bytes.ptr[i], class))
			return false;
	}
	return true;
}

/* Without the white space (SP, HT) at both ends. */
struct tg_str tg_bytes_trim(struct tg_str bytes);

/* Take the next element of a comma list off `*list`, trimmed, possibly empty. False at the
 * end; a list that is empty has one empty element (RFC 9110 §5.6.1). Start with the whole
 * value; at the end list->ptr is NULL. */
bool tg_list_next(struct tg_str *list, struct tg_str *element);

#endif
