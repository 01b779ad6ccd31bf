/* What a script can see of the engine's objects, in place and without a call, and the options
 * that a configuration gives them.
 *
 * This file is read by two compilers: C includes it, and the build embeds its text for
 * LuaJIT's ffi.cdef. So: declarations only, no #include, no macro, constants are enums.
 * Scripts read; only the engine writes. It stands on the proxy's floor because the engine's
 * own structs begin with these views.
 */
#ifndef TG_PROXY_VIEW_H
#define TG_PROXY_VIEW_H

/* A request. The memory is never given back while its thread lives (requests are pooled), so
 * reading through a stale pointer is harmless; a handle is (pointer, serial), and whoever
 * reads compares the serials first: they differ as soon as the request has ended. */
struct tg_req_view {
	uint64_t serial; /* of the request that lives here now; changes at its end */
	struct tg_str method;
	struct tg_str target;    /* as it came */
	struct tg_str authority; /* host[:port], from the target or the Host field; may be "" */
	struct tg_str host;      /* of it: without the port, in lower case */
	struct tg_str path;      /* undecoded, without the query */
	struct tg_str query;     /* without the "?"; ptr NULL when there is none */
	struct tg_str client;    /* the client's IP address, or "unix" */
	struct tg_str listener;  /* the listener's address as configured */
	int32_t client_port;     /* 0 for a UNIX socket */
	int32_t version;         /* 10, 11 or 20: of the request */
	int32_t secure;          /* 1: the client came by TLS */
	int32_t slot;            /* a small number, unique among live requests of the thread */
	int32_t has_context;     /* a script keeps a table for this request (req.ctx) */

	/* A connection that is no request (proxy/tcp.h): 1; there is no head then, nor ever was. */
	int32_t raw;
	int32_t hello; /* what it began with: 1: a ClientHello, 0: something else, -1: unknown */
	struct tg_str sni;  /* that it names, in lower case; ptr NULL: none */
	struct tg_str alpn; /* that it offers: names, each behind a byte with its length */

	/* The answer. 0 until there is one. */
	int32_t status;
	int32_t response_ready; /* 1: response fields may be read and edited */

	/* Where it went; -1 until chosen. Indexes into the generation's lists. */
	int32_t listener_index;
	int32_t backend;
	int32_t server;
	int32_t retries;      /* times it was sent again */
	int32_t redispatched; /* 1: the last retry changed the server */

	/* For logs: milliseconds, -1 when the phase was not reached. */
	int64_t started_ms;   /* wall clock, ms since the epoch: the first byte of the head */
	int32_t head_ms;      /* first byte of the head .. head complete */
	int32_t wait_ms;      /* head complete .. server chosen */
	int32_t connect_ms;   /* server chosen .. connection there */
	int32_t response_ms;  /* connection there .. response head complete */
	int32_t total_ms;     /* first byte .. last byte (set at the end) */
	int64_t bytes_in;     /* body bytes from the client */
	int64_t bytes_out;    /* bytes sent to the client, head included */
	int32_t reused;       /* 1: the server connection came from the pool */
	int32_t server_queue; /* its place in the line for its server, from 1; 0: it did not wait */
	int32_t backend_queue; /* the same in the line for any server */
	/* As of its end, all threads: */
	int32_t process_connections;  /* client connections of the process, its own included */
	int32_t listener_connections; /* and of its listener */
	int32_t backend_active;       /* other requests that its backend answers or keeps in line */
	int32_t server_active;        /* other requests that its server answers */
	int32_t empty; /* 1: no request: a connection that ended without a byte, for the log */
	int32_t end;   /* enum tg_end once it has ended, else 0 */
	struct tg_str end_name; /* of that row of core/proxy/end.h, e.g. "ok" */
	struct tg_str end_code; /* HAProxy's two characters, e.g. "--", "sH" */
};

/* Of an exchange. */
enum tg_side { TG_SIDE_REQUEST, TG_SIDE_RESPONSE };

/* What a client's proxy has said; ptr NULL where it did not. */
struct tg_proxied_view {
	struct tg_str peer; /* the proxy's IP, or "unix" */
	struct tg_str alpn, authority, unique_id, tls_version, tls_cipher, tls_cn;
	int32_t tls;      /* 1: the client came to it by TLS */
	int32_t verified; /* 1: with a certificate that was verified */
};

/* What is known of the client's own TLS; ptr NULL: none. */
struct tg_tls_facts_view {
	struct tg_str version, cipher; /* "TLSv1.3", OpenSSL's name */
	struct tg_str sni, alpn;
	int32_t resumed;
};

/* And of the certificate that it has shown. */
struct tg_tls_peer_view {
	struct tg_str result; /* "ok", or what is wrong with it */
	struct tg_str subject, issuer, serial, fingerprint;
	const struct tg_str *sans;
	uint32_t san_count;
	int32_t verified; /* 1: it is good */
};

/* What the retry policy decides. */
enum tg_verdict { TG_VERDICT_GIVE_UP, TG_VERDICT_RETRY, TG_VERDICT_REDISPATCH };

/* A server, shared by all threads. Counters are sums over threads, refreshed by
 * tg_ffi_server_refresh. */
struct tg_server_view {
	int32_t usable;   /* 1: requests that belong there may go there now */
	int32_t open;     /* 1: and others too */
	int32_t up;       /* 1: its checks say so (or there are none) */
	int32_t silent;   /* 1: it let a request time out, and has said nothing since */
	int32_t resolved; /* 1: its name has an address */
	int32_t admin;    /* enum tg_admin_state */
	int32_t queued;   /* requests in line for this server and no other */
	int32_t active;   /* requests it is answering now, all threads */
	int64_t requests; /* requests sent to it so far, all threads */
	int64_t failures; /* connects and responses that failed, all threads */
	int64_t since_ms; /* monotonic clock: when its state last changed, or it appeared */
	int32_t check_ms; /* what its last check took; -1: there was none */
};

/* ---- What a configuration declares, as the engine keeps it ----------------------------- */

/* What becomes of the requests that are on a server when it is marked down. */
enum tg_on_down {
	TG_ON_DOWN_RETRY, /* those that may be sent again go to the retry policy; others stay */
	TG_ON_DOWN_KEEP,  /* all stay, until they are answered or time out */
	TG_ON_DOWN_CLOSE, /* as RETRY, and the others end */
};

/* What an operator wants of a server, whatever its checks say. */
enum tg_admin_state {
	TG_ADMIN_READY,
	TG_ADMIN_DRAIN,    /* no new clients; who belongs there still goes there */
	TG_ADMIN_DISABLED, /* nobody goes there, and it is not checked */
};

/* tide.process: what holds for the whole process. Absent texts have len 0. */
struct tg_process_options {
	struct tg_str where;   /* "file:line" of the declaration */
	struct tg_str control; /* path of the control socket; absent: the default one */
	struct tg_str user, group;
	struct tg_str chroot;
	struct tg_str pid_file;
	int64_t grace_ms; /* how long SIGTERM lets requests run; 0: not at all */
	int64_t
	    tunnel_grace_ms; /* and tunnels; these also when a reload takes their listener away */
	int32_t workers;     /* 0: one per core */
	int32_t max_connections; /* of clients; 0: as many as there are descriptors for */
	int32_t max_handshakes;  /* of TLS, under way at once; 0: no limit */
	int32_t daemon;
};

/* Times in ms (0: no limit), sizes in bytes. */
struct tg_backend_options {
	int64_t queue_ms;     /* how long a request waits in line; 0: for ever */
	int32_t queue_length; /* requests in line at most; 0: no limit */
	int32_t all_backups;  /* use all backup servers at once; 0: the first that can be used */
	int64_t connect_ms, server_ms;
	/* Without a byte in a tunnel; 0: no limit, negative (connections of mode "tcp"): server_ms, and
	 * the listener's client_ms, hold there as well. */
	int64_t tunnel_ms;
	int64_t pool_idle_ms;
	int64_t retry_body;   /* bytes of a body that are kept, so that it can be sent again */
	int32_t pool_size;    /* idle connections kept per server and worker */
	int32_t has_pick;     /* call TG_HOOK_PICK; else the engine's round robin */
	int32_t has_response; /* call TG_HOOK_RESPONSE (stickiness) */
	int32_t has_retry;    /* call TG_HOOK_RETRY; else give up */
	int32_t on_down;      /* enum tg_on_down */
	int32_t send_proxy;  /* 1, 2: the version of the PROXY protocol that servers get; 0: none */
	int32_t http2;       /* servers speak HTTP/2 */
	int32_t max_streams; /* requests at once on such a connection */
	int32_t tls;         /* the number of tg_ffi_plan_tls; 0: none */
};

struct tg_server_options {
	int32_t weight;
	int32_t checked;         /* 1: health checks decide whether it is usable */
	int32_t max_connections; /* requests at once; 0: no limit */
	int32_t backup;          /* 1: for when no other can be used */
	int32_t admin;           /* enum tg_admin_state */
	/* What it is until its first check, when nobody knew it before: */
	int32_t init_up;     /* 1: usable */
	int32_t init_credit; /* results in a row that count before the first, negative: failures */
};

/* Where lines of a log go beside their target, "stdout", "stderr", "file:/path" or "syslog:…". */
enum tg_syslog_protocol { TG_SYSLOG_RFC3164, TG_SYSLOG_RFC5424 };

struct tg_sink_options {
	int32_t messages; /* 1: the engine's own messages go there, too: */
	int32_t level;    /* enum tg_level: those that matter less do not */
	/* Of a syslog: */
	int32_t facility; /* 0..23 */
	int32_t protocol; /* enum tg_syslog_protocol */
	int32_t length;   /* bytes of a datagram: what is longer is cut */
	char tag[48];     /* ends in NUL */
};

struct tg_listener_options {
	int32_t max_connections; /* client connections; 0: no limit */
	int64_t client_ms, head_ms, keep_alive_ms;
	int64_t handshake_ms; /* from accept to the end of the TLS handshake */
	int64_t max_body;     /* bytes, 0: no limit */
	int32_t max_head, max_uri, max_fields;
	int32_t forwarded_for; /* add X-Forwarded-For, -Proto, -Host; 0: leave them alone */
	int32_t via;           /* add Via to requests (RFC 9110 §7.6.3) */
	int32_t upgrade;       /* clients may ask servers for another protocol (RFC 9110 §7.8) */
	int32_t http2;         /* clients may speak HTTP/2: by ALPN; without TLS, by beginning so */
	int32_t max_streams;   /* requests at once on such a connection */
	int32_t tcp;           /* 1: mode "tcp": connections, whatever their bytes mean */
	int32_t inspect;       /* 1: look whether they begin with TLS, and which name that says */
	int32_t has_accept;    /* call TG_HOOK_ACCEPT for each connection */
	int64_t inspect_ms;    /* how long the first bytes are waited for; 0: no limit */
	int32_t backend;       /* where all go when has_route is 0, else -1 */
	int32_t has_route, has_response, has_finish;
	int32_t log_empty; /* call TG_HOOK_FINISH for connections that end without a byte, too */
	int32_t tls;       /* the number of tg_ffi_plan_tls; 0: none */
	int32_t has_certificate; /* a hook knows certificates of names that `tls` does not */
};

#endif
