/* A request from a client, and the request that a server gets for it. */
#include "http1_oracle.h"

static const struct tg_http1_limits usual = { 16384, 8192, 128 };
static const struct tg_http1_limits tight = { 200, 40, 5 };
static const struct tg_http1_limits ample = { 1 << 20, 1 << 20, 512 };

/* However it comes, it is the same request. */
static void
check_pieces(const char *data, size_t size, const struct tg_http1_limits *limits)
{
	struct reading whole, pieces;
	size_t sizes[] = { 1, 7, size / 2 + 1 };

	reading_of(&whole, limits, REQUEST, data, size, size + 1);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		reading_of(&pieces, limits, REQUEST, data, size, sizes[i]);
		must_be_identical(&whole, &pieces);
		MUST(pieces.http.len <= limits->head);
		reading_close(&pieces);
	}
	reading_close(&whole);
}

/* What is accepted is written as one request that means the same. */
static void
check_written(const char *data, size_t size)
{
	static char out[1 << 16];
	struct reading read, again;
	int len;

	reading_of(&read, &usual, REQUEST, data, size, size + 1);
	if (read.result == 1) {
		len = tg_http1_write_request(
		    &read.head, read.head.host, TG_CONNECTION_SILENT, out, sizeof(out));
		MUST(len > 0);
		reading_of(&again, &ample, REQUEST, out, (size_t)len, (size_t)len);
		MUST(again.result == 1 && again.used == (size_t)len);
		must_mean_the_same(&read.head, &again.head);
		reading_close(&again);
	}
	reading_close(&read);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_pieces((const char *)data, size, &usual);
	check_pieces((const char *)data, size, &tight);
	check_written((const char *)data, size);
	return 0;
}
