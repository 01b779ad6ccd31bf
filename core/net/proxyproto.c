#include "net/proxyproto.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum {
	LINE_MAX_1 = 107, /* of version 1, with its CR LF */
	HEAD_2 = 16,      /* of version 2, before the addresses */
	COMMAND_LOCAL = 0x20,
	COMMAND_PROXY = 0x21,
	TLV_ALPN = 0x01,
	TLV_AUTHORITY = 0x02,
	TLV_CRC32C = 0x03,
	TLV_UNIQUE_ID = 0x05,
	TLV_TLS = 0x20,
	TLV_TLS_VERSION = 0x21,
	TLV_TLS_CN = 0x22,
	TLV_TLS_CIPHER = 0x23,
	TLS_HEAD = 5, /* flags, and the result of the verification */
	TLS_USED = 0x01,
	TLS_CERTIFICATE = 0x02 | 0x04, /* in this connection, or in the session */
	CRC_LEN = 4,
	UNIQUE_ID_MAX = 128,
};

static const char signature[12] = { '\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T',
	'\n' };

static unsigned
u16(const char *at)
{
	const unsigned char *bytes = (const unsigned char *)at;

	return (unsigned)bytes[0] << 8 | bytes[1];
}

static uint32_t
u32(const char *at)
{
	return (uint32_t)u16(at) << 16 | u16(at + 2);
}

/* --- version 1 ---------------------------------------------------------------------------- */

/* The next word of the line, which ends at one space; false: there is none. */
static bool
next_word(struct tg_str *line, char *word, size_t cap)
{
	const char *space = memchr(line->ptr, ' ', line->len);
	size_t len = space != NULL ? (size_t)(space - line->ptr) : line->len;

	if (len == 0 || len >= cap || len + 1 == line->len)
		return false;
	memcpy(word, line->ptr, len);
	word[len] = '\0';
	line->ptr += len + (space != NULL);
	line->len -= len + (space != NULL);
	return strlen(word) == len;
}

/* 0 to 65535, without a sign or a zero before it. */
static bool
read_port(struct tg_str *line, uint16_t *port)
{
	char word[6];
	unsigned value = 0;

	if (!next_word(line, word, sizeof(word)) || (word[0] == '0' && word[1] != '\0'))
		return false;
	for (const char *c = word; *c != '\0'; c++) {
		if (*c < '0' || *c > '9')
			return false;
		value = value * 10 + (unsigned)(*c - '0');
	}
	*port = htons((uint16_t)value);
	return value <= UINT16_MAX;
}

static bool
read_ip(struct tg_str *line, int family, struct tg_addr *addr)
{
	char word[INET6_ADDRSTRLEN];

	*addr = (struct tg_addr){ .len = 0 };
	if (!next_word(line, word, sizeof(word)))
		return false;
	addr->sa.sa_family = (sa_family_t)family;
	addr->len = family == AF_INET ? sizeof(addr->in) : sizeof(addr->in6);
	return inet_pton(family, word,
	           family == AF_INET ? (void *)&addr->in.sin_addr : (void *)&addr->in6.sin6_addr) ==
	    1;
}

/* "TCP4 SOURCE DESTINATION SPORT DPORT", "TCP6 …", or "UNKNOWN" and whatever */
static bool
read_line(struct tg_str line, struct tg_proxyproto *out)
{
	char word[8];
	uint16_t from, to;
	int family;

	if (!next_word(&line, word, sizeof(word)))
		return false;
	if (strcmp(word, "UNKNOWN") == 0)
		return true;
	if (strcmp(word, "TCP4") != 0 && strcmp(word, "TCP6") != 0)
		return false;
	family = word[3] == '4' ? AF_INET : AF_INET6;
	if (!read_ip(&line, family, &out->from) || !read_ip(&line, family, &out->to) ||
	    !read_port(&line, &from) || !read_port(&line, &to) || line.len > 0)
		return false;
	if (family == AF_INET) {
		out->from.in.sin_port = from;
		out->to.in.sin_port = to;
	} else {
		out->from.in6.sin6_port = from;
		out->to.in6.sin6_port = to;
	}
	return true;
}

static int
read_1(struct tg_str bytes, struct tg_proxyproto *out)
{
	size_t most = bytes.len < LINE_MAX_1 ? bytes.len : LINE_MAX_1;
	const char *cr = memchr(bytes.ptr, '\r', most);

	if (cr == NULL)
		return bytes.len < LINE_MAX_1 ? 0 : TG_PROXYPROTO_MALFORMED;
	if (cr + 1 == bytes.ptr + bytes.len)
		return 0;
	if (cr[1] != '\n' ||
	    !read_line((struct tg_str){ bytes.ptr + 6, (size_t)(cr - bytes.ptr) - 6 }, out))
		return TG_PROXYPROTO_MALFORMED;
	return (int)(cr + 2 - bytes.ptr);
}

/* --- version 2 ---------------------------------------------------------------------------- */

/* The bytes that the addresses take; negative: it is no family that there is. */
static int
read_addresses(int family, const char *at, size_t len, struct tg_proxyproto *out)
{
	switch (family) {
	case 0x00: /* unspecified: what is there is skipped */
		return (int)len;
	case 0x11: /* TCP over IPv4 */
		if (len < 12)
			return -1;
		out->from.len = out->to.len = sizeof(out->from.in);
		out->from.in.sin_family = out->to.in.sin_family = AF_INET;
		memcpy(&out->from.in.sin_addr, at, 4);
		memcpy(&out->to.in.sin_addr, at + 4, 4);
		memcpy(&out->from.in.sin_port, at + 8, 2);
		memcpy(&out->to.in.sin_port, at + 10, 2);
		return 12;
	case 0x21: /* over IPv6 */
		if (len < 36)
			return -1;
		out->from.len = out->to.len = sizeof(out->from.in6);
		out->from.in6.sin6_family = out->to.in6.sin6_family = AF_INET6;
		memcpy(&out->from.in6.sin6_addr, at, 16);
		memcpy(&out->to.in6.sin6_addr, at + 16, 16);
		memcpy(&out->from.in6.sin6_port, at + 32, 2);
		memcpy(&out->to.in6.sin6_port, at + 34, 2);
		return 36;
	case 0x31: /* a UNIX stream socket: a client, without an address that tells anything */
		return len < 216 ? -1 : 216;
	default:
		return -1;
	}
}

/* CRC-32C (Castagnoli) of the header, with zeros in the place of the checksum itself. */
static uint32_t
checksum(struct tg_str header, const char *place)
{
	uint32_t crc = UINT32_MAX;

	for (const char *at = header.ptr; at < header.ptr + header.len; at++) {
		crc ^= at >= place && at < place + CRC_LEN ? 0 : (unsigned char)*at;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
	}
	return ~crc;
}

static bool read_tlvs(
    struct tg_str header, struct tg_str tlvs, bool tls, struct tg_proxyproto *out);

static bool
read_tlv(struct tg_str header, int type, struct tg_str value, bool tls, struct tg_proxyproto *out)
{
	if (tls) {
		if (type == TLV_TLS_VERSION)
			out->tls_version = value;
		else if (type == TLV_TLS_CN)
			out->tls_cn = value;
		else if (type == TLV_TLS_CIPHER)
			out->tls_cipher = value;
		return true;
	}
	switch (type) {
	case TLV_ALPN:
		out->alpn = value;
		return true;
	case TLV_AUTHORITY:
		out->authority = value;
		return true;
	case TLV_UNIQUE_ID:
		out->unique_id = value;
		return value.len <= UNIQUE_ID_MAX;
	case TLV_CRC32C:
		return value.len == CRC_LEN && checksum(header, value.ptr) == u32(value.ptr);
	case TLV_TLS:
		if (value.len < TLS_HEAD)
			return false;
		out->tls = (value.ptr[0] & TLS_USED) != 0;
		out->verified = (value.ptr[0] & TLS_CERTIFICATE) != 0 && u32(value.ptr + 1) == 0;
		return read_tlvs(header,
		    (struct tg_str){ value.ptr + TLS_HEAD, value.len - TLS_HEAD }, true, out);
	default:
		return true;
	}
}

static bool
read_tlvs(struct tg_str header, struct tg_str tlvs, bool tls, struct tg_proxyproto *out)
{
	while (tlvs.len > 0) {
		size_t len = tlvs.len >= 3 ? u16(tlvs.ptr + 1) : tlvs.len;

		if (len > tlvs.len - 3 || tlvs.len < 3)
			return false;
		if (!read_tlv(header, (unsigned char)tlvs.ptr[0],
		        (struct tg_str){ tlvs.ptr + 3, len }, tls, out))
			return false;
		tlvs.ptr += 3 + len;
		tlvs.len -= 3 + len;
	}
	return true;
}

static int
read_2(struct tg_str bytes, struct tg_proxyproto *out)
{
	unsigned command, family;
	size_t len;
	int used;

	if (bytes.len < HEAD_2)
		return 0;
	command = (unsigned char)bytes.ptr[12];
	family = (unsigned char)bytes.ptr[13];
	len = u16(bytes.ptr + 14);
	if ((command != COMMAND_LOCAL && command != COMMAND_PROXY) ||
	    HEAD_2 + len > TG_PROXYPROTO_MAX)
		return TG_PROXYPROTO_MALFORMED;
	if (bytes.len < HEAD_2 + len)
		return 0;
	if (command == COMMAND_LOCAL) {
		out->local = true;
		return (int)(HEAD_2 + len);
	}
	used = read_addresses((int)family, bytes.ptr + HEAD_2, len, out);
	if (used < 0 ||
	    !read_tlvs((struct tg_str){ bytes.ptr, HEAD_2 + len },
	        (struct tg_str){ bytes.ptr + HEAD_2 + used, len - (size_t)used }, false, out))
		return TG_PROXYPROTO_MALFORMED;
	return (int)(HEAD_2 + len);
}

static int
read_any(struct tg_str bytes, struct tg_proxyproto *out)
{
	size_t len = bytes.len;

	if (len > 0 && memcmp(bytes.ptr, "PROXY ", len < 6 ? len : 6) == 0)
		return len < 6 ? 0 : read_1(bytes, out);
	if (memcmp(bytes.ptr, signature, len < sizeof(signature) ? len : sizeof(signature)) == 0)
		return len < sizeof(signature) ? 0 : read_2(bytes, out);
	return TG_PROXYPROTO_MALFORMED;
}

int
tg_proxyproto_read(struct tg_str bytes, struct tg_proxyproto *out)
{
	static const struct tg_proxyproto nothing = { .local = false };
	int len;

	*out = nothing;
	len = read_any(bytes, out);
	if (len <= 0)
		*out = nothing;
	return len;
}

/* --- writing ------------------------------------------------------------------------------ */

/* As IPv6, mapped where it must be. */
static struct in6_addr
as_ipv6(const struct tg_addr *addr)
{
	struct in6_addr ip = { .s6_addr = { [10] = 0xFF, [11] = 0xFF } };

	if (addr->sa.sa_family == AF_INET6)
		return addr->in6.sin6_addr;
	memcpy(ip.s6_addr + 12, &addr->in.sin_addr, 4);
	return ip;
}

static bool
is_ip(const struct tg_addr *addr)
{
	return addr->len > 0 && (addr->sa.sa_family == AF_INET || addr->sa.sa_family == AF_INET6);
}

/* Both of IPv4? Who listens to IPv4 and IPv6 with one socket has it mapped, and nobody else shall. */
static bool
are_ipv4(const struct tg_addr *from, const struct tg_addr *to, struct in_addr ips[2])
{
	return tg_addr_ipv4(from, &ips[0]) && tg_addr_ipv4(to, &ips[1]);
}

static size_t
write_1(const struct tg_addr *from, const struct tg_addr *to, char *out)
{
	char source[INET6_ADDRSTRLEN], target[INET6_ADDRSTRLEN];
	struct in6_addr a = as_ipv6(from), b = as_ipv6(to);
	struct in_addr ips[2];
	bool v4 = are_ipv4(from, to, ips);

	if (v4) {
		inet_ntop(AF_INET, &ips[0], source, sizeof(source));
		inet_ntop(AF_INET, &ips[1], target, sizeof(target));
	} else {
		inet_ntop(AF_INET6, &a, source, sizeof(source));
		inet_ntop(AF_INET6, &b, target, sizeof(target));
	}
	return (size_t)snprintf(out, TG_PROXYPROTO_WRITE, "PROXY %s %s %s %u %u\r\n",
	    v4 ? "TCP4" : "TCP6", source, target, tg_addr_port(from), tg_addr_port(to));
}

static size_t
write_2(const struct tg_addr *from, const struct tg_addr *to, char *out)
{
	uint16_t ports[2] = { htons(tg_addr_port(from)), htons(tg_addr_port(to)) };
	struct in6_addr ips[2] = { as_ipv6(from), as_ipv6(to) };
	struct in_addr short_ips[2];
	bool v4 = are_ipv4(from, to, short_ips);
	size_t len = v4 ? sizeof(short_ips) : sizeof(ips);
	char *at = out + HEAD_2;

	memcpy(out, signature, sizeof(signature));
	out[12] = COMMAND_PROXY;
	out[13] = v4 ? 0x11 : 0x21;
	memcpy(at, v4 ? (const void *)short_ips : (const void *)ips, len);
	at += len;
	memcpy(at, ports, sizeof(ports));
	at += sizeof(ports);
	out[14] = 0;
	out[15] = (char)(at - out - HEAD_2);
	return (size_t)(at - out);
}

size_t
tg_proxyproto_write(int version, const struct tg_addr *from, const struct tg_addr *to, char *out)
{
	static const char unknown[] = "PROXY UNKNOWN\r\n";

	if (is_ip(from) && is_ip(to))
		return version == 1 ? write_1(from, to, out) : write_2(from, to, out);
	if (version == 1) {
		memcpy(out, unknown, sizeof(unknown) - 1);
		return sizeof(unknown) - 1;
	}
	memcpy(out, signature, sizeof(signature));
	memcpy(out + sizeof(signature), "\x20\0\0\0", 4);
	return HEAD_2;
}
