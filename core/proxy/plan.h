/* What one configuration declares, checked and in the engine's own terms. Built by the control
 * thread while the configuration loads; constant from then on; shared by all threads and freed
 * with the last reference. A reload makes a new one beside it.
 */
#ifndef TG_PROXY_PLAN_H
#define TG_PROXY_PLAN_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/str.h"
#include "http/http1.h"
#include "net/network.h"
#include "net/tls_context.h"
#include "proxy/queue.h"
#include "proxy/server.h"
#include "proxy/view.h"

/* What a backend keeps through reloads, for all generations that name it. */
struct tg_backend_state {
	struct tg_backend_state *next; /* in the control thread's list */
	atomic_uint refs;              /* any thread */
	atomic_uint epoch; /* any thread: moves when a server becomes usable, unusable or silent */
	struct tg_str name;
	struct tg_queue queue;
	unsigned cells_len;
	struct tg_backend_cell {            /* one per worker: */
		_Alignas(64) uint32_t turn; /* that worker only: the memory of round robin */
		_Atomic int64_t active;     /* requests; written by that worker alone */
	} cells[];
};

/* What a listener keeps through reloads. */
struct tg_listener_state {
	atomic_uint refs; /* any thread */
	struct tg_limit connections;
	struct tg_str address;
};

struct tg_plan_server {
	struct tg_server *server; /* counted */
	struct tg_server_options options;
	struct tg_server_view *views; /* one per thread: workers, then control */
};

struct tg_plan_backend {
	struct tg_str name;
	struct tg_backend_options options;
	struct tg_backend_state *state; /* counted */
	struct tg_plan_server *servers;
	unsigned count;
	struct tg_tls_context *tls; /* the plan's; NULL: plain */
};

/* What a listener keeps of heads for the log. */
struct tg_capture {
	struct tg_str name; /* of a field; of a cookie: how its "name=value" begins */
	enum tg_side side;
	bool cookie;
	uint32_t max; /* bytes */
};

struct tg_plan_listener {
	struct tg_str address; /* as configured */
	struct tg_addr addr;
	struct tg_listener_options options;
	struct tg_http1_limits limits;
	struct tg_listener_state *state; /* counted */
	struct tg_capture *captures;
	unsigned capture_count;
	struct tg_network *networks; /* of proxies that say for whom they come (proxied.h) */
	unsigned network_count;
	struct tg_tls_context *tls; /* the plan's; NULL: plain */
};

/* Where log lines go. */
struct tg_plan_sink {
	struct tg_str target; /* "stdout", "stderr", "file:/path", "syslog:…" */
	struct tg_sink_options options;
};

struct tg_plan {
	uint32_t magic;
	atomic_uint refs; /* any thread */
	unsigned id;      /* the generation's number, from 1 */
	unsigned threads; /* workers + 1: size of each `views` */

	struct tg_plan_listener *listeners;
	unsigned listener_count;
	struct tg_plan_backend *backends;
	unsigned backend_count;
	struct tg_plan_sink *sinks;
	unsigned sink_count;
	struct tg_tls_context **tls; /* counted; of listeners and backends */
	unsigned tls_count;

	struct tg_process_options process; /* its texts end in NUL */

	struct tg_str *files; /* what was read, for --watch */
	unsigned file_count;
	struct tg_str *errors; /* "file:line: text"; any of them means the load failed */
	unsigned error_count;
	struct tg_str *warnings; /* the same, but it works */
	unsigned warning_count;
};

/* An empty plan with one reference; NULL: out of memory. */
TG_MUST_USE struct tg_plan *tg_plan_new(unsigned threads);
struct tg_plan *tg_plan_get(struct tg_plan *plan);
void tg_plan_put(struct tg_plan *plan);

/* Add to a plan that is being built; the index, or UV_ENOMEM. Strings are copied. The server
 * and the states are taken over (not counted again). */
TG_MUST_USE int tg_plan_add_listener(struct tg_plan *plan, struct tg_listener_state *state,
    const struct tg_addr *addr, const struct tg_listener_options *options);
TG_MUST_USE int tg_plan_add_capture(
    struct tg_plan *plan, unsigned listener, const struct tg_capture *capture);
TG_MUST_USE int tg_plan_add_network(
    struct tg_plan *plan, unsigned listener, const struct tg_network *network);
TG_MUST_USE int tg_plan_add_backend(
    struct tg_plan *plan, struct tg_backend_state *state, const struct tg_backend_options *options);
TG_MUST_USE int tg_plan_add_server(struct tg_plan *plan, unsigned backend, struct tg_server *server,
    const struct tg_server_options *options);
TG_MUST_USE int tg_plan_add_sink(
    struct tg_plan *plan, struct tg_str target, const struct tg_sink_options *options);
/* The context is taken over; its number, from 1. */
TG_MUST_USE int tg_plan_add_tls(struct tg_plan *plan, struct tg_tls_context *context);
TG_MUST_USE int tg_plan_set_process(struct tg_plan *plan, const struct tg_process_options *options);
TG_MUST_USE int tg_plan_add_text(struct tg_str **list, unsigned *count, struct tg_str text);

/* May this server be chosen for any request now? Backup servers only where no other may; of these
 * only the first that may, unless the backend uses all. Silent ones only where all are. */
bool tg_plan_candidate(const struct tg_plan_backend *backend, unsigned index);
bool tg_plan_has_candidate(const struct tg_plan_backend *backend);

/* Does it ask for another user, group or root directory than those of who starts it? */
static inline bool
tg_plan_drops(const struct tg_plan *plan)
{
	return plan->process.user.len > 0 || plan->process.group.len > 0 ||
	    plan->process.chroot.len > 0;
}

/* A backend's lasting state, one reference; NULL: out of memory. */
TG_MUST_USE struct tg_backend_state *tg_backend_state_new(unsigned workers, struct tg_str name);
struct tg_backend_state *tg_backend_state_get(struct tg_backend_state *state);
void tg_backend_state_put(struct tg_backend_state *state);

/* The same of a listener. */
TG_MUST_USE struct tg_listener_state *tg_listener_state_new(struct tg_str address);
struct tg_listener_state *tg_listener_state_get(struct tg_listener_state *state);
void tg_listener_state_put(struct tg_listener_state *state);

#endif
