/* The head of one HTTP message, request or response, as every codec leaves it and every script
 * sees it: a start line, fields, and the framing of the body that follows.
 *
 * Fields stay where they were read; an edit marks a field removed or appends one whose bytes
 * are in the arena. Nothing is ever unlinked, so a view of a field stays valid for the life of
 * the arena. What a script writes is judged here (tg_head_set and friends), so that no codec
 * can be made to write a byte that would split a message.
 *
 * Hop-by-hop fields, Content-Length and Transfer-Encoding are marked when the head is read and
 * are never written: the codec writes its own framing (RFC 9110 §7.6.1, RFC 9112 §6).
 */
#ifndef TG_HTTP_HEAD_H
#define TG_HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* The fields the engine itself looks at. */
enum tg_field_id {
	TG_FIELD_OTHER,
	TG_FIELD_CONNECTION,
	TG_FIELD_CONTENT_LENGTH,
	TG_FIELD_COOKIE,
	TG_FIELD_EXPECT,
	TG_FIELD_HOST,
	TG_FIELD_KEEP_ALIVE,
	TG_FIELD_PROXY_CONNECTION,
	TG_FIELD_TE,
	TG_FIELD_TRAILER,
	TG_FIELD_TRANSFER_ENCODING,
	TG_FIELD_UPGRADE,
};

enum tg_field_flag {
	TG_FIELD_REMOVED = 1, /* by an edit */
	TG_FIELD_HOP = 2,     /* hop-by-hop or framing: for this connection, never forwarded */
};

struct tg_field {
	struct tg_str name;
	struct tg_str value; /* without the white space around it */
	uint8_t id;          /* enum tg_field_id */
	uint8_t flags;       /* enum tg_field_flag */
};

enum tg_framing {
	TG_FRAMING_NONE,    /* no body */
	TG_FRAMING_LENGTH,  /* exactly `length` bytes */
	TG_FRAMING_CHUNKED, /* chunked coding */
	TG_FRAMING_CLOSE,   /* until the connection ends (responses only) */
};

enum tg_method { /* those whose meaning the engine needs; RFC 9110 §9.2 */
	TG_METHOD_OTHER,
	TG_METHOD_GET,
	TG_METHOD_HEAD,
	TG_METHOD_POST,
	TG_METHOD_PUT,
	TG_METHOD_DELETE,
	TG_METHOD_OPTIONS,
	TG_METHOD_TRACE,
	TG_METHOD_CONNECT,
};

struct tg_head {
	struct tg_arena *arena;

	/* the start line of a request */
	struct tg_str method;
	struct tg_str target; /* as it came: origin-form, absolute-form or "*" */
	struct tg_str host;   /* host[:port] from the target or the Host field; "" when absent */
	struct tg_str path;   /* starts with "/" (or is "*"); undecoded, without the query */
	struct tg_str query;  /* without the "?"; ptr NULL when there is none */
	uint8_t method_id;    /* enum tg_method */
	bool https;           /* the target names a resource that is for https only */

	/* the start line of a response */
	struct tg_str reason;
	int status;

	uint8_t major, minor; /* the version the peer sent */
	uint8_t framing;      /* enum tg_framing, of the body as the peer sends it */
	bool keep_alive;      /* the peer means to go on after this message (RFC 9112 §9.3) */
	bool expect_continue; /* Expect: 100-continue (RFC 9110 §10.1.1) */
	uint64_t length;      /* bytes, for TG_FRAMING_LENGTH */
	struct tg_str
	    upgrade;     /* to which protocol the peer would change, or does (RFC 9110 §7.8); ptr
	                           NULL: none */
	bool has_length; /* a valid Content-Length was there, also where no body follows
	                            (HEAD, 304): it is forwarded as `length` */

	struct tg_field *fields; /* in the order they came; additions at the end */
	uint16_t count, capacity;
};

/* Did it come by HTTP/1.0, which has neither chunks nor interim answers? */
static inline bool
tg_head_is_old(const struct tg_head *head)
{
	return head->major == 1 && head->minor == 0;
}

/* What an edit or a parse can come to, all negative. */
enum tg_http_error {
	TG_HTTP_BAD = -1,             /* malformed: 400, or 502 from a server */
	TG_HTTP_URI_TOO_LONG = -2,    /* 414 */
	TG_HTTP_TOO_LARGE = -3,       /* 431: head bytes or number of fields */
	TG_HTTP_VERSION = -4,         /* 505 */
	TG_HTTP_NOT_IMPLEMENTED = -5, /* 501: a transfer coding we do not know (RFC 9112 §6.1) */
	TG_HTTP_MEMORY = -6,          /* out of memory */
	TG_HTTP_FORBIDDEN = -7,       /* an edit of a field that belongs to the engine */
};

/* An empty head whose fields will live in `arena`. */
void tg_head_init(struct tg_head *head, struct tg_arena *arena);

/* `to` becomes the same, with all that its fields are in `arena`; its start line stays where it is. 0 or
 * TG_HTTP_MEMORY. */
TG_MUST_USE int tg_head_copy(
    struct tg_head *to, struct tg_arena *arena, const struct tg_head *from);

/* The id of a field name, whatever its case. */
enum tg_field_id tg_field_id_of(struct tg_str name);

/* The first live (not removed) field of that name after `after` (NULL: from the start), or
 * NULL. Hop-by-hop fields are found too: scripts may read what they may not forward. Fields may
 * move with an edit: `after` must be younger. */
const struct tg_field *tg_head_find(
    const struct tg_head *head, struct tg_str name, const struct tg_field *after);

/* Edits by a script. The bytes are copied into the arena. 0, or TG_HTTP_BAD (name is no token,
 * or the value holds CR, LF, NUL or another control byte, RFC 9110 §5.5), TG_HTTP_FORBIDDEN
 * (Connection, Content-Length, Transfer-Encoding and the other hop-by-hop fields; of a request
 * Host, which tg_head_set_host sets, and Expect, which can be removed), TG_HTTP_TOO_LARGE, TG_HTTP_MEMORY.
 * set replaces all fields of that name (in the place of the first), add appends one. */
TG_MUST_USE int tg_head_set(struct tg_head *head, struct tg_str name, struct tg_str value);
TG_MUST_USE int tg_head_add(struct tg_head *head, struct tg_str name, struct tg_str value);
TG_MUST_USE int tg_head_remove(struct tg_head *head, struct tg_str name);

/* Rewrite parts of a request's target. TG_HTTP_BAD for a path that does not start with "/" or
 * holds a byte that may not stand in a target (SP, control, "?", "#", over 0x7E); the same
 * for a query but "?" is allowed, and an absent query (ptr NULL) removes it; a host must be
 * host[:port] (RFC 9110 §7.2). */
TG_MUST_USE int tg_head_set_path(struct tg_head *head, struct tg_str path);
TG_MUST_USE int tg_head_set_query(struct tg_head *head, struct tg_str query);
TG_MUST_USE int tg_head_set_host(struct tg_head *head, struct tg_str host);

/* Is `host` a valid host[:port] (reg-name, IPv4 or bracketed IPv6; port 0..65535 or empty)? */
bool tg_host_valid(struct tg_str host);

/* The standard reason phrase of a status, "" for an unknown one. */
struct tg_str tg_reason(int status);

#endif
