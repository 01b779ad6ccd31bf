#include "net/network.h"

#include <arpa/inet.h>

enum { ALL_BITS = 128, MAPPED_BITS = 96 };

static struct in6_addr
mapped(const struct in_addr *ip)
{
	struct in6_addr result = { .s6_addr = { [10] = 0xFF, [11] = 0xFF } };

	memcpy(result.s6_addr + 12, ip, sizeof(*ip));
	return result;
}

/* The bits behind the "/": at most `most`. */
static bool
parse_bits(struct tg_str digits, unsigned most, unsigned *bits)
{
	*bits = 0;
	if (digits.len == 0 || digits.len > 3 || (digits.len > 1 && digits.ptr[0] == '0'))
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
			return false;
		*bits = *bits * 10 + (unsigned)(digits.ptr[i] - '0');
	}
	return *bits <= most;
}

/* Are the first `bits` of both the same? */
static bool
same_bits(const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return rest == 0 || (a->s6_addr[bytes] ^ b->s6_addr[bytes]) >> (8 - rest) == 0;
}

static bool
is_clean(const struct tg_network *network)
{
	for (unsigned bit = network->bits; bit < ALL_BITS; bit++)
		if ((network->ip.s6_addr[bit / 8] & 0x80 >> bit % 8) != 0)
			return false;
	return true;
}

bool
tg_network_parse(struct tg_str text, struct tg_network *out)
{
	const char *slash = memchr(text.ptr, '/', text.len);
	size_t len = slash != NULL ? (size_t)(slash - text.ptr) : text.len;
	char ip[INET6_ADDRSTRLEN];
	struct in_addr v4;
	bool is_v4;

	*out = (struct tg_network){ .bits = 0 };
	out->all = tg_str_eq(text, TG_STR("all"));
	out->is_unix = tg_str_eq(text, TG_STR("unix"));
	if (out->all || out->is_unix)
		return true;
	if (len == 0 || len >= sizeof(ip))
		return false;
	memcpy(ip, text.ptr, len);
	ip[len] = '\0';
	is_v4 = inet_pton(AF_INET, ip, &v4) == 1;
	if (is_v4)
		out->ip = mapped(&v4);
	else if (inet_pton(AF_INET6, ip, &out->ip) != 1)
		return false;
	out->bits = is_v4 ? ALL_BITS - MAPPED_BITS : ALL_BITS;
	if (slash != NULL &&
	    !parse_bits((struct tg_str){ slash + 1, text.len - len - 1 }, out->bits, &out->bits))
		return false;
	out->bits += is_v4 ? MAPPED_BITS : 0;
	return is_clean(out);
}

bool
tg_network_has(const struct tg_network *network, const struct tg_addr *addr)
{
	struct in6_addr ip;

	if (addr->len == 0 || addr->sa.sa_family == AF_UNIX)
		return network->is_unix || network->all;
	ip = addr->sa.sa_family == AF_INET ? mapped(&addr->in.sin_addr) : addr->in6.sin6_addr;
	return network->all || (!network->is_unix && same_bits(&network->ip, &ip, network->bits));
}
