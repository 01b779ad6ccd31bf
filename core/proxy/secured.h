/* Clients that come by TLS: from the connection, or the header of its proxy, to the end of the handshake.
 * A handshake costs memory and, above all, processor time: only so many are under way at once on a worker,
 * others wait in line, unread. Both under `timeout.handshake`.
 */
#ifndef TG_PROXY_SECURED_H
#define TG_PROXY_SECURED_H

#include <stdbool.h>

#include "base/assert.h"
#include "base/str.h"

struct tg_client;
struct ssl_st;
struct tg_generation;
struct tg_tls_certificate;

/* A handshake that waits for a certificate. */
struct tg_certify {
	struct tg_client *client;
	struct tg_generation *generation;       /* one user */
	int listener;                           /* index in its plan */
	struct tg_str name;                     /* that was asked for, as it came; ptr NULL: none */
	struct tg_tls_certificate *certificate; /* the decision, counted; NULL: the default */
	void *task;                             /* the policy's, while it waits */
};

/* The client's listener speaks TLS: begin. False: out of memory. */
TG_MUST_USE bool tg_secured_begin(struct tg_client *client);

/* Its handshake has ended, well (0) or not. False: it has failed; it was told to whom it matters. */
TG_MUST_USE bool tg_secured_end(struct tg_client *client, int status);

/* Its listener has no certificate for that name (NULL: none was asked for): a script is asked. */
void tg_secured_certify(struct tg_client *client, const char *name);

/* The script has decided. */
void tg_secured_certified(struct tg_certify *certify);

/* OpenSSL's object of the connection that the client has come by; NULL: plain. */
struct ssl_st *tg_secured_ssl(const struct tg_client *client);
/* Is it there by TLS, and was HTTP/2 agreed on? */
bool tg_secured_http2(const struct tg_client *client);

/* It is no longer at it, whatever the reason: another's turn. */
void tg_secured_leave(struct tg_client *client);

#endif
