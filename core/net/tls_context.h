/* All that is set up for TLS before a connection comes: certificates and which of them is for whom,
 * ciphers, sessions, whom we believe. Of a listener (server) or of a backend (client). Moving bytes is
 * not done here (net/tls.h).
 *
 * Built on the control thread while a configuration loads; constant from then on but for what OpenSSL
 * and we lock (sessions, keys of tickets); shared by all threads. Counted: it lives as long as somebody
 * holds it or an SSL of it. The count is ours, not that of OpenSSL's SSL_CTX, so that the thread sanitizer
 * sees it.
 */
#ifndef TG_NET_TLS_CONTEXT_H
#define TG_NET_TLS_CONTEXT_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "net/tls_certificate.h"
#include "net/tls_digest.h"
#include "net/tls_files.h"
#include "net/tls_tickets.h"
#include "net/tls_view.h"

struct tg_tls_context;

enum tg_tls_answer { TG_TLS_REFUSED, TG_TLS_GO_ON, TG_TLS_SUSPENDED = -1 };

/* A client asks for a name that no certificate of the context has (NULL: for none, and there is no
 * default). GO_ON: with what tg_tls_certificate_use was given, else the default. SUSPENDED:
 * SSL_do_handshake comes back with SSL_ERROR_WANT_X509_LOOKUP; the next call of it asks again. */
typedef enum tg_tls_answer (*tg_tls_certificate_fn)(SSL *ssl, const char *name);

/* What a load needs beside the options, and whom it tells. */
struct tg_tls_loader {
	struct tg_tls_files *files;
	struct tg_tls_rings *rings;
	tg_tls_certificate_fn on_certificate; /* server; NULL: names without one get the default */
	void (*on_warning)(void *arg, const char *text); /* may be NULL */
	void *arg;
	/* Those of the configuration before: one that is the same as what was asked for is what is given. */
	struct tg_tls_context *const *known;
	unsigned known_count;
	struct tg_tls_digest digest; /* private: of what is being made */
	char error[1024];            /* why there is no context: file, cause and remedy */
};

/* Counted, new or known. NULL: loader->error says why. */
TG_MUST_USE struct tg_tls_context *tg_tls_context_new(
    struct tg_tls_loader *loader, const struct tg_tls_options *options);
struct tg_tls_context *tg_tls_context_get(struct tg_tls_context *context);
void tg_tls_context_put(struct tg_tls_context *context);

/* A connection of a client, which begins; it holds the context. NULL: out of memory. */
TG_MUST_USE SSL *tg_tls_context_accept(struct tg_tls_context *context);

/* One to a server. `host`: the name or IP address to ask for and to verify, where the options give
 * none. `server`: whose sessions may be resumed, e.g. its address. NULL: out of memory. */
TG_MUST_USE SSL *tg_tls_context_connect(
    struct tg_tls_context *context, const char *host, const char *server);

/* Its certificates, for the statistics; the same one may be there under several names only once. */
unsigned tg_tls_context_certificates(const struct tg_tls_context *context);
const struct tg_tls_certificate *tg_tls_context_certificate(
    const struct tg_tls_context *context, unsigned index);

/* Tell of certificates that have less than warn_days to live at `now`. */
void tg_tls_context_warn(const struct tg_tls_context *context, time_t now,
    void (*warn)(void *arg, const char *text), void *arg);

/* Whether the other side's certificate is looked at. */
bool tg_tls_context_verifies(const struct tg_tls_context *context);

#endif
