/* Everything else that Lua can see of the engine, declared once: C includes this file, and the
 * build embeds its text (after base/view.h and proxy/view.h) for LuaJIT's ffi.cdef. So:
 * declarations only, no #include, no macro, constants are enums, handles are opaque.
 *
 * Rules for every function here: it validates, records and returns a code (0 or a positive
 * result; negative: enum tg_ffi_error). It never runs Lua, never frees what Lua can still
 * name, never writes to a socket: the engine acts after the hook has returned. (LuaJIT aborts
 * the process when a JIT-compiled FFI call re-enters Lua.)
 *
 * `vm` is the handle of the calling virtual machine; lua/tidegate/boot.lua is given it.
 */
#ifndef TG_POLICY_FFI_H
#define TG_POLICY_FFI_H

struct tg_vm;
struct tg_req_view;
struct tg_tls_certificate;

enum tg_ffi_error {
	TG_FFI_ENDED = -100, /* the request has ended: the handle is stale */
	TG_FFI_MEMORY = -101,
	TG_FFI_INVALID = -102,   /* malformed name, value, status, address… */
	TG_FFI_FORBIDDEN = -103, /* a field that belongs to the engine */
	TG_FFI_TOO_LARGE = -104,
	TG_FFI_STATE = -105,    /* not now: e.g. the response is already on its way */
	TG_FFI_MISSING = -106,  /* nothing of that name */
	TG_FFI_MISMATCH = -107, /* this thread's configuration differs from the first one's */
};

/* ---- Calls from C into Lua: one struct per VM, no marshalling ------------------------- */

enum tg_hook {
	TG_HOOK_ROUTE,       /* in: listener, req. out: backend >= 0, or the request has answered */
	TG_HOOK_PICK,        /* in: backend, req. out: server >= 0, or -1: none; bound */
	TG_HOOK_RESPONSE,    /* in: req (response readable), backend */
	TG_HOOK_RETRY,       /* in: backend, server, req, failure. out: verdict */
	TG_HOOK_FINISH,      /* in: req (ended). Cannot wait; writes the log line */
	TG_HOOK_TIMER,       /* in: timer. A function given to tide.every or a checker */
	TG_HOOK_RELEASE,     /* in: req. The request's slot is given up: forget its table */
	TG_HOOK_ACCEPT,      /* in: listener, req (raw). It may have been rejected */
	TG_HOOK_CERTIFICATE, /* in: listener, sni. out: certificate, or NULL */
	TG_HOOK_COUNT
};

enum tg_wait { /* what a coroutine that has yielded waits for */
	TG_WAIT_NONE,
	TG_WAIT_SLEEP,   /* wait_ms */
	TG_WAIT_CONNECT, /* sock, data = address, wait_ms = timeout */
	TG_WAIT_SECURE, /* sock, peer_backend, peer_server: TLS from here on, as with that server. When it
	                    fails, the result is the reason */
	TG_WAIT_SEND,  /* sock, data */
	TG_WAIT_BYTES, /* sock, count: exactly that many */
	TG_WAIT_LINE,  /* sock, count: up to LF; the result is without CRLF or LF. Over `count`
	                    bytes (0: any number): TOO_LARGE */
	TG_WAIT_ALL,   /* sock, count: until the peer closes, or `count` bytes (0: any number) */
};

struct tg_call {
	/* C to Lua, valid at the start of a hook only: copy what is needed before waiting. */
	struct tg_req_view *req;
	int32_t listener;
	int32_t backend;
	int32_t server;
	int32_t timer;
	struct tg_str failure; /* TG_HOOK_RETRY: name of the row of end.h, e.g. "connect_refused" */
	int32_t safe;          /* TG_HOOK_RETRY: 1: idempotent, or nothing was sent */
	struct tg_str sni;     /* TG_HOOK_CERTIFICATE: as it came; ptr NULL: none */
	int32_t sent;          /* TG_HOOK_RETRY: 1: the server may have seen the request */

	/* Lua to C, valid when the hook returns. */
	int32_t result_backend;
	int32_t result_server;
	int32_t result_bound; /* TG_HOOK_PICK: 1: no other server will do, it waits for this one */
	int32_t verdict;
	struct tg_tls_certificate *result_certificate; /* the script's, or NULL */
	int64_t next_ms; /* TG_HOOK_TIMER: ms until its next call; 0: as planned, negative: when
	                    tg_ffi_timer_wake says */

	/* Lua to C, valid when the hook yields. */
	int32_t wait; /* enum tg_wait */
	int32_t sock;
	int32_t peer_backend, peer_server;
	int64_t wait_ms; /* SLEEP: how long; else the time limit, 0: none */
	int64_t count;
	struct tg_str data; /* must stay alive (on the coroutine's stack) until resumed */

	/* C to Lua, valid when the coroutine is resumed: the result of the wait. */
	int32_t code;           /* 0, or negative: see tg_ffi_strerror */
	struct tg_str received; /* valid until the next wait; on an error: what had come */
};

/* The text of a negative code of this file or of libuv ("timeout", "connection refused"…). */
const char *tg_ffi_strerror(int code);

/* ---- Requests ------------------------------------------------------------------------- */

/* Fields. `serial` is that of the handle. The index variant walks all live fields of a head,
 * from 0; MISSING after the last. `find` continues after index `after` (-1: from the start)
 * and returns the index found. */
int tg_ffi_field_find(struct tg_req_view *req, uint64_t serial, int side, const char *name,
    size_t name_len, int after, struct tg_str *value);
int tg_ffi_field_at(struct tg_req_view *req, uint64_t serial, int side, int index,
    struct tg_str *name, struct tg_str *value);
int tg_ffi_field_set(struct tg_req_view *req, uint64_t serial, int side, const char *name,
    size_t name_len, const char *value, size_t value_len);
int tg_ffi_field_add(struct tg_req_view *req, uint64_t serial, int side, const char *name,
    size_t name_len, const char *value, size_t value_len);
int tg_ffi_field_remove(
    struct tg_req_view *req, uint64_t serial, int side, const char *name, size_t name_len);

enum tg_part { TG_PART_PATH, TG_PART_QUERY, TG_PART_HOST };

/* Rewrite a part of the target. value NULL: remove (query only). Changes the view at once. */
int tg_ffi_req_rewrite(
    struct tg_req_view *req, uint64_t serial, int part, const char *value, size_t len);

/* Change the status of the response that is being forwarded: 200..599, and not between one that
 * has a body and one that has none. */
int tg_ffi_res_status(struct tg_req_view *req, uint64_t serial, int status);

/* Answer by ourselves: the engine sends it when the hook returns. Allowed before a response
 * head was sent; a server's response that is there is discarded. After it, response fields may
 * be added with tg_ffi_field_add on TG_SIDE_RESPONSE. status 200..599; 204, 205 and 304 have no
 * body. */
int tg_ffi_req_respond(
    struct tg_req_view *req, uint64_t serial, int status, const char *body, size_t len);

/* Close a connection that is no request (raw), and has no server yet, when the hook returns: in order, or
 * by a reset. */
int tg_ffi_conn_reject(struct tg_req_view *req, uint64_t serial, int reset);

/* What the listener's capture number `index` has kept of the request or the response. MISSING:
 * nothing. */
int tg_ffi_req_captured(struct tg_req_view *req, uint64_t serial, int index, struct tg_str *value);

/* A certificate with its chain, and its key, both in PEM, for TG_HOOK_CERTIFICATE. NULL: tg_ffi_tls_error
 * says why. It is to be freed. */
struct tg_tls_certificate *tg_ffi_certificate_new(
    struct tg_vm *vm, const char *cert, size_t cert_len, const char *key, size_t key_len);
void tg_ffi_certificate_free(struct tg_tls_certificate *certificate);

/* The client's TLS, and its certificate. MISSING: it has none. */
int tg_ffi_req_tls(struct tg_req_view *req, uint64_t serial, struct tg_tls_facts_view *out);
int tg_ffi_req_tls_peer(struct tg_req_view *req, uint64_t serial, struct tg_tls_peer_view *out);

/* What the client's proxy has said of it. MISSING: it has none. */
int tg_ffi_req_proxied(struct tg_req_view *req, uint64_t serial, struct tg_proxied_view *out);

/* Say that the runtime keeps a table for this request: RELEASE is called at its end. */
void tg_ffi_req_keep(struct tg_req_view *req);

/* ---- Servers and backends ------------------------------------------------------------- */

/* The view of a server of this VM's generation, its sums refreshed; NULL for a wrong index. */
struct tg_server_view *tg_ffi_server_view(struct tg_vm *vm, int backend, int server);

/* A number that changes whenever any server of the backend becomes usable or unusable, falls silent
 * or speaks again, so that a list of usable servers need be made only then. */
uint32_t tg_ffi_backend_epoch(struct tg_vm *vm, int backend);

/* Requests in line in the backend, for whatever server. */
int tg_ffi_backend_queued(struct tg_vm *vm, int backend);

/* What an operator wants of a server (enum tg_admin_state), from any thread; it takes effect when the
 * control thread has seen it. `by` says who wants it, for the log. */
int tg_ffi_server_admin(
    struct tg_vm *vm, int backend, int server, int admin, const char *by, size_t len);

/* The server is silent (proxy/server.h): may this request try whether it still is? */
int tg_ffi_server_try(struct tg_vm *vm, int backend, int server, struct tg_req_view *req);

/* A counter of this thread for this backend that survives a reload: returns its value, then
 * adds one. The memory of round robin. */
uint32_t tg_ffi_backend_turn(struct tg_vm *vm, int backend);

/* Where the server is reached now, "ip:port" or "unix:/path", with another port unless that is 0:
 * the length; MISSING while its name does not resolve. The text is the VM's until the next call. */
int tg_ffi_server_peer(struct tg_vm *vm, int backend, int server, int port, struct tg_str *out);

/* Health checks; control thread only. What they find belongs to the server and outlives reloads.
 * probed: a check has ended; `reason` is that of a failure. How many of this kind there were in a
 * row, this one and the initial credit included, negative for failures.
 * turn: the server is up or down from now on. 1: this was a transition, 0: no change. */
int tg_ffi_server_probed(struct tg_vm *vm, int backend, int server, int good, int64_t took_ms,
    const char *reason, size_t len);
int tg_ffi_server_turn(struct tg_vm *vm, int backend, int server, int up);

/* How many servers of the backend can get any request now: of the regular ones, or of the backup
 * servers. Those of weight 0 do not count. */
int tg_ffi_backend_open(struct tg_vm *vm, int backend, int backup);

/* What is wanted of a server was changed, by others than the configuration. */
struct tg_change {
	int32_t backend, server;
	int32_t admin;     /* enum tg_admin_state: before */
	int64_t lasted_ms; /* since its last change */
	struct tg_str by;  /* who has changed it; valid until the next call */
};
/* The next change that has not been told yet, in their order; MISSING: there is none. */
int tg_ffi_change_next(struct tg_vm *vm, struct tg_change *out);

/* ---- The plan: what a configuration declares ------------------------------------------ */

/* The options are structs of proxy/view.h. Each returns an index >= 0 or a negative code; `where` is "file:line" for messages. In a
 * worker's VM they compare with the plan of the control thread: MISMATCH when it differs. */
int tg_ffi_plan_backend(
    struct tg_vm *vm, const char *name, size_t len, const struct tg_backend_options *options);
int tg_ffi_plan_server(struct tg_vm *vm, int backend, const char *name, size_t name_len,
    const char *address, size_t address_len, const struct tg_server_options *options);
int tg_ffi_plan_listener(
    struct tg_vm *vm, const char *address, size_t len, const struct tg_listener_options *options);
/* What a listener keeps for the log, as it came: at most `max` bytes of the last field of that name;
 * cookie 1: of the first cookie whose "name=value" begins with it. Their numbers are 0, 1, … */
int tg_ffi_plan_capture(
    struct tg_vm *vm, int listener, int side, int cookie, const char *name, size_t len, int max);
/* Peers of that network say for whom they come to the listener. INVALID: it is no network. */
int tg_ffi_plan_network(struct tg_vm *vm, int listener, const char *network, size_t len);
/* TLS of a listener or a backend, with all files read and checked: its number, from 1, for their options.
 * INVALID: tg_ffi_tls_error says why. What is wrong with it but works is a warning, which begins with
 * `where`. */
int tg_ffi_plan_tls(
    struct tg_vm *vm, const struct tg_tls_options *options, const char *where, size_t len);
/* Why the last tg_ffi_plan_tls was refused; valid until the next. */
const char *tg_ffi_tls_error(struct tg_vm *vm);
/* Is it one? */
int tg_ffi_is_network(const char *network, size_t len);
/* A sink for log lines: "stdout", "stderr", "file:/path", "syslog:…". A file that cannot be opened is
 * refused with libuv's code for the reason. */
int tg_ffi_plan_sink(
    struct tg_vm *vm, const char *target, size_t len, const struct tg_sink_options *options);
/* Settings of the process. All but max_connections and grace_ms hold from its start to its end. */
int tg_ffi_plan_process(struct tg_vm *vm, const struct tg_process_options *options);
/* TG_HOOK_TIMER is called with the timer's index, first after `first_ms` ms, then each time `ms`
 * ms after the end of the last call; negative: when tg_ffi_timer_wake says. Only in the thread that
 * should run it. */
int tg_ffi_plan_timer(struct tg_vm *vm, int64_t first_ms, int64_t ms);
/* The timer checks that server: when its next call is due outlives reloads. */
int tg_ffi_plan_check(struct tg_vm *vm, int timer, int backend, int server);
/* The timer sleeps until there is a tg_ffi_change_next. Control thread only. */
int tg_ffi_plan_changes(struct tg_vm *vm, int timer);
/* Where the function behind a hook is defined, "file:line", for errors and the guard's message.
 * `index`: of the listener (ACCEPT, ROUTE, FINISH), the backend (PICK, RESPONSE, RETRY) or the timer; the
 * listener's own response function is RESPONSE with -1 - listener. */
int tg_ffi_plan_where(struct tg_vm *vm, int hook, int index, const char *where, size_t len);
/* The file was read to load this configuration: --watch looks at it. */
int tg_ffi_plan_file(struct tg_vm *vm, const char *path, size_t len);
/* An error of the configuration, "file:line: text": recorded, the load fails at its end. */
int tg_ffi_plan_error(struct tg_vm *vm, const char *text, size_t len);
/* What is strange about the configuration, "file:line: text", but works. */
int tg_ffi_plan_warning(struct tg_vm *vm, const char *text, size_t len);
/* What is wrong with these names (len 0: not given) and the remedy; NULL when there are such a user
 * and group, or when they matter no more: the process has long become them. */
const char *tg_ffi_user_error(
    struct tg_vm *vm, const char *user, size_t user_len, const char *group, size_t group_len);
/* The text of an address error: what is wrong and the remedy; NULL when the address is good. */
const char *tg_ffi_address_error(const char *address, size_t len, int listen);

/* ---- Timers ----------------------------------------------------------------------------- */

/* Call the function of a timer that sleeps as soon as this hook has returned or waits. One that
 * runs, or is due anyhow, is left alone. */
int tg_ffi_timer_wake(struct tg_vm *vm, int timer);

/* ---- Sockets for scripts (the waits of tg_call do the work) --------------------------- */

/* A socket of the running task, closed at the latest when the task ends: its id, or negative. */
int tg_ffi_sock_new(struct tg_vm *vm);
int tg_ffi_sock_close(struct tg_vm *vm, int sock);

/* ---- Logs, time, shared tables -------------------------------------------------------- */

enum tg_level { TG_LEVEL_DEBUG, TG_LEVEL_INFO, TG_LEVEL_NOTICE, TG_LEVEL_WARNING, TG_LEVEL_ERROR };

/* A message to the engine's own log (stderr, and the sinks that want messages). */
void tg_ffi_log(int level, const char *text, size_t len);
/* A line to a sink of the plan; a newline is added. Never blocks: MEMORY when it was dropped. */
int tg_ffi_log_line(struct tg_vm *vm, int sink, int level, const char *line, size_t len);

/* Milliseconds: of a monotonic clock, and since the epoch. */
int64_t tg_ffi_now(void);
int64_t tg_ffi_wall(void);

/* Shared tables: string to string, one truth for all threads, kept over reloads. `table` is an
 * id from tg_ffi_shared_open. ttl_ms 0: for ever. get: the value is copied into `out`, which
 * belongs to the VM until the next get. incr: the value has the form "n<decimal>", else INVALID;
 * the new one is given back; a key that is not there begins at `initial`. */
int tg_ffi_shared_open(struct tg_vm *vm, const char *name, size_t len);
/* It holds so many keys at most (1 or more): for a new one that goes which was set longest ago. */
int tg_ffi_shared_bound(struct tg_vm *vm, int table, int64_t most);
int tg_ffi_shared_get(
    struct tg_vm *vm, int table, const char *key, size_t key_len, struct tg_str *out);
int tg_ffi_shared_set(struct tg_vm *vm, int table, const char *key, size_t key_len,
    const char *value, size_t value_len, int64_t ttl_ms);
int tg_ffi_shared_delete(struct tg_vm *vm, int table, const char *key, size_t key_len);
int tg_ffi_shared_incr(struct tg_vm *vm, int table, const char *key, size_t key_len, double by,
    double initial, int64_t ttl_ms, double *result);

#endif
