/* A response from a server, and the response that a client gets for it. */
#include "http1_oracle.h"

static const struct tg_http1_limits usual = { 16384, 8192, 128 };
static const struct tg_http1_limits tight = { 200, 40, 5 };
static const struct tg_http1_limits ample = { 1 << 20, 1 << 20, 512 };

static void
check_pieces(
    const char *data, size_t size, const struct tg_http1_limits *limits, enum tg_method method)
{
	struct reading whole, pieces;
	size_t sizes[] = { 1, 7, size / 2 + 1 };

	reading_of(&whole, limits, (int)method, data, size, size + 1);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		reading_of(&pieces, limits, (int)method, data, size, sizes[i]);
		must_be_identical(&whole, &pieces);
		reading_close(&pieces);
	}
	reading_close(&whole);
}

static void
check_written(const char *data, size_t size, enum tg_method method)
{
	static char out[1 << 16];
	struct reading read, again;
	int len;

	reading_of(&read, &usual, (int)method, data, size, size + 1);
	if (read.result == 1) {
		len = tg_http1_write_response(&read.head, (enum tg_framing)read.head.framing,
		    read.head.keep_alive ? TG_CONNECTION_SILENT : TG_CONNECTION_CLOSE, out,
		    sizeof(out));
		MUST(len > 0);
		reading_of(&again, &ample, (int)method, out, (size_t)len, (size_t)len);
		MUST(again.result == 1 && again.used == (size_t)len);
		must_mean_the_same(&read.head, &again.head);
		MUST(read.head.keep_alive == again.head.keep_alive);
		reading_close(&again);
	}
	reading_close(&read);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_pieces((const char *)data, size, &usual, TG_METHOD_GET);
	check_pieces((const char *)data, size, &tight, TG_METHOD_HEAD);
	check_written((const char *)data, size, TG_METHOD_GET);
	check_written((const char *)data, size, TG_METHOD_HEAD);
	return 0;
}
