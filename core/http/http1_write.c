/* Heads to bytes. Nothing is checked here: what was read was checked then, and what a script
 * wrote was judged by head.c; only a reason phrase can come from elsewhere.
 */
#include "http/bytes.h"
#include "http/http1_private.h"

struct writer {
	char *at, *end;
	bool full;
};

static void
put(struct writer *out, struct tg_str bytes)
{
	if ((size_t)(out->end - out->at) < bytes.len) {
		out->full = true;
		return;
	}
	if (bytes.len > 0)
		memcpy(out->at, bytes.ptr, bytes.len);
	out->at += bytes.len;
}

static void
put_field(struct writer *out, struct tg_str name, struct tg_str value)
{
	put(out, name);
	put(out, TG_STR(": "));
	put(out, value);
	put(out, TG_STR("\r\n"));
}

static void
put_content_length(struct writer *out, uint64_t length)
{
	char digits[20], *at = digits + sizeof(digits);

	do {
		*--at = (char)('0' + length % 10);
		length /= 10;
	} while (length > 0);
	put_field(out, TG_STR("Content-Length"),
	    (struct tg_str){ at, (size_t)(digits + sizeof(digits) - at) });
}

/* All fields that are there and go on to the next hop; `skip` is written by us. */
static void
put_fields(struct writer *out, const struct tg_head *head, enum tg_field_id skip)
{
	const struct tg_field *field;

	for (size_t i = 0; i < head->count; i++) {
		field = &head->fields[i];
		if (field->flags == 0 && (field->id == TG_FIELD_OTHER || field->id != skip))
			put_field(out, field->name, field->value);
	}
}

/* The end of the head; the bytes written, from `start` on. */
static int
finish(struct writer *out, const char *start)
{
	put(out, TG_STR("\r\n"));
	if (out->full || out->at - start > INT32_MAX)
		return TG_HTTP_TOO_LARGE;
	return (int)(out->at - start);
}

static void
put_connection(struct writer *out, const struct tg_head *head, enum tg_http1_connection connection)
{
	switch (connection) {
	case TG_CONNECTION_SILENT:
		break;
	case TG_CONNECTION_CLOSE:
		put_field(out, TG_STR("Connection"), TG_STR("close"));
		break;
	case TG_CONNECTION_KEEP_ALIVE:
		put_field(out, TG_STR("Connection"), TG_STR("keep-alive"));
		break;
	case TG_CONNECTION_UPGRADE:
		put_field(out, TG_STR("Connection"), TG_STR("upgrade"));
		put_field(out, TG_STR("Upgrade"), head->upgrade);
		break;
	}
}

int
tg_http1_write_request(const struct tg_head *head, struct tg_str host,
    enum tg_http1_connection connection, char *out, size_t cap)
{
	struct writer writer = { out, out + cap, false };

	put(&writer, head->method);
	put(&writer, TG_STR(" "));
	put(&writer, head->path);
	if (head->query.ptr != NULL) {
		put(&writer, TG_STR("?"));
		put(&writer, head->query);
	}
	put(&writer, TG_STR(" HTTP/1.1\r\n"));
	put_field(&writer, TG_STR("Host"), host);
	put_fields(&writer, head, TG_FIELD_HOST);
	if (head->framing == TG_FRAMING_CHUNKED)
		put_field(&writer, TG_STR("Transfer-Encoding"), TG_STR("chunked"));
	else if (head->framing == TG_FRAMING_LENGTH)
		put_content_length(&writer, head->length);
	else if (head->has_length)
		put_content_length(&writer, 0);
	put_connection(&writer, head, connection);
	return finish(&writer, out);
}

static void
put_status_line(struct writer *out, const struct tg_head *head)
{
	char status[4] = { (char)('0' + head->status / 100), (char)('0' + head->status / 10 % 10),
		(char)('0' + head->status % 10), ' ' };

	put(out, TG_STR("HTTP/1.1 "));
	put(out, (struct tg_str){ status, sizeof(status) });
	if (head->reason.len > 0 && tg_bytes_are(head->reason, TG_BYTE_VALUE))
		put(out, head->reason);
	else
		put(out, tg_reason(head->status));
	put(out, TG_STR("\r\n"));
}

static void
put_framing(struct writer *out, const struct tg_head *head, enum tg_framing framing)
{
	if (head->status < 200 || head->status == 204)
		return; /* RFC 9110 §8.6, RFC 9112 §6.1 */
	if (framing == TG_FRAMING_CHUNKED)
		put_field(out, TG_STR("Transfer-Encoding"), TG_STR("chunked"));
	else if (framing == TG_FRAMING_LENGTH || (framing == TG_FRAMING_NONE && head->has_length))
		put_content_length(out, head->length);
}

int
tg_http1_write_response(const struct tg_head *head, enum tg_framing framing,
    enum tg_http1_connection connection, char *out, size_t cap)
{
	struct writer writer = { out, out + cap, false };

	tg_assert(head->status >= 100 && head->status <= 999);
	put_status_line(&writer, head);
	put_fields(&writer, head, TG_FIELD_OTHER);
	put_framing(&writer, head, framing);
	put_connection(&writer, head, connection);
	return finish(&writer, out);
}

size_t
tg_http1_chunk_line(size_t len, char *out)
{
	char digits[2 * sizeof(len)], *at = digits + sizeof(digits);
	size_t count;

	do {
		*--at = "0123456789abcdef"[len & 15];
		len >>= 4;
	} while (len > 0);
	count = (size_t)(digits + sizeof(digits) - at);
	memcpy(out, at, count);
	memcpy(out + count, "\r\n", 2);
	return count + 2;
}
