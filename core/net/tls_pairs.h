/* From the paths of a configuration to certificates: files, folders, what lies beside a certificate, and
 * what to do when only half of a pair can be read.
 */
#ifndef TG_NET_TLS_PAIRS_H
#define TG_NET_TLS_PAIRS_H

#include "net/tls_context.h"
#include "net/tls_names.h"

/* Read a file of the configuration. `what` names it in loader->error. One that cannot be read any more is
 * what was loaded; the loader is warned. */
TG_MUST_USE bool tg_tls_load_text(
    struct tg_tls_loader *loader, struct tg_str path, const char *what, struct tg_str *text);

/* Read what a pair names, and add it. False: loader->error. */
TG_MUST_USE bool tg_tls_load_pair(
    struct tg_tls_loader *loader, const struct tg_tls_pair *pair, struct tg_tls_names *names);

/* Say what is wrong; false, for the caller to return. */
bool tg_tls_load_fail(struct tg_tls_loader *loader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void tg_tls_load_warn(struct tg_tls_loader *loader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
