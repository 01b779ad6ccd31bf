#include "proxy/forward.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"

enum { HOPS_MOST = 1000, DATE_TEXT = 40 };

/* --- Max-Forwards ------------------------------------------------------------------------- */

/* The number of hops that are left; -1: there is no limit, -2: it is no number, or two. More than so many
 * is as good as so many. */
static int
hops_left(const struct tg_head *head)
{
	const struct tg_field *field = tg_head_find(head, TG_STR("Max-Forwards"), NULL);
	int hops = 0;

	if (field == NULL)
		return -1;
	if (field->value.len == 0 || tg_head_find(head, TG_STR("Max-Forwards"), field) != NULL)
		return -2;
	for (size_t i = 0; i < field->value.len; i++) {
		char digit = field->value.ptr[i];

		if (digit < '0' || digit > '9')
			return -2;
		hops = hops * 10 + (digit - '0');
		if (hops > HOPS_MOST)
			hops = HOPS_MOST;
	}
	return hops;
}

/* As the last recipient. TRACE is not answered: what it would show is nobody's business. */
static int
answer_last(struct tg_req *req)
{
	bool options = req->in.method_id == TG_METHOD_OPTIONS;
	int err = tg_req_answer(req, options ? 200 : 405, TG_STR(""));

	if (err == 0)
		err = tg_head_add(&req->out, TG_STR("Allow"),
		    TG_STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
	return err;
}

enum tg_forward
tg_forward_judge(struct tg_req *req)
{
	int hops;

	if (req->in.https && !req->view.secure) /* it must not be had without TLS (RFC 9110 §7.4) */
		return TG_FORWARD_BAD;
	if (req->in.method_id != TG_METHOD_OPTIONS && req->in.method_id != TG_METHOD_TRACE)
		return TG_FORWARD_ON;
	hops = hops_left(&req->in);
	if (hops == -2)
		return TG_FORWARD_BAD;
	if (hops != 0)
		return TG_FORWARD_ON;
	return answer_last(req) == 0 ? TG_FORWARD_ANSWERED : TG_FORWARD_MEMORY;
}

static int
count_hop(struct tg_req *req)
{
	int hops;
	char text[12];

	if (req->in.method_id != TG_METHOD_OPTIONS && req->in.method_id != TG_METHOD_TRACE)
		return 0;
	hops = hops_left(&req->in);
	if (hops <= 0) /* none, or a script's own */
		return 0;
	snprintf(text, sizeof(text), "%d", hops - 1);
	return tg_head_set(&req->in, TG_STR("Max-Forwards"), tg_str_of(text));
}

/* --- what only we know -------------------------------------------------------------------- */

/* X-Forwarded-For gets the client's address appended; the other two say what only we know, so
 * what the client claims there is replaced. */
static int
add_forwarded(struct tg_req *req)
{
	struct tg_head *head = &req->in;
	int err = tg_head_add(head, TG_STR("X-Forwarded-For"), req->view.client);

	if (err == 0)
		err = tg_head_set(head, TG_STR("X-Forwarded-Proto"),
		    req->view.secure ? TG_STR("https") : TG_STR("http"));
	if (err == 0 && req->asked_host.len > 0)
		err = tg_head_set(head, TG_STR("X-Forwarded-Host"), req->asked_host);
	else if (err == 0)
		err = tg_head_remove(head, TG_STR("X-Forwarded-Host"));
	return err;
}

/* The protocol is that of the message as it came (RFC 9110 §7.6.3). */
static int
add_via(struct tg_req *req)
{
	struct tg_str via = TG_STR("1.1 tidegate");

	if (req->in.major == 2)
		via = TG_STR("2.0 tidegate");
	else if (tg_head_is_old(&req->in))
		via = TG_STR("1.0 tidegate");
	return tg_head_add(&req->in, TG_STR("Via"), via);
}

int
tg_forward_request(struct tg_req *req)
{
	const struct tg_listener_options *options = &req->listener->options;
	int err = 0;

	if (req->forwarded)
		return 0;
	req->forwarded = true;
	if (options->via)
		err = add_via(req);
	if (err == 0 && options->forwarded_for)
		err = add_forwarded(req);
	return err != 0 ? err : count_hop(req);
}

int
tg_forward_date(struct tg_head *head)
{
	static _Thread_local time_t last;
	static _Thread_local char text[DATE_TEXT];
	static _Thread_local size_t len;
	time_t now;

	if (tg_head_find(head, TG_STR("Date"), NULL) != NULL)
		return 0;
	now = (time_t)(tg_clock_wall_ms() / 1000);
	if (now != last || len == 0) {
		struct tm utc;

		gmtime_r(&now, &utc);
		len = strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &utc);
		last = now;
	}
	return tg_head_add(head, TG_STR("Date"), (struct tg_str){ text, len });
}

struct tg_str
tg_forward_host(const struct tg_req *req)
{
	const struct tg_server *server = req->server->server;

	if (req->in.host.len > 0 || tg_head_find(&req->in, TG_STR("Host"), NULL) != NULL)
		return req->in.host;
	return strncmp(server->address.ptr, "unix:", 5) == 0 ? TG_STR("localhost")
	                                                     : server->address;
}
