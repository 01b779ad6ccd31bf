/* A script that writes whatever it can into a head: what is sent must still be one message, and
 * say what the head says. Input: a sequence of edits; each is a byte that says which, a byte for
 * the length of each of its strings, and the strings.
 */
#include "http1_oracle.h"

static const struct tg_http1_limits ample = { 1 << 20, 1 << 20, 512 };
static const char request[] = "POST /a?b HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nConnection: b\r\n"
                              "Cookie: c\r\nContent-Length: 3\r\na: 4\r\n\r\n";
static const char asterisk[] = "OPTIONS * HTTP/1.0\r\n\r\n";
static const char response[] = "HTTP/1.1 200 OK\r\nA: 1\r\nSet-Cookie: 2\r\nConnection: b\r\n"
                               "Transfer-Encoding: chunked\r\nB: 3\r\na: 4\r\n\r\n";

struct input {
	const uint8_t *at, *end;
};

static unsigned
take_byte(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

/* A string of its own size, so that reading past it is seen; freed by the caller. */
static struct tg_str
take_string(struct input *input)
{
	size_t len = take_byte(input), there = (size_t)(input->end - input->at);
	char *copy;

	len = len < there ? len : there;
	copy = malloc(len > 0 ? len : 1);
	MUST(copy != NULL);
	if (len > 0)
		memcpy(copy, input->at, len);
	input->at += len;
	return (struct tg_str){ copy, len };
}

/* A refused edit changes nothing that can be seen. */
static int
edit(struct tg_head *head, unsigned which, struct tg_str a, struct tg_str b)
{
	switch (which % 7) {
	case 0:
		return tg_head_set(head, a, b);
	case 1:
		return tg_head_add(head, a, b);
	case 2:
		return tg_head_remove(head, a);
	case 3:
		return head->method.ptr != NULL ? tg_head_set_path(head, a) : 0;
	case 4:
		return head->method.ptr != NULL ? tg_head_set_query(head, a) : 0;
	case 5:
		return head->method.ptr != NULL ? tg_head_set_host(head, a) : 0;
	default:
		return tg_head_set_query(head, (struct tg_str){ NULL, 0 });
	}
}

static void
check_set(const struct tg_head *head, struct tg_str name)
{
	const struct tg_field *field = tg_head_find(head, name, NULL);

	MUST(field != NULL && tg_head_find(head, name, field) == NULL);
}

static void
check_edits(struct input input, int kind, const char *start)
{
	static char out[1 << 17];
	struct reading read, again;
	struct tg_str a, b;
	unsigned which;
	int len, result;

	reading_of(&read, &ample, kind, start, strlen(start), strlen(start));
	MUST(read.result == 1);
	while (input.at < input.end) {
		which = take_byte(&input);
		a = take_string(&input);
		b = take_string(&input);
		result = edit(&read.head, which, a, b);
		MUST(result <= 0);
		if (result == 0 && which % 7 == 0)
			check_set(&read.head, a);
		if (result == 0 && which % 7 == 2)
			MUST(tg_head_find(&read.head, a, NULL) == NULL);
		free((char *)a.ptr);
		free((char *)b.ptr);
	}
	len = kind == REQUEST
	    ? tg_http1_write_request(
	          &read.head, read.head.host, TG_CONNECTION_SILENT, out, sizeof(out))
	    : tg_http1_write_response(&read.head, (enum tg_framing)read.head.framing,
	          TG_CONNECTION_SILENT, out, sizeof(out));
	if (len != TG_HTTP_TOO_LARGE) {
		reading_of(&again, &ample, kind, out, (size_t)len, (size_t)len);
		MUST(again.result == 1 && again.used == (size_t)len);
		must_mean_the_same(&read.head, &again.head);
		reading_close(&again);
	}
	reading_close(&read);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, data + size };

	check_edits(input, REQUEST, request);
	check_edits(input, REQUEST, asterisk);
	check_edits(input, TG_METHOD_GET, response);
	return 0;
}
