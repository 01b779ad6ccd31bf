#include "net/hello.h"

#include <stdbool.h>

enum {
	RECORD_HEADER = 5,
	RECORD_MAX = 16384, /* RFC 8446 §5.1; a handshake record is not empty either */
	HANDSHAKE = 22,
	CLIENT_HELLO = 1,
	MESSAGE_HEADER = 4,
	VERSION_AND_RANDOM = 2 + 32,
	SESSION_MAX = 32,
	EXTENSION_SNI = 0,
	EXTENSION_ALPN = 16,
	HOST_NAME = 0,
};

/* A place in the bytes of a handshake message, which are cut into records. */
struct reader {
	struct tg_str bytes;
	size_t at;     /* of the next byte of the message, or of a record's header */
	size_t record; /* bytes left in this record */
	size_t left;   /* in what is read now: the message, or a vector in it */
	bool bad;      /* it is no TLS, or a vector says more than it holds */
	bool more;     /* what was wanted last has not come yet */
};

/* Behind the header of the next record. What is wrong with its first byte is told by that byte. */
static void
enter_record(struct reader *in)
{
	const unsigned char *header = (const unsigned char *)in->bytes.ptr + in->at;
	size_t have = in->bytes.len - in->at;

	in->bad = (have > 0 && header[0] != HANDSHAKE) || (have > 1 && header[1] != 3);
	in->more = have < RECORD_HEADER;
	if (in->bad || in->more)
		return;
	in->record = (size_t)header[3] << 8 | header[4];
	in->bad = in->record == 0 || in->record > RECORD_MAX;
	in->at += RECORD_HEADER;
}

/* The next `count` bytes into `to`, or past them when that is NULL. False: not there, or `bad`. */
static bool
take(struct reader *in, char *to, size_t count)
{
	in->bad = in->bad || count > in->left;
	while (count > 0 && !in->bad && !in->more) {
		size_t have, n;

		if (in->record == 0) {
			enter_record(in);
			continue;
		}
		have = in->bytes.len - in->at;
		n = have < in->record ? have : in->record;
		n = n < count ? n : count;
		if (to != NULL) {
			memcpy(to, in->bytes.ptr + in->at, n);
			to += n;
		}
		in->at += n;
		in->record -= n;
		in->left -= n;
		count -= n;
		in->more = count > 0 && have == n;
	}
	return !in->bad && !in->more;
}

/* A number of `size` bytes; 0 when it is not there, and then nothing after it is either. */
static size_t
number(struct reader *in, unsigned size)
{
	unsigned char bytes[3];
	size_t value = 0;

	if (!take(in, (char *)bytes, size))
		return 0;
	for (unsigned i = 0; i < size; i++)
		value = value << 8 | bytes[i];
	return value;
}

/* Go into a vector, whose length comes first in so many bytes: the bytes that are left behind it. */
static size_t
enter(struct reader *in, unsigned size)
{
	size_t len = number(in, size), outside = in->left;

	in->bad = in->bad || len > outside;
	if (in->bad)
		return 0;
	in->left = len;
	return outside - len;
}

/* Out of it again; it must have been read to its end. */
static void
leave(struct reader *in, size_t outside)
{
	in->bad = in->bad || in->left != 0;
	in->left = outside;
}

static void
skip(struct reader *in, unsigned size, size_t most)
{
	size_t outside = enter(in, size);

	in->bad = in->bad || in->left > most;
	(void)!take(in, NULL, in->left);
	leave(in, outside);
}

/* A name as one compares it; anything but letters, digits, "-", "." and "_" is none. */
static bool
make_plain(char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = tg_char_lower(name[i]);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		        c == '_'))
			return false;
		name[i] = (char)c;
	}
	return true;
}

/* One host name, and no other (RFC 6066 §3: no two of a kind, and there is one kind). */
static void
read_sni(struct reader *in, struct tg_hello *out)
{
	size_t list = enter(in, 2);
	size_t kind = number(in, 1), name = enter(in, 2);

	in->bad = in->bad || kind != HOST_NAME || in->left == 0 || in->left > TG_HELLO_SNI;
	if (in->bad)
		return;
	out->sni_len = (uint8_t)in->left;
	(void)!take(in, out->sni, in->left);
	in->bad = in->bad || !make_plain(out->sni, out->sni_len);
	leave(in, name);
	leave(in, list);
}

/* Names until there is no room for one. */
static void
read_alpn(struct reader *in, struct tg_hello *out)
{
	size_t list = enter(in, 2);
	bool room = true;

	in->bad = in->bad || in->left == 0;
	while (!in->bad && in->left > 0) {
		size_t outside = enter(in, 1), len = in->left;
		char *to = out->alpn + out->alpn_len;

		in->bad = in->bad || len == 0;
		room = room && len < (size_t)TG_HELLO_ALPN - out->alpn_len;
		(void)!take(in, room ? to + 1 : NULL, in->bad ? 0 : len);
		if (room && !in->bad) {
			to[0] = (char)len;
			out->alpn_len = (uint8_t)(out->alpn_len + 1 + len);
		}
		leave(in, outside);
	}
	leave(in, list);
}

/* No extension comes twice (RFC 8446 §4.2); of others than these two that is the server's business. */
static void
read_extensions(struct reader *in, struct tg_hello *out)
{
	while (!in->bad && in->left > 0) {
		size_t kind = number(in, 2), outside = enter(in, 2);

		if (in->bad)
			return;
		if (kind == EXTENSION_SNI && out->sni_len == 0)
			read_sni(in, out);
		else if (kind == EXTENSION_ALPN && out->alpn_len == 0)
			read_alpn(in, out);
		else if (kind == EXTENSION_SNI || kind == EXTENSION_ALPN)
			in->bad = true;
		else
			(void)!take(in, NULL, in->left);
		leave(in, outside);
	}
}

/* All of it is there. */
static enum tg_hello_result
read_message(struct reader *in, struct tg_hello *out)
{
	size_t outside;

	out->sni_len = out->alpn_len = 0;
	(void)!take(in, NULL, VERSION_AND_RANDOM);
	skip(in, 1, SESSION_MAX);
	skip(in, 2, RECORD_MAX); /* ciphers */
	skip(in, 1, RECORD_MAX); /* compressions */
	if (!in->bad && in->left > 0) {
		outside = enter(in, 2);
		read_extensions(in, out);
		leave(in, outside);
	}
	return in->bad || in->left > 0 ? TG_HELLO_OTHER : TG_HELLO_DONE;
}

enum tg_hello_result
tg_hello_read(struct tg_str bytes, struct tg_hello *out)
{
	struct reader in = { .bytes = bytes, .left = MESSAGE_HEADER }, message;
	char kind = CLIENT_HELLO;
	size_t len;

	if (bytes.len > TG_HELLO_MAX)
		in.bytes.len = TG_HELLO_MAX;
	if (take(&in, &kind, 1) && kind != CLIENT_HELLO)
		return TG_HELLO_OTHER;
	len = number(&in, 3);
	in.bad = in.bad || len > TG_HELLO_MAX;
	message = in;
	message.left = in.left = in.more ? 0 : len;
	if (!in.more && take(&in, NULL, len))
		return read_message(&message, out);
	return in.bad || in.bytes.len == TG_HELLO_MAX ? TG_HELLO_OTHER : TG_HELLO_MORE;
}
