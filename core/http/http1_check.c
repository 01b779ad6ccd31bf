/* The lines of a head, byte by byte. llhttp has found where names and values are; here every byte
 * between them is accounted for, so that a bare CR or LF, a NUL, a folded line or a space before
 * a colon is refused whatever the version of llhttp makes of it.
 */
#include "http/bytes.h"
#include "http/fields.h"
#include "http/http1_private.h"

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Behind CR LF, or NULL when there is none at `at`. */
static const char *
line_end(const char *at, const char *end)
{
	return end - at >= 2 && at[0] == '\r' && at[1] == '\n' ? at + 2 : NULL;
}

/* HTTP/d.d */
static const char *
check_version(struct tg_head *head, const char *at, const char *end)
{
	if (end - at < 8 || memcmp(at, "HTTP/", 5) != 0)
		return NULL;
	if (!is_digit(at[5]) || at[6] != '.' || !is_digit(at[7]))
		return NULL;
	head->major = (uint8_t)(at[5] - '0');
	head->minor = (uint8_t)(at[7] - '0');
	return at + 8;
}

/* The method and the target were cut off with the one space behind each. */
static const char *
check_request_line(struct tg_head *head, const char *end)
{
	const char *at = check_version(head, head->target.ptr + head->target.len + 1, end);

	return at != NULL ? line_end(at, end) : NULL;
}

/* HTTP/d.d SP 3DIGIT [SP reason]: the space belongs there also without a reason (RFC 9112 §4),
 * but many servers leave it out. */
static const char *
check_status_line(struct tg_head *head, const char *at, const char *end)
{
	const char *cr;

	at = check_version(head, at, end);
	if (at == NULL || end - at < 5 || at[0] != ' ')
		return NULL;
	if (!is_digit(at[1]) || !is_digit(at[2]) || !is_digit(at[3]))
		return NULL;
	head->status = (at[1] - '0') * 100 + (at[2] - '0') * 10 + (at[3] - '0');
	at += 4;
	if (*at == ' ')
		at++;
	else if (*at != '\r')
		return NULL;
	cr = memchr(at, '\r', (size_t)(end - at));
	if (cr == NULL)
		return NULL;
	head->reason = (struct tg_str){ at, (size_t)(cr - at) };
	return tg_bytes_are(head->reason, TG_BYTE_VALUE) ? line_end(cr, end) : NULL;
}

static const char *
skip_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return at;
}

/* field-name ":" OWS field-value OWS CRLF (RFC 9112 §5), starting at `at`. */
static const char *
check_field(struct tg_field *field, const char *at, const char *end)
{
	struct tg_str *value = &field->value;

	if (field->name.ptr != at || field->name.len == 0)
		return NULL;
	if (!tg_bytes_are(field->name, TG_BYTE_TOKEN))
		return NULL;
	field->id = (uint8_t)tg_field_id_of(field->name);
	at += field->name.len;
	if (at == end || *at != ':')
		return NULL;
	at = skip_space(at + 1, end);
	if (value->ptr == NULL)
		value->ptr = at;
	if (value->ptr != at || !tg_bytes_are(*value, TG_BYTE_VALUE))
		return NULL;
	at = skip_space(at + value->len, end);
	*value = tg_bytes_trim(*value);
	return line_end(at, end);
}

int
tg_http1_check(struct tg_head *head, bool is_response, const char *bytes, size_t len)
{
	const char *at, *end = bytes + len;

	at = is_response ? check_status_line(head, bytes, end) : check_request_line(head, end);
	for (size_t i = 0; at != NULL && i < head->count; i++)
		at = check_field(&head->fields[i], at, end);
	if (at != NULL)
		at = line_end(at, end);
	return at != NULL ? (int)(at - bytes) : TG_HTTP_BAD;
}
