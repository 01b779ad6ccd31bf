#include "process/stats.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/tls_ocsp.h"
#include "process/logger.h"

enum { DAY_S = 24 * 60 * 60 };

static void
put_string(FILE *out, struct tg_str text)
{
	fputc('"', out);
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

struct totals {
	uint64_t accepted, requests, hook_errors, pick_fallback, tls_handshakes, tls_resumed;
	int64_t connections, active;
	uint64_t ends[TG_END_COUNT];
};

static uint64_t
load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static struct totals
sum(const struct tg_control *control)
{
	struct totals totals = { 0 };

	for (unsigned w = 0; w < control->worker_count; w++) {
		const struct tg_counters *c = &control->workers[w].counters;

		totals.accepted += load(&c->accepted);
		totals.requests += load(&c->requests);
		totals.tls_handshakes += load(&c->tls_handshakes);
		totals.tls_resumed += load(&c->tls_resumed);
		totals.hook_errors += load(&c->hook_errors);
		totals.pick_fallback += load(&c->pick_fallback);
		totals.connections += atomic_load_explicit(&c->connections, memory_order_relaxed);
		totals.active += atomic_load_explicit(&c->active, memory_order_relaxed);
		for (int end = 0; end < TG_END_COUNT; end++)
			totals.ends[end] += load(&c->ends[end]);
	}
	return totals;
}

static void
put_totals(FILE *out, const struct tg_control *control)
{
	struct totals totals = sum(control);
	const char *comma = "";

	fprintf(out,
	    "  \"connections\": { \"accepted\": %" PRIu64 ", \"active\": %" PRId64
	    ", \"max\": %d },\n",
	    totals.accepted, totals.connections, atomic_load(&control->engines.max_connections));
	fprintf(out, "  \"requests\": { \"total\": %" PRIu64 ", \"active\": %" PRId64 " },\n",
	    totals.requests, totals.active);
	fprintf(out, "  \"tls\": { \"handshakes\": %" PRIu64 ", \"resumed\": %" PRIu64 " },\n",
	    totals.tls_handshakes, totals.tls_resumed);
	fprintf(out, "  \"endings\": {");
	for (int end = TG_END_NONE + 1; end < TG_END_COUNT; end++) {
		fprintf(out, "%s\n    ", comma);
		put_string(out, tg_end_row((enum tg_end)end)->name);
		fprintf(out, ": %" PRIu64, totals.ends[end]);
		comma = ",";
	}
	fprintf(out, "\n  },\n");
	fprintf(out, "  \"hooks\": { \"errors\": %" PRIu64 ", \"pick_fallback\": %" PRIu64 " },\n",
	    totals.hook_errors, totals.pick_fallback);
}

static const char *
state_of(const struct tg_server *server)
{
	int admin = atomic_load(&server->admin);

	if (admin == TG_ADMIN_DISABLED)
		return "disabled";
	if (!atomic_load(&server->up))
		return "down";
	if (admin == TG_ADMIN_DRAIN)
		return "drain";
	return atomic_load(&server->addr) != NULL ? "up" : "unresolved";
}

/* Facts of its checks. Times are in seconds and milliseconds, as their names say. */
static void
put_health(FILE *out, const struct tg_server *server)
{
	const struct tg_health *health = &server->health;
	int64_t now = (int64_t)(tg_clock_us() / 1000), since = atomic_load(&health->since_ms);
	int64_t down = health->down_ms + (atomic_load(&server->up) ? 0 : now - since);
	const char *result = health->failed ? "failed" : "good";

	if (health->checked_ms == 0)
		result = "none";
	fprintf(out,
	    "{\n          \"last\": \"%s\", \"row\": %d, \"duration_ms\": %d, \"age_ms\": %" PRId64
	    ", \"reason\": ",
	    result, abs(health->row), (int)atomic_load(&health->duration_ms),
	    health->checked_ms != 0 ? now - health->checked_ms : -1);
	put_string(out, tg_str_of(health->reason != NULL ? health->reason : ""));
	fprintf(out,
	    ",\n          \"total\": %" PRIu64 ", \"failed\": %" PRIu64
	    ", \"downs\": %u, \"down_s\": %" PRId64 " }",
	    health->checks, health->failures, health->downs, down / 1000);
}

static void
put_server(FILE *out, const struct tg_plan_server *entry)
{
	int64_t now = (int64_t)(tg_clock_us() / 1000);
	const struct tg_server *server = entry->server;
	struct tg_server_sums sums = tg_server_sum(server);

	fprintf(out, "\n        ");
	put_string(out, server->name);
	fprintf(out, ": { \"address\": ");
	put_string(out, server->address);
	fprintf(out,
	    ", \"state\": \"%s\", \"silent\": %s, \"weight\": %d, \"active\": %" PRId64
	    ", \"requests\": %" PRIu64 ", \"connects\": %" PRIu64 ", \"idle\": %" PRId64
	    ", \"failures\": %" PRIu64 ", \"since_s\": %" PRId64,
	    state_of(server), tg_server_silent(server) ? "true" : "false", entry->options.weight,
	    sums.active, sums.requests, sums.connects, sums.idle, sums.failures,
	    (now - atomic_load(&server->health.since_ms)) / 1000);
	if (entry->options.checked) {
		fprintf(out, ",\n        \"checks\": ");
		put_health(out, server);
	}
	fprintf(out, " }");
}

static void
put_listeners(FILE *out, const struct tg_plan *plan)
{
	fprintf(out, "  \"listeners\": {");
	for (unsigned i = 0; plan != NULL && i < plan->listener_count; i++) {
		const struct tg_plan_listener *listener = &plan->listeners[i];

		fprintf(out, "%s\n    ", i > 0 ? "," : "");
		put_string(out, listener->address);
		fprintf(out, ": { \"connections\": %d, \"max\": %d }",
		    tg_limit_used(&listener->state->connections),
		    listener->options.max_connections);
	}
	fprintf(out, "\n  },\n");
}

static void
put_backends(FILE *out, const struct tg_plan *plan)
{
	fprintf(out, "  \"backends\": {");
	for (unsigned b = 0; plan != NULL && b < plan->backend_count; b++) {
		const struct tg_plan_backend *backend = &plan->backends[b];

		fprintf(out, "%s\n    ", b > 0 ? "," : "");
		put_string(out, backend->name);
		fprintf(out, ": {\n      \"queued\": %u,\n      \"servers\": {",
		    atomic_load(&backend->state->queue.waiting));
		for (unsigned s = 0; s < backend->count; s++) {
			fprintf(out, "%s", s > 0 ? "," : "");
			put_server(out, &backend->servers[s]);
		}
		fprintf(out, "\n      }\n    }");
	}
	fprintf(out, "\n  }\n");
}

static const char *
ocsp_of(const struct tg_tls_certificate *certificate, time_t now)
{
	time_t expires = tg_tls_ocsp_expires(certificate);

	if (expires == 0)
		return "none";
	return expires < 0 || expires > now ? "good" : "expired";
}

/* `days`: whole ones that are left; negative when it has expired. */
static void
put_certificate(FILE *out, const struct tg_tls_certificate *certificate)
{
	time_t now = time(NULL), left = certificate->not_after - now;
	char date[32] = "";
	struct tm tm;

	if (gmtime_r(&certificate->not_after, &tm) != NULL)
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fprintf(out, ", \"file\": ");
	put_string(out, tg_str_of(certificate->origin));
	fprintf(out,
	    ",\n      \"not_after\": \"%s\", \"days\": %" PRId64 ", \"ocsp\": \"%s\", \"names\": [",
	    date, (int64_t)(left >= 0 ? left / DAY_S : -1 - (-1 - left) / DAY_S),
	    ocsp_of(certificate, now));
	for (unsigned i = 0; i < certificate->name_count; i++) {
		fprintf(out, "%s", i > 0 ? ", " : "");
		put_string(out, tg_str_of(certificate->names[i]));
	}
	fprintf(out, "] }");
}

/* Those of one listener or backend; the comma before the next. */
static const char *
put_context(FILE *out, const char *comma, const char *kind, struct tg_str name,
    const struct tg_tls_context *context)
{
	for (unsigned i = 0; context != NULL && i < tg_tls_context_certificates(context); i++) {
		fprintf(out, "%s\n    { \"%s\": ", comma, kind);
		put_string(out, name);
		put_certificate(out, tg_tls_context_certificate(context, i));
		comma = ",";
	}
	return comma;
}

static void
put_certificates(FILE *out, const struct tg_plan *plan)
{
	const char *comma = "";

	fprintf(out, "  \"certificates\": [");
	for (unsigned i = 0; plan != NULL && i < plan->listener_count; i++)
		comma = put_context(
		    out, comma, "listener", plan->listeners[i].address, plan->listeners[i].tls);
	for (unsigned i = 0; plan != NULL && i < plan->backend_count; i++)
		comma = put_context(
		    out, comma, "backend", plan->backends[i].name, plan->backends[i].tls);
	fprintf(out, "\n  ],\n");
}

char *
tg_stats_json(const struct tg_control *control)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	fprintf(out, "{\n  \"version\": \"%s\",\n  \"pid\": %d,\n", TG_VERSION, (int)getpid());
	fprintf(out, "  \"generation\": %u,\n  \"workers\": %u,\n",
	    control->plan != NULL ? control->plan->id : 0, control->worker_count);
	fprintf(out, "  \"uptime_s\": %" PRIu64 ",\n",
	    (tg_clock_us() / 1000 - control->started_ms) / 1000);
	fprintf(out, "  \"heap_bytes\": %zu,\n", mallinfo2().uordblks);
	put_totals(out, control);
	fprintf(out, "  \"reloads\": { \"good\": %" PRIu64 ", \"bad\": %" PRIu64 " },\n",
	    control->reloads_good, control->reloads_bad);
	fprintf(out, "  \"log\": { \"dropped\": %" PRIu64 " },\n", tg_logger_dropped());
	put_certificates(out, control->plan);
	put_listeners(out, control->plan);
	put_backends(out, control->plan);
	fprintf(out, "}\n");
	return fclose(out) == 0 ? text : NULL;
}
