/* What a certificate's issuer says of it (RFC 6960), from a file, to be shown to clients with it (RFC 6066
 * §8). It belongs to the certificate; it is shown only while it says "good" and has not expired.
 */
#ifndef TG_NET_TLS_OCSP_H
#define TG_NET_TLS_OCSP_H

#include "net/tls_certificate.h"

/* Attach a response (DER) to a certificate that nobody uses yet. False: it is of no use, and `problem` says
 * why. */
TG_MUST_USE bool tg_tls_ocsp_attach(const struct tg_tls_certificate *certificate,
    struct tg_str response, time_t now, char *problem, size_t size);

/* When what is attached expires; 0: nothing is attached, -1: never. */
time_t tg_tls_ocsp_expires(const struct tg_tls_certificate *certificate);

/* SSL_CTX_set_tlsext_status_cb's function. */
int tg_tls_ocsp_staple(SSL *ssl, void *arg);

#endif
