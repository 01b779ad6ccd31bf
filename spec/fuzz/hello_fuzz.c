/* ClientHellos: the verdict does not depend on how many bytes are there beyond those that it needs, every
 * cut before that needs more, and so it stays for the same message in records of another size.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/hello.h"

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

enum { RECORD = 5, CUTS = 64 };

static enum tg_hello_result
read_copy(const uint8_t *data, size_t len, struct tg_hello *out)
{
	char *copy =
	    malloc(len > 0 ? len : 1); /* of that size, for the sanitizer to watch its end */
	enum tg_hello_result result;

	MUST(copy != NULL);
	if (len > 0)
		memcpy(copy, data, len);
	result = tg_hello_read((struct tg_str){ copy, len }, out);
	free(copy);
	return result;
}

static bool
same(const struct tg_hello *a, const struct tg_hello *b)
{
	return a->sni_len == b->sni_len && memcmp(a->sni, b->sni, a->sni_len) == 0 &&
	    a->alpn_len == b->alpn_len && memcmp(a->alpn, b->alpn, a->alpn_len) == 0;
}

static void
must_be_plain(const struct tg_hello *hello)
{
	unsigned at = 0;

	for (unsigned i = 0; i < hello->sni_len; i++) {
		char c = hello->sni[i];

		MUST((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("-._", c) != NULL);
		MUST(c != '\0');
	}
	while (at < hello->alpn_len)
		at += 1u + (unsigned char)hello->alpn[at];
	MUST(at == hello->alpn_len);
}

/* The same message, cut into records of `size` bytes; the length, 0 when it would be too long. */
static size_t
cut_again(const uint8_t *data, size_t len, size_t size, uint8_t out[TG_HELLO_MAX])
{
	size_t at = 0, n = 0, in_record = 0;

	while (at + RECORD <= len) {
		size_t record = (size_t)data[at + 3] << 8 | data[at + 4];

		at += RECORD;
		for (; record > 0 && at < len; record--, at++) {
			if (in_record == 0) {
				size_t left = size;

				if (n + RECORD + left > TG_HELLO_MAX)
					return 0;
				memcpy(out + n, (uint8_t[]){ 22, 3, 1, 0, (uint8_t)left }, RECORD);
				n += RECORD;
				in_record = size;
			}
			out[n++] = data[at];
			in_record--;
		}
	}
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[TG_HELLO_MAX];
	struct tg_hello whole, part;
	enum tg_hello_result result = read_copy(data, size, &whole);
	size_t needed = size, len;
	bool decided = false;

	if (result == TG_HELLO_DONE)
		must_be_plain(&whole);
	for (size_t i = 0; i < CUTS; i++) { /* from no byte to all of them */
		len = size * i / CUTS;
		switch (read_copy(data, len, &part)) {
		case TG_HELLO_MORE:
			MUST(!decided);
			break;
		case TG_HELLO_DONE:
			MUST(result == TG_HELLO_DONE && same(&whole, &part));
			needed = decided ? needed : len;
			decided = true;
			break;
		case TG_HELLO_OTHER:
			MUST(result == TG_HELLO_OTHER);
			decided = true;
			break;
		}
	}
	if (result != TG_HELLO_DONE)
		return 0;
	for (size_t records = 1; records < 256; records += 50) {
		len = cut_again(data, needed, records, again);
		if (len == 0)
			continue;
		/* What is behind the message in its last record may be missing there. */
		MUST(read_copy(again, len, &part) == TG_HELLO_DONE && same(&whole, &part));
	}
	return 0;
}
