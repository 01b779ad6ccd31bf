/* Sessions with servers, to be resumed: one for each server, the newest. Any thread, under a lock; each
 * connection gets a copy of its own, because OpenSSL writes to the session that it uses.
 */
#ifndef TG_NET_TLS_SESSIONS_H
#define TG_NET_TLS_SESSIONS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "base/assert.h"

struct tg_tls_sessions;

/* NULL: out of memory. */
TG_MUST_USE struct tg_tls_sessions *tg_tls_sessions_new(void);
void tg_tls_sessions_free(struct tg_tls_sessions *sessions);

/* The connection goes to that server, which is verified by that name: resume what there is of both, and
 * keep what it gives. False: out of memory. The SSL must not outlive `sessions`. */
TG_MUST_USE bool tg_tls_sessions_join(
    struct tg_tls_sessions *sessions, SSL *ssl, const char *server, const char *name);

/* SSL_CTX_sess_set_new_cb's function. */
int tg_tls_sessions_on_new(SSL *ssl, SSL_SESSION *session);

#endif
