/* One table lookup a byte. Values, the longest part of a head, are first tried eight bytes at a
 * time: only a tab or a byte that is refused needs the table.
 */
#include "http/bytes.h"

#define T TG_BYTE_TOKEN
#define V TG_BYTE_VALUE
#define G TG_BYTE_TARGET
#define H TG_BYTE_HOST

/* clang-format off */
const uint8_t tg_byte_classes[256] = {
	['\t'] = V, [' '] = V,
	['!'] = T|V|G|H, ['"'] = V|G, ['#'] = T|V, ['$'] = T|V|G|H, ['%'] = T|V|G, ['&'] = T|V|G|H,
	['\''] = T|V|G|H, ['('] = V|G|H, [')'] = V|G|H, ['*'] = T|V|G|H, ['+'] = T|V|G|H,
	[','] = V|G|H, ['-'] = T|V|G|H, ['.'] = T|V|G|H, ['/'] = V|G,
	['0' ... '9'] = T|V|G|H,
	[':'] = V|G, [';'] = V|G|H, ['<'] = V|G, ['='] = V|G|H, ['>'] = V|G, ['?'] = V|G, ['@'] = V|G,
	['A' ... 'Z'] = T|V|G|H,
	['['] = V|G, ['\\'] = V|G, [']'] = V|G, ['^'] = T|V|G, ['_'] = T|V|G|H, ['`'] = T|V|G,
	['a' ... 'z'] = T|V|G|H,
	['{'] = V|G, ['|'] = T|V|G, ['}'] = V|G, ['~'] = T|V|G|H,
	[0x80 ... 0xFF] = V,
};
/* clang-format on */

/* May one of eight bytes be below SP, or DEL? */
static inline bool
word_has_control(uint64_t word)
{
	const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
	uint64_t del = word ^ (ones * 0x7F);
	uint64_t low = (word - ones * 0x20) & ~word;

	return ((low | ((del - ones) & ~del)) & highs) != 0;
}

bool
tg_bytes_are_value(struct tg_str bytes)
{
	uint64_t word;
	size_t i;

	for (i = 0; bytes.len - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, bytes.ptr + i, sizeof(word));
		if (word_has_control(word))
			break;
	}
	for (; i < bytes.len; i++) {
		if (!tg_byte_is(bytes.ptr[i], TG_BYTE_VALUE))
			return false;
	}
	return true;
}

static inline bool
is_space(char byte)
{
	return byte == ' ' || byte == '\t';
}

struct tg_str
tg_bytes_trim(struct tg_str bytes)
{
	while (bytes.len > 0 && is_space(bytes.ptr[0])) {
		bytes.ptr++;
		bytes.len--;
	}
	while (bytes.len > 0 && is_space(bytes.ptr[bytes.len - 1]))
		bytes.len--;
	return bytes;
}

bool
tg_list_next(struct tg_str *list, struct tg_str *element)
{
	const char *comma;

	if (list->ptr == NULL)
		return false;
	comma = list->len > 0 ? memchr(list->ptr, ',', list->len) : NULL;
	if (comma == NULL) {
		*element = tg_bytes_trim(*list);
		*list = (struct tg_str){ NULL, 0 };
		return true;
	}
	*element = tg_bytes_trim((struct tg_str){ list->ptr, (size_t)(comma - list->ptr) });
	list->len -= (size_t)(comma + 1 - list->ptr);
	list->ptr = comma + 1;
	return true;
}
