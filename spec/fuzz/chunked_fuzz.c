/* A chunked body: what we accept must be the same body, of the same bytes, for llhttp in its strict
 * mode. (We refuse more than llhttp; where we refuse less, excused() knows why.)
 */
#include "http1_oracle.h"

static const struct tg_http1_limits usual = { 16384, 8192, 128 };
static const struct tg_http1_limits tight = { 200, 40, 5 };

static const char start[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

struct decoded {
	int result; /* 1: complete */
	size_t used, len;
	char *body;
	bool excused; /* llhttp refused what is right */
};

static void
append(struct decoded *decoded, const char *at, size_t len)
{
	if (len > 0)
		memcpy(decoded->body + decoded->len, at, len);
	decoded->len += len;
}

/* By us, from pieces of `piece` bytes. */
static struct decoded
decode(const char *data, size_t size, const struct tg_http1_limits *limits, size_t piece)
{
	struct decoded decoded = { .body = malloc(size + 1) };
	struct reading reading;
	struct tg_str body;
	size_t len, used;
	char *copy;

	reading_of(&reading, limits, REQUEST, start, sizeof(start) - 1, sizeof(start));
	MUST(reading.result == 1 && decoded.body != NULL);
	for (size_t at = 0; decoded.result == 0 && at < size; at += piece) {
		len = size - at < piece ? size - at : piece;
		copy = malloc(len);
		MUST(copy != NULL);
		memcpy(copy, data + at, len);
		decoded.result = tg_http1_body(&reading.http, copy, len, &used, &body);
		if (decoded.result >= 0) {
			MUST(used <= len && body.len <= used);
			MUST(body.len == 0 ||
			    (body.ptr >= copy && body.ptr + body.len <= copy + used));
			append(&decoded, body.ptr, body.len);
			decoded.used += used;
		}
		free(copy);
	}
	MUST(tg_http1_complete_at_eof(&reading.http) == (decoded.result == 1));
	reading_close(&reading);
	return decoded;
}

static int
on_body(llhttp_t *parser, const char *at, size_t len)
{
	append(parser->data, at, len);
	return 0;
}

static int
on_complete(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED;
}

/* llhttp reads framing fields also in a trailer section, and stumbles; we drop them unread. It takes
 * no blanks around extensions and no quoted pairs in them, and 8.1.0 takes the ";" behind the value of
 * one for the end of the chunk size. */
static bool
excused(const llhttp_t *parser, llhttp_errno_t error, const char *data, size_t size)
{
	const char *at = llhttp_get_error_pos(parser);

	switch (error) {
	case HPE_UNEXPECTED_CONTENT_LENGTH:
	case HPE_INVALID_CONTENT_LENGTH:
	case HPE_INVALID_TRANSFER_ENCODING:
		return true;
	case HPE_INVALID_CHUNK_SIZE:
	case HPE_STRICT:
		if (at > data && strchr("; \t\\", at[-1]) != NULL)
			return true;
		return at < data + size && strchr(" \t\\", *at) != NULL;
	default:
		return false;
	}
}

/* By llhttp. -1 when it refuses. */
static struct decoded
decode_by_llhttp(const char *data, size_t size)
{
	static const llhttp_settings_t settings = { .on_body = on_body,
		.on_message_complete = on_complete };
	struct decoded decoded = { .body = malloc(size + 1) };
	llhttp_t parser;
	llhttp_errno_t result;

	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = &decoded;
	MUST(llhttp_execute(&parser, start, sizeof(start) - 1) == HPE_OK);
	result = llhttp_execute(&parser, data, size);
	if (result == HPE_PAUSED) {
		decoded.result = 1;
		decoded.used = (size_t)(llhttp_get_error_pos(&parser) - data);
	} else if (result != HPE_OK) {
		decoded.result = -1;
		decoded.excused = excused(&parser, result, data, size);
	}
	return decoded;
}

static void
must_be_the_same(const struct decoded *a, const struct decoded *b)
{
	MUST(a->result == b->result);
	if (a->result < 0)
		return;
	MUST(a->used == b->used && a->len == b->len);
	MUST(a->len == 0 || memcmp(a->body, b->body, a->len) == 0);
}

static void
check_pieces(const char *data, size_t size, const struct tg_http1_limits *limits)
{
	struct decoded whole = decode(data, size, limits, size + 1), pieces;
	size_t sizes[] = { 1, 3, size / 2 + 1 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		pieces = decode(data, size, limits, sizes[i]);
		must_be_the_same(&whole, &pieces);
		free(pieces.body);
	}
	free(whole.body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct decoded ours, theirs;

	if (size == 0)
		return 0;
	check_pieces((const char *)data, size, &usual);
	check_pieces((const char *)data, size, &tight);
	ours = decode((const char *)data, size, &usual, size);
	theirs = decode_by_llhttp((const char *)data, size);
	if (ours.result == 1 && !theirs.excused)
		must_be_the_same(&ours, &theirs);
	if (ours.result == 0)
		MUST(theirs.result != 1);
	free(ours.body);
	free(theirs.body);
	return 0;
}
