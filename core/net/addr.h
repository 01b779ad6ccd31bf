/* Socket addresses as people write them: "127.0.0.1:80", "[::1]:80", "*:80", "unix:/run/app.sock".
 * Parsing never asks a resolver and never blocks: a host name is checked and handed back. What a
 * resolver would take for a number in disguise ("127.1", "0300.1") is refused, so that an address
 * means here what it means to its reader. Any thread.
 */
#ifndef TG_NET_ADDR_H
#define TG_NET_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/assert.h"
#include "base/str.h"

/* Always in the canonical form that tg_addr_parse or the kernel gives. */
struct tg_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un; /* abstract: sun_path starts with NUL, see unix(7) */
	};
	socklen_t len; /* bytes in use; 0: no address */
};

enum {
	TG_ADDR_TEXT_MAX = 128, /* room for any address as text, with its NUL */
	TG_ADDR_NAME_MAX = 253, /* bytes of a host name (RFC 1035 §2.3.4, as text) */
};

enum tg_addr_result {
	TG_ADDR_OK = 0,
	TG_ADDR_RESOLVE = 1, /* a host name: ask the resolver */
	TG_ADDR_EMPTY = -1,
	TG_ADDR_NO_PORT = -2,
	TG_ADDR_BAD_PORT = -3,   /* not a decimal number */
	TG_ADDR_PORT_RANGE = -4, /* over 65535, or 0 where one must connect */
	TG_ADDR_NO_HOST = -5,
	TG_ADDR_ANY = -6, /* '*' where one must connect */
	TG_ADDR_BRACKETS = -7,
	TG_ADDR_BAD_IPV4 = -8,
	TG_ADDR_BAD_IPV6 = -9,
	TG_ADDR_BAD_NAME = -10,
	TG_ADDR_BAD_PATH = -11,
	TG_ADDR_LONG_PATH = -12, /* does not fit sun_path */
	TG_ADDR_NO_ROOM = -13,   /* the caller's buffer is too small */
	TG_ADDR_FAMILY = -14,    /* neither IPv4 nor IPv6 nor UNIX */
};

/* Read an address to listen on, or (listen false) to connect to:
 *
 *   127.0.0.1:80  0.0.0.0:80  [::1]:80    literal
 *   *:80  :80                             listen only: the IPv6 any-address, meant for both
 *                                         protocols (the caller clears IPV6_V6ONLY)
 *   unix:/path  unix:@name                a UNIX socket; with '@' an abstract one
 *   name.example:80                       a host name
 *
 * TG_ADDR_OK: *out is filled; TG_ADDR_RESOLVE: the text names a host, out->len is 0. In both
 * cases *host is the part of `text` without port and brackets (absent for a UNIX socket) and
 * *port the port (0 for a UNIX socket; 0, "any free one", only for listening). Negative: an error
 * for tg_addr_strerror; nothing is filled. */
TG_MUST_USE int tg_addr_parse(
    struct tg_str text, bool listen, struct tg_addr *out, struct tg_str *host, uint16_t *port);

/* What is wrong and what to write instead, for the user who wrote the address. Static text. */
const char *tg_addr_strerror(int result);

/* Write "127.0.0.1:80", "[::1]:80" or "unix:/path" and a NUL. An IPv4 address mapped to IPv6, as a
 * dual-stack listener reports it, is shown as IPv4. What it writes, tg_addr_parse reads, but for
 * names of UNIX sockets that hold a NUL, shown as '@'. Returns the length without the NUL, or
 * negative (TG_ADDR_NO_ROOM, TG_ADDR_FAMILY) with "" written; TG_ADDR_TEXT_MAX always suffices. */
TG_MUST_USE int tg_addr_format(const struct tg_addr *addr, char *out, size_t cap);

/* The same for the IP alone, without port and brackets; "unix" for a UNIX socket. */
TG_MUST_USE int tg_addr_ip(const struct tg_addr *addr, char *out, size_t cap);

/* Is it of IPv4, maybe mapped to IPv6 (RFC 4291 §2.5.5.2)? Then *ip is it. */
bool tg_addr_ipv4(const struct tg_addr *addr, struct in_addr *ip);

/* The port; 0 for a UNIX socket. */
uint16_t tg_addr_port(const struct tg_addr *addr);

/* Do both lead to the same socket? An IPv4 address equals itself mapped to IPv6; the any-addresses
 * of IPv4 and IPv6 differ. */
bool tg_addr_equal(const struct tg_addr *a, const struct tg_addr *b);

#endif
