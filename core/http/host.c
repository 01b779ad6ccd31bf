/* host[:port], in the grammar of RFC 3986 §3.2 without user information: a host is what routes a
 * request, so two readers must not be able to see two hosts in it.
 */
#include <arpa/inet.h>

#include "http/bytes.h"
#include "http/fields.h"

enum { PORT_MAX = 65535 };

/* The text of an IPv6 address, without the brackets. No zone: it means nothing to a peer. */
static bool
ipv6_valid(struct tg_str address)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr parsed;

	if (address.len == 0 || address.len >= sizeof(text))
		return false;
	if (memchr(address.ptr, '\0', address.len) != NULL)
		return false;
	memcpy(text, address.ptr, address.len);
	text[address.len] = '\0';
	return inet_pton(AF_INET6, text, &parsed) == 1;
}

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* reg-name or IPv4: they look alike, and the difference means nothing to us. */
static bool
name_valid(struct tg_str name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] == '%') {
			if (name.len - i < 3 || !is_hex(name.ptr[i + 1]) ||
			    !is_hex(name.ptr[i + 2]))
				return false;
			i += 2;
		} else if (!tg_byte_is(name.ptr[i], TG_BYTE_HOST)) {
			return false;
		}
	}
	return name.len > 0;
}

/* The value of *DIGIT: -1 when empty, -2 when it is too large. */
static int
port_of(struct tg_str digits)
{
	int port = digits.len == 0 ? -1 : 0;

	for (size_t i = 0; i < digits.len; i++) {
		port = port * 10 + (digits.ptr[i] - '0');
		if (port > PORT_MAX)
			return -2;
	}
	return port;
}

/* Without the port: -1 where none is given, or an empty one. A colon that is not followed by digits
 * stays in the name, where it is refused. */
static struct tg_str
split(struct tg_str host, int *port)
{
	size_t len = host.len;

	*port = -1;
	while (len > 0 && host.ptr[len - 1] >= '0' && host.ptr[len - 1] <= '9')
		len--;
	if (len == 0 || host.ptr[len - 1] != ':')
		return host;
	*port = port_of((struct tg_str){ host.ptr + len, host.len - len });
	return (struct tg_str){ host.ptr, len - 1 };
}

bool
tg_host_valid(struct tg_str host)
{
	struct tg_str name;
	int port;

	if (host.len == 0)
		return false;
	name = split(host, &port);
	if (port == -2 || name.len == 0)
		return false;
	if (name.ptr[0] != '[')
		return name_valid(name);
	return name.len > 2 && name.ptr[name.len - 1] == ']' &&
	    ipv6_valid((struct tg_str){ name.ptr + 1, name.len - 2 });
}
