/* Which certificates are for which name (RFC 6066 §3): exactly, else by a wildcard for its first label.
 * For one name there may be one per kind of key; OpenSSL chooses among these by what the client can do.
 */
#ifndef TG_NET_TLS_NAMES_H
#define TG_NET_TLS_NAMES_H

#include "net/tls_certificate.h"

/* Those for one name; NULL: none with that kind of key. */
struct tg_tls_choice {
	const struct tg_tls_certificate *by_key[TG_TLS_KEYS];
};

struct tg_tls_name;

struct tg_tls_names {
	struct tg_tls_certificate **certificates; /* counted, in the order of declaration */
	unsigned certificate_count;
	struct tg_tls_name *list; /* sorted */
	unsigned count;
};

/* Add one, which is taken over. False: out of memory, and it is the caller's. */
TG_MUST_USE bool tg_tls_names_add(
    struct tg_tls_names *names, struct tg_tls_certificate *certificate);

/* All have been added. Of several for the same name and kind of key the first counts. */
TG_MUST_USE bool tg_tls_names_sort(struct tg_tls_names *names);
void tg_tls_names_fini(struct tg_tls_names *names);

/* False: no certificate has it. */
TG_MUST_USE bool tg_tls_names_find(
    const struct tg_tls_names *names, const char *name, struct tg_tls_choice *out);

/* The first certificate, and those of other keys that have a name in common with it. */
struct tg_tls_choice tg_tls_names_default(const struct tg_tls_names *names);

#endif
