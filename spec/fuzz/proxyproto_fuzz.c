/* Headers of the PROXY protocol: what is accepted says the same however much follows it, its views lie
 * in its bytes, and every cut of it needs more.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/proxyproto.h"

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static void
must_lie_in(struct tg_str view, const char *start, int len)
{
	if (view.ptr != NULL)
		MUST(view.ptr >= start && view.ptr + view.len <= start + len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tg_proxyproto whole, part;
	char *copy = malloc(size > 0 ? size : 1);
	int used;

	MUST(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	used = tg_proxyproto_read((struct tg_str){ copy, size }, &whole);
	MUST(used <= (int)size && used <= TG_PROXYPROTO_MAX);
	if (used > 0) {
		must_lie_in(whole.alpn, copy, used);
		must_lie_in(whole.authority, copy, used);
		must_lie_in(whole.unique_id, copy, used);
		must_lie_in(whole.tls_version, copy, used);
		must_lie_in(whole.tls_cipher, copy, used);
		must_lie_in(whole.tls_cn, copy, used);
		MUST(whole.from.len == whole.to.len);
		for (int len = 1; len < used; len++)
			MUST(tg_proxyproto_read((struct tg_str){ copy, (size_t)len }, &part) == 0);
	}
	free(copy);
	return 0;
}
