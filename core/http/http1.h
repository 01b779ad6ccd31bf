/* The HTTP/1 codec: bytes to heads and bodies and back.
 *
 * llhttp, in strict mode, splits heads; the judgement is ours. Whatever it lets through that RFC
 * 9112 forbids is refused here: bare CR or LF in a head, NUL, obs-fold, white space before a
 * colon, Content-Length beside Transfer-Encoding, more than one Content-Length or Host, a
 * transfer coding that is not exactly "chunked". The result does not depend on how the bytes
 * arrive.
 *
 * A head is copied into the arena as it arrives, so it outlives the read buffer. A body is
 * never copied: it is decoded in place, in the caller's buffer.
 */
#ifndef TG_HTTP_HTTP1_H
#define TG_HTTP_HTTP1_H

#include <llhttp.h>

#include "http/head.h"

struct tg_http1_limits {
	uint32_t head;   /* bytes of the whole head, start line included */
	uint32_t uri;    /* bytes of the target */
	uint32_t fields; /* number of fields */
};

struct tg_http1 { /* private but for being embedded */
	llhttp_t parser;
	const struct tg_http1_limits *limits;
	struct tg_head *head;
	char *bytes;       /* the head as read so far, in the arena */
	uint32_t len, cap; /* cap 0: bytes are the caller's, for the length of one call */
	uint32_t mark;     /* a head: offset in bytes of what was not yet looked at; a chunked
	                      body: digits of the size, or fields of the trailer section */
	uint32_t overhead; /* bytes of chunk extensions or trailers; limited like a head */
	uint64_t left;     /* bytes still to come of a TG_FRAMING_LENGTH body or of a chunk */
	int error;         /* enum tg_http_error once refused, and for ever after */
	uint8_t state;
	bool in_field; /* the name of the last field has begun, its value has not ended */
	bool is_response;
	bool no_body; /* a response to HEAD */
	bool to_end;  /* of a body: also one whose length is known ends where that is told */
	bool told;    /* of the body only the bytes come, and its end is told elsewhere */
};

/* Begin to read a message. `head` is emptied and then filled; all of it lives in head->arena,
 * which must be set. `limits` must outlive the parser. For a response, `request_method` decides
 * whether a body follows (RFC 9112 §6.3). Leading empty lines before a request line are skipped
 * (RFC 9112 §2.2). */
void tg_http1_request_init(
    struct tg_http1 *http, const struct tg_http1_limits *limits, struct tg_head *head);
void tg_http1_response_init(struct tg_http1 *http, const struct tg_http1_limits *limits,
    struct tg_head *head, enum tg_method request_method);

/* A head that came otherwise (HTTP/2) and was judged: bodies of unknown length come bare, and end as those of
 * TG_FRAMING_CLOSE do. */
void tg_http1_told_init(struct tg_http1 *http, struct tg_head *head);

/* The same, but also a body of known length, which was seen to, ends where its end is told. */
void tg_http1_until_end_init(struct tg_http1 *http, struct tg_head *head);

/* Feed head bytes. 1: the head is complete and *used bytes of data belong to it; 0: all was
 * used, more is needed; else enum tg_http_error. Interim responses (1xx) end here like any
 * head (framing NONE): begin again with response_init for the next one. */
TG_MUST_USE int tg_http1_head(struct tg_http1 *http, const char *data, size_t len, size_t *used);

/* Have any bytes of the head (other than skipped empty lines) been seen? */
bool tg_http1_started(const struct tg_http1 *http);

/* Feed body bytes, after the head is complete. They are decoded in place: *body is a view into
 * data (possibly empty). 1: the body is complete and *used bytes belong to the message; 0: all
 * was used, more is needed; else enum tg_http_error. May be called with len 0: for a message
 * without a body (or length 0) it gives 1 at once. Trailer fields are checked and dropped
 * (RFC 9110 §6.5.1). For TG_FRAMING_CLOSE it never gives 1. */
TG_MUST_USE int tg_http1_body(
    struct tg_http1 *http, char *data, size_t len, size_t *used, struct tg_str *body);

/* Did the message end? For TG_FRAMING_CLOSE: end of the stream is the end of the body. */
bool tg_http1_complete_at_eof(const struct tg_http1 *http);

enum tg_http1_connection {
	TG_CONNECTION_SILENT,     /* no Connection field: the default of the version */
	TG_CONNECTION_CLOSE,      /* Connection: close */
	TG_CONNECTION_KEEP_ALIVE, /* Connection: keep-alive, for an HTTP/1.0 client that asked */
	TG_CONNECTION_UPGRADE,    /* Connection: upgrade, and Upgrade as head->upgrade says */
};

/* Write a request head for a server: method, target in origin-form (or "*"), HTTP/1.1, Host
 * first (`host`), live fields that are not hop-by-hop, then our framing: Content-Length for LENGTH,
 * Transfer-Encoding for CHUNKED; nothing for NONE, except Content-Length: 0 when the client
 * had sent one; then Connection, SILENT or UPGRADE. Returns the bytes written, or TG_HTTP_TOO_LARGE when `cap` is too small. */
TG_MUST_USE int tg_http1_write_request(const struct tg_head *head, struct tg_str host,
    enum tg_http1_connection connection, char *out, size_t cap);

/* Write a response head for a client, always as HTTP/1.1 (RFC 9110 §2.5): status line, live
 * end-to-end fields, framing as given (`framing` is that of the message we send, which may
 * differ from head->framing: a chunked answer is sent to an HTTP/1.0 client as CLOSE), then
 * Connection. With NONE, Content-Length is written when head->has_length (HEAD, 304) and the
 * status may have one (never 1xx or 204, RFC 9110 §8.6). Bytes written, or
 * TG_HTTP_TOO_LARGE. head->status must be 100..999: whoever sets it has judged it. */
TG_MUST_USE int tg_http1_write_response(const struct tg_head *head, enum tg_framing framing,
    enum tg_http1_connection connection, char *out, size_t cap);

/* The line before a chunk of `len` > 0 bytes, into out[TG_CHUNK_LINE]; its length. After the
 * data comes CRLF; the last chunk is "0\r\n\r\n". */
enum { TG_CHUNK_LINE = 20 };
size_t tg_http1_chunk_line(size_t len, char *out);

#endif
