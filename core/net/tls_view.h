/* What a configuration says of TLS, of a listener or of a backend. Read by two compilers, like
 * base/view.h: C includes it, and the build embeds its text for LuaJIT's ffi.cdef. So: declarations
 * only, no #include and no macro but the guard.
 *
 * Texts are the caller's, without NUL in them; ptr NULL: not given. Paths are absolute.
 */
#ifndef TG_NET_TLS_VIEW_H
#define TG_NET_TLS_VIEW_H

enum tg_tls_kind {
	TG_TLS_SERVER, /* of a listener */
	TG_TLS_CLIENT, /* of a backend */
};

enum tg_tls_verify {            /* the other side's certificate is … */
	TG_TLS_VERIFY_NONE,     /* not asked for (server), not looked at (client) */
	TG_TLS_VERIFY_REQUEST,  /* asked for; any is taken, and what is wrong with it is told */
	TG_TLS_VERIFY_OPTIONAL, /* asked for; none is taken, a bad one refused */
	TG_TLS_VERIFY_REQUIRED, /* must be there and good */
};

/* A certificate and its key. */
struct tg_tls_pair {
	struct tg_str
	    cert; /* a PEM file: the certificate, then its chain; or a folder of such files */
	struct tg_str key; /* a PEM file; not given: the key is in `cert`, or beside it */
	struct tg_str
	    ocsp; /* a response in DER; not given: the one beside `cert`, if there is one */
};

struct tg_tls_options {
	int32_t kind;               /* enum tg_tls_kind */
	int32_t min_version;        /* 12 or 13 */
	int32_t prefer;             /* 1: the order of `ciphers` decides, not the client's */
	struct tg_str ciphers;      /* of TLS 1.2; not given: Mozilla's */
	struct tg_str ciphersuites; /* of TLS 1.3; not given: OpenSSL's */
	struct tg_str groups;       /* not given: X25519, P-256, P-384 */
	struct tg_str alpn;         /* as on the wire: a byte of length before each name */

	const struct tg_tls_pair *pairs; /* the first is the default; of a client: one at most */
	int32_t pair_count;
	int32_t warn_days; /* warn when a certificate has less than that to live */

	/* The other side's certificate */
	int32_t verify;    /* enum tg_tls_verify */
	int32_t depth;     /* certificates between its and the CA's; negative: OpenSSL's */
	struct tg_str ca;  /* a PEM file; not given, client: the system's */
	struct tg_str crl; /* a PEM file */

	/* Server */
	int32_t has_certificate; /* 1: the loader's on_certificate knows more names */
	int32_t strict;          /* 1: a name that no certificate has is refused */
	int32_t tickets;         /* 1: sessions are resumed by tickets */
	int32_t cache;      /* how many sessions are kept for resumption without one; 0: none */
	int32_t lifetime_s; /* of a session */
	int32_t rotate_s;   /* a key encrypts tickets that long */
	int32_t ticket_file_count;
	const struct tg_str *ticket_files; /* keys from files, instead; the first encrypts */

	/* Client */
	struct tg_str
	    name; /* to ask for and to verify; not given: the host of the server's address */
};

#endif
