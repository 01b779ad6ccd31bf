/* The parser goes from left to right and decides by the first byte: '[' is IPv6, "unix:" a path,
 * else the one colon divides host and port. Two colons without brackets are refused rather than
 * guessed at ("::1:80" may mean either).
 *
 * Everything is done on views; only inet_pton needs a NUL, and gets a copy in a buffer of the
 * longest literal there is.
 */
#include "net/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

enum {
	LABEL_MAX = 63, /* bytes between two dots of a host name (RFC 1035 §2.3.4) */
	PATH_AT = offsetof(struct sockaddr_un, sun_path),
	PATH_MAX_LEN = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1,
};

static struct tg_str
str_from(struct tg_str text, size_t start)
{
	return (struct tg_str){ text.ptr + start, text.len - start };
}

static bool
has_prefix(struct tg_str text, struct tg_str prefix)
{
	return text.len >= prefix.len && memcmp(text.ptr, prefix.ptr, prefix.len) == 0;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_name_char(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
	    c == '_';
}

static int
parse_port(struct tg_str text, bool listen, uint16_t *port)
{
	unsigned value = 0;

	if (text.len == 0)
		return TG_ADDR_NO_PORT;
	for (size_t i = 0; i < text.len; i++)
		if (!is_digit(text.ptr[i]))
			return TG_ADDR_BAD_PORT;
	for (size_t i = 0; i < text.len && value <= UINT16_MAX; i++)
		value = value * 10 + (unsigned)(text.ptr[i] - '0');
	if (value > UINT16_MAX || (value == 0 && !listen))
		return TG_ADDR_PORT_RANGE;
	*port = (uint16_t)value;
	return TG_ADDR_OK;
}

/* inet_pton on a view. */
static bool
read_literal(int family, struct tg_str text, void *out)
{
	char copy[INET6_ADDRSTRLEN];

	if (text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len) != NULL)
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	return inet_pton(family, copy, out) == 1;
}

static void
fill_ipv6(struct tg_addr *out, struct in6_addr ip, uint16_t port)
{
	out->in6.sin6_family = AF_INET6;
	out->in6.sin6_port = htons(port);
	out->in6.sin6_addr = ip;
	out->len = sizeof(out->in6);
}

static int
parse_path(struct tg_str path, struct tg_addr *out)
{
	bool abstract;

	if (path.len < 2 || (path.ptr[0] != '/' && path.ptr[0] != '@') ||
	    memchr(path.ptr, '\0', path.len) != NULL)
		return TG_ADDR_BAD_PATH;
	if (path.len > PATH_MAX_LEN)
		return TG_ADDR_LONG_PATH;
	abstract = path.ptr[0] == '@';
	out->un.sun_family = AF_UNIX;
	memcpy(out->un.sun_path, path.ptr, path.len);
	if (abstract)
		out->un.sun_path[0] = '\0';
	out->len = (socklen_t)(PATH_AT + path.len + !abstract); /* a path counts its NUL */
	return TG_ADDR_OK;
}

/* "[::1]:80" */
static int
parse_brackets(
    struct tg_str text, bool listen, struct tg_addr *out, struct tg_str *host, uint16_t *port)
{
	const char *close = memchr(text.ptr, ']', text.len);
	struct tg_str rest;
	struct in6_addr ip;
	int result;

	if (close == NULL)
		return TG_ADDR_BRACKETS;
	*host = (struct tg_str){ text.ptr + 1, (size_t)(close - text.ptr) - 1 };
	rest = str_from(text, host->len + 2);
	if (host->len == 0)
		return TG_ADDR_NO_HOST;
	if (!read_literal(AF_INET6, *host, &ip))
		return TG_ADDR_BAD_IPV6;
	if (rest.len == 0)
		return TG_ADDR_NO_PORT;
	if (rest.ptr[0] != ':')
		return TG_ADDR_BRACKETS;
	result = parse_port(str_from(rest, 1), listen, port);
	if (result == TG_ADDR_OK)
		fill_ipv6(out, ip, *port);
	return result;
}

/* Labels of legal characters between single dots; one dot may end it. A name whose last label is
 * a number is no name but an IPv4 address gone wrong. */
static int
check_name(struct tg_str name)
{
	size_t label = 0;
	bool number = true;

	if (name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len > TG_ADDR_NAME_MAX || name.ptr[0] == '-')
		return TG_ADDR_BAD_NAME;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (c == '.') {
			if (label == 0)
				return TG_ADDR_BAD_NAME;
			label = 0;
			number = true;
			continue;
		}
		if (!is_name_char(c) || ++label > LABEL_MAX)
			return TG_ADDR_BAD_NAME;
		number = number && is_digit(c);
	}
	if (label == 0)
		return TG_ADDR_BAD_NAME;
	return number ? TG_ADDR_BAD_IPV4 : TG_ADDR_OK;
}

/* What stands before the colon, in an address without brackets. */
static int
parse_host(struct tg_str host, bool listen, uint16_t port, struct tg_addr *out)
{
	struct in_addr ip;
	int result;

	if (host.len == 0 || tg_str_eq(host, TG_STR("*"))) {
		if (!listen)
			return host.len == 0 ? TG_ADDR_NO_HOST : TG_ADDR_ANY;
		fill_ipv6(out, in6addr_any, port);
		return TG_ADDR_OK;
	}
	if (read_literal(AF_INET, host, &ip)) {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons(port);
		out->in.sin_addr = ip;
		out->len = sizeof(out->in);
		return TG_ADDR_OK;
	}
	result = check_name(host);
	return result == TG_ADDR_OK ? TG_ADDR_RESOLVE : result;
}

/* "host:port" */
static int
parse_pair(
    struct tg_str text, bool listen, struct tg_addr *out, struct tg_str *host, uint16_t *port)
{
	const char *colon = memchr(text.ptr, ':', text.len);
	struct tg_str rest;
	int result;

	if (colon == NULL)
		return TG_ADDR_NO_PORT;
	*host = (struct tg_str){ text.ptr, (size_t)(colon - text.ptr) };
	rest = str_from(text, host->len + 1);
	if (memchr(rest.ptr, ':', rest.len) != NULL)
		return TG_ADDR_BRACKETS;
	result = parse_port(rest, listen, port);
	return result < 0 ? result : parse_host(*host, listen, *port, out);
}

int
tg_addr_parse(
    struct tg_str text, bool listen, struct tg_addr *out, struct tg_str *host, uint16_t *port)
{
	const struct tg_str unix_prefix = TG_STR("unix:");
	int result;

	memset(out, 0, sizeof(*out));
	*host = (struct tg_str){ NULL, 0 };
	*port = 0;
	if (text.len == 0)
		return TG_ADDR_EMPTY;
	if (has_prefix(text, unix_prefix))
		return parse_path(str_from(text, unix_prefix.len), out);
	if (text.ptr[0] == '[')
		result = parse_brackets(text, listen, out, host, port);
	else
		result = parse_pair(text, listen, out, host, port);
	if (result < 0) {
		*host = (struct tg_str){ NULL, 0 };
		*port = 0;
	}
	return result;
}

/* A row each: what is wrong; what to write instead. The index is the negated code. */
static const char *const texts[] = {
	[-TG_ADDR_OK] = "no error",
	[-TG_ADDR_EMPTY] = "the address is empty; write host:port, or unix:/path",
	[-TG_ADDR_NO_PORT] = "the port is missing; write host:port, as in 127.0.0.1:80",
	[-TG_ADDR_BAD_PORT] = "the port is not a number; write host:port, as in 127.0.0.1:80",
	[-TG_ADDR_PORT_RANGE] = "the port is out of range; write one from 1 to 65535 "
	                        "(0, any free port, is only for listening)",
	[-TG_ADDR_NO_HOST] = "the host is missing; write host:port "
	                     "(:port and *:port are only for listening)",
	[-TG_ADDR_ANY] = "'*' is only for listening; name the host to connect to",
	[-TG_ADDR_BRACKETS] = "an IPv6 address stands in brackets before the port; write [::1]:80",
	[-TG_ADDR_BAD_IPV4] = "not an IPv4 address; write four numbers from 0 to 255 without "
	                      "leading zeros, as in 127.0.0.1:80",
	[-TG_ADDR_BAD_IPV6] = "not an IPv6 address; write one in brackets without a %zone, "
	                      "as in [::1]:80",
	[-TG_ADDR_BAD_NAME] = "not a host name; write letters, digits, '-' and '_' between single "
	                      "dots, at most 63 between two dots and 253 in all",
	[-TG_ADDR_BAD_PATH] = "a UNIX socket has an absolute path, or '@' and a name; write "
	                      "unix:/run/app.sock or unix:@app",
	[-TG_ADDR_LONG_PATH] = "the path of a UNIX socket has at most 107 bytes; use a shorter "
	                       "directory or a symbolic link",
	[-TG_ADDR_NO_ROOM] = "the address does not fit the buffer",
	[-TG_ADDR_FAMILY] = "neither an IPv4 nor an IPv6 address nor a UNIX socket",
};

const char *
tg_addr_strerror(int result)
{
	const int count = sizeof(texts) / sizeof(texts[0]);

	if (result == TG_ADDR_RESOLVE)
		return "a host name, which must be resolved";
	if (result > 0 || result <= -count)
		return "unknown address error";
	return texts[-result];
}

bool
tg_addr_ipv4(const struct tg_addr *addr, struct in_addr *ip)
{
	if (addr->sa.sa_family == AF_INET) {
		*ip = addr->in.sin_addr;
		return true;
	}
	if (addr->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr))
		return false;
	memcpy(ip, &addr->in6.sin6_addr.s6_addr[12], sizeof(*ip));
	return true;
}

/* A real address, not the empty one. */
static int
family_of(const struct tg_addr *addr)
{
	return addr->len == 0 ? AF_UNSPEC : addr->sa.sa_family;
}

/* The bytes of sun_path in use, without the NUL that ends a path; none for an unnamed socket. The
 * kernel may give a path of all 108 bytes, without a NUL. */
static struct tg_str
path_of(const struct tg_addr *addr)
{
	struct tg_str path = { addr->un.sun_path, 0 };

	if (addr->len <= PATH_AT)
		return path;
	path.len = addr->len - PATH_AT;
	if (path.len > sizeof(addr->un.sun_path))
		path.len = sizeof(addr->un.sun_path);
	if (path.ptr[0] != '\0')
		path.len = strnlen(path.ptr, path.len);
	return path;
}

/* Copy `text` with a NUL, or fail with "" as the formatters promise. */
static int
write_text(const char *text, size_t len, char *out, size_t cap)
{
	if (len >= cap) {
		if (cap > 0)
			out[0] = '\0';
		return TG_ADDR_NO_ROOM;
	}
	memcpy(out, text, len);
	out[len] = '\0';
	return (int)len;
}

static int
format_path(const struct tg_addr *addr, char *out, size_t cap)
{
	const struct tg_str prefix = TG_STR("unix:"), path = path_of(addr);
	char text[TG_ADDR_TEXT_MAX];

	memcpy(text, prefix.ptr, prefix.len);
	for (size_t i = 0; i < path.len; i++)
		text[prefix.len + i] = path.ptr[i] != '\0' ? path.ptr[i] : '@';
	return write_text(text, prefix.len + path.len, out, cap);
}

int
tg_addr_format(const struct tg_addr *addr, char *out, size_t cap)
{
	char ip[TG_ADDR_TEXT_MAX], text[TG_ADDR_TEXT_MAX + sizeof("[]:65535")];
	struct in_addr ipv4;
	int len;

	if (family_of(addr) == AF_UNIX)
		return format_path(addr, out, cap);
	len = tg_addr_ip(addr, ip, sizeof(ip));
	if (len < 0) {
		(void)write_text("", 0, out, cap);
		return len;
	}
	len = snprintf(text, sizeof(text), tg_addr_ipv4(addr, &ipv4) ? "%s:%u" : "[%s]:%u", ip,
	    (unsigned)tg_addr_port(addr));
	return write_text(text, (size_t)len, out, cap);
}

int
tg_addr_ip(const struct tg_addr *addr, char *out, size_t cap)
{
	char text[INET6_ADDRSTRLEN] = "";
	struct in_addr ipv4;
	int family = family_of(addr);

	if (family == AF_UNIX)
		return write_text("unix", 4, out, cap);
	if (family != AF_INET && family != AF_INET6) {
		(void)write_text("", 0, out, cap);
		return TG_ADDR_FAMILY;
	}
	if (tg_addr_ipv4(addr, &ipv4))
		inet_ntop(AF_INET, &ipv4, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &addr->in6.sin6_addr, text, sizeof(text));
	return write_text(text, strlen(text), out, cap);
}

uint16_t
tg_addr_port(const struct tg_addr *addr)
{
	switch (family_of(addr)) {
	case AF_INET:
		return ntohs(addr->in.sin_port);
	case AF_INET6:
		return ntohs(addr->in6.sin6_port);
	default:
		return 0;
	}
}

bool
tg_addr_equal(const struct tg_addr *a, const struct tg_addr *b)
{
	int family = family_of(a);
	struct in_addr x, y;
	bool a_is_ipv4, b_is_ipv4;

	if (family == AF_UNSPEC || family_of(b) == AF_UNSPEC)
		return family == family_of(b);
	if (family == AF_UNIX || family_of(b) == AF_UNIX)
		return family == family_of(b) && tg_str_eq(path_of(a), path_of(b));
	a_is_ipv4 = tg_addr_ipv4(a, &x);
	b_is_ipv4 = tg_addr_ipv4(b, &y);
	if (a_is_ipv4 != b_is_ipv4 || tg_addr_port(a) != tg_addr_port(b))
		return false;
	if (a_is_ipv4)
		return x.s_addr == y.s_addr;
	return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr) &&
	    a->in6.sin6_scope_id == b->in6.sin6_scope_id;
}
