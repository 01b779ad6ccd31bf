/* What is known of a connection after its handshake: for scripts and logs. */
#ifndef TG_NET_TLS_FACTS_H
#define TG_NET_TLS_FACTS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "base/arena.h"

/* Valid as long as the SSL; ptr NULL: none. */
struct tg_tls_facts {
	struct tg_str version; /* "TLSv1.3" */
	struct tg_str cipher;  /* OpenSSL's name */
	struct tg_str name;    /* that the client has asked for */
	struct tg_str alpn;
	bool resumed;
};

struct tg_tls_facts tg_tls_facts_of(const SSL *ssl);

/* The other side's certificate. In the arena, or static; ptr NULL: it has shown none. */
struct tg_tls_peer {
	struct tg_str result; /* "ok", what is wrong with it, or "none" */
	bool verified;        /* it was there, and good */
	struct tg_str
	    subject; /* as in RFC 4514: "CN=ann,O=Example"; what is not ASCII is escaped */
	struct tg_str issuer;
	struct tg_str serial;      /* hexadecimal digits */
	struct tg_str fingerprint; /* SHA-256 of it, 64 hexadecimal digits */
	struct tg_str *sans; /* "DNS:ann.example", "IP:192.0.2.1", "email:…", "URI:…"; one with
	                              a comma, a blank or anything but printable ASCII is left out */
	unsigned san_count;
};

/* False: out of memory. */
TG_MUST_USE bool tg_tls_peer_of(const SSL *ssl, struct tg_arena *arena, struct tg_tls_peer *out);

#endif
