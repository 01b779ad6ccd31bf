/* What scripts do to requests and responses: every function checks the handle's serial first, so
 * a stale handle can neither crash nor touch another request.
 */
#include <uv.h>

#include "net/tls_facts.h"
#include "policy/task.h"
#include "proxy/capture.h"
#include "proxy/client.h"
#include "proxy/req.h"
#include "proxy/secured.h"
#include "proxy/tcp.h"

/* The request of a handle; NULL: it has ended. */
static struct tg_req *
live(struct tg_req_view *view, uint64_t serial)
{
	struct tg_req *req = (struct tg_req *)(void *)view;

	TG_CHECK(req, TG_REQ_MAGIC);
	return view->serial == serial ? req : NULL;
}

static int
code_of(int error)
{
	switch (error) {
	case 0:
		return 0;
	case TG_HTTP_FORBIDDEN:
		return TG_FFI_FORBIDDEN;
	case TG_HTTP_TOO_LARGE:
		return TG_FFI_TOO_LARGE;
	case TG_HTTP_MEMORY:
		return TG_FFI_MEMORY;
	default:
		return TG_FFI_INVALID;
	}
}

/* The head of one side, for reading. 0 or a code. */
static int
head_of(struct tg_req_view *view, uint64_t serial, int side, struct tg_head **head)
{
	struct tg_req *req = live(view, serial);

	if (req == NULL)
		return TG_FFI_ENDED;
	if (side == TG_SIDE_REQUEST) {
		*head = &req->in;
		return req->head_done ? 0 : TG_FFI_MISSING; /* it has ended without one */
	}
	*head = &req->out;
	return req->answered || view->response_ready ? 0 : TG_FFI_STATE;
}

/* The same, for an edit: only before it is on its way. */
static int
editable(struct tg_req_view *view, uint64_t serial, int side, struct tg_head **head)
{
	int code = head_of(view, serial, side, head);
	const struct tg_req *req = (const struct tg_req *)(const void *)view;

	if (code == TG_FFI_ENDED)
		return code;
	if (code != 0 || view->end != TG_END_NONE)
		return TG_FFI_STATE;
	return (side == TG_SIDE_REQUEST ? req->sending : req->head_sent) ? TG_FFI_STATE : 0;
}

int
tg_ffi_field_find(struct tg_req_view *view, uint64_t serial, int side, const char *name,
    size_t name_len, int after, struct tg_str *value)
{
	struct tg_head *head;
	const struct tg_field *field = NULL;
	int code = head_of(view, serial, side, &head);

	if (code != 0)
		return code;
	if (after >= (int)head->count)
		return TG_FFI_MISSING;
	if (after >= 0)
		field = &head->fields[after];
	field = tg_head_find(head, (struct tg_str){ name, name_len }, field);
	if (field == NULL)
		return TG_FFI_MISSING;
	*value = field->value;
	return (int)(field - head->fields);
}

int
tg_ffi_field_at(struct tg_req_view *view, uint64_t serial, int side, int index, struct tg_str *name,
    struct tg_str *value)
{
	struct tg_head *head;
	int code = head_of(view, serial, side, &head);

	if (code != 0)
		return code;
	for (int i = index < 0 ? 0 : index; i < (int)head->count; i++) {
		if ((head->fields[i].flags & TG_FIELD_REMOVED) != 0)
			continue;
		*name = head->fields[i].name;
		*value = head->fields[i].value;
		return i;
	}
	return TG_FFI_MISSING;
}

int
tg_ffi_field_set(struct tg_req_view *view, uint64_t serial, int side, const char *name,
    size_t name_len, const char *value, size_t value_len)
{
	struct tg_head *head;
	int code = editable(view, serial, side, &head);

	if (code != 0)
		return code;
	return code_of(tg_head_set(
	    head, (struct tg_str){ name, name_len }, (struct tg_str){ value, value_len }));
}

int
tg_ffi_field_add(struct tg_req_view *view, uint64_t serial, int side, const char *name,
    size_t name_len, const char *value, size_t value_len)
{
	struct tg_head *head;
	int code = editable(view, serial, side, &head);

	if (code != 0)
		return code;
	return code_of(tg_head_add(
	    head, (struct tg_str){ name, name_len }, (struct tg_str){ value, value_len }));
}

int
tg_ffi_field_remove(
    struct tg_req_view *view, uint64_t serial, int side, const char *name, size_t name_len)
{
	struct tg_head *head;
	int code = editable(view, serial, side, &head);

	if (code != 0)
		return code;
	return code_of(tg_head_remove(head, (struct tg_str){ name, name_len }));
}

int
tg_ffi_req_rewrite(
    struct tg_req_view *view, uint64_t serial, int part, const char *value, size_t len)
{
	struct tg_str text = { value, len };
	struct tg_head *head;
	int code = editable(view, serial, TG_SIDE_REQUEST, &head);

	if (code != 0)
		return code;
	if (part == TG_PART_PATH)
		code = tg_head_set_path(head, text);
	else if (part == TG_PART_QUERY)
		code = tg_head_set_query(head, text);
	else
		code = tg_head_set_host(head, text);
	tg_req_refresh((struct tg_req *)(void *)view);
	return code_of(code);
}

static bool
status_has_body(int status)
{
	return status != 204 && status != 304;
}

/* Does anything follow the head of the response? */
static bool
has_content(const struct tg_req *req)
{
	return req->answered ? req->answer.len > 0 : req->out.framing != TG_FRAMING_NONE;
}

int
tg_ffi_res_status(struct tg_req_view *view, uint64_t serial, int status)
{
	struct tg_head *head;
	int code = editable(view, serial, TG_SIDE_RESPONSE, &head);

	if (code != 0)
		return code;
	if (status < 200 || status > 599)
		return TG_FFI_INVALID;
	if (head->status == 101) /* the protocol changes, or an error answers */
		return TG_FFI_FORBIDDEN;
	/* The body is there or it is not: a status that says otherwise would break the framing
	 * (RFC 9112 §6.3). */
	if (status_has_body(status) != status_has_body(head->status))
		return TG_FFI_FORBIDDEN;
	if (status == 205 && has_content((struct tg_req *)(void *)view))
		return TG_FFI_FORBIDDEN;
	if (status != head->status)
		head->reason = tg_reason(status);
	head->status = status;
	view->status = status;
	return 0;
}

int
tg_ffi_req_respond(
    struct tg_req_view *view, uint64_t serial, int status, const char *body, size_t len)
{
	struct tg_req *req = live(view, serial);

	if (req == NULL)
		return TG_FFI_ENDED;
	if (status < 200 || status > 599)
		return TG_FFI_INVALID;
	if (len > 0 && (!status_has_body(status) || status == 205))
		return TG_FFI_INVALID;
	if (view->end != TG_END_NONE)
		return TG_FFI_STATE;
	switch (tg_req_answer(req, status, (struct tg_str){ body, len })) {
	case 0:
		return 0;
	case UV_ENOMEM:
		return TG_FFI_MEMORY;
	default:
		return TG_FFI_STATE;
	}
}

int
tg_ffi_conn_reject(struct tg_req_view *view, uint64_t serial, int reset)
{
	struct tg_req *req = live(view, serial);

	if (req == NULL)
		return TG_FFI_ENDED;
	if (view->end != TG_END_NONE)
		return TG_FFI_STATE;
	return tg_tcp_reject(req, reset != 0) == 0 ? 0 : TG_FFI_STATE;
}

int
tg_ffi_req_captured(struct tg_req_view *view, uint64_t serial, int index, struct tg_str *value)
{
	struct tg_req *req = live(view, serial);

	if (req == NULL)
		return TG_FFI_ENDED;
	*value = tg_captured(req, (unsigned)index);
	return value->ptr != NULL ? 0 : TG_FFI_MISSING;
}

int
tg_ffi_req_proxied(struct tg_req_view *view, uint64_t serial, struct tg_proxied_view *out)
{
	struct tg_req *req = live(view, serial);
	const struct tg_proxied *proxied;

	if (req == NULL)
		return TG_FFI_ENDED;
	proxied = req->client->proxied;
	if (proxied == NULL)
		return TG_FFI_MISSING;
	*out = (struct tg_proxied_view){
		.peer = tg_str_of(proxied->peer),
		.alpn = proxied->said.alpn,
		.authority = proxied->said.authority,
		.unique_id = proxied->said.unique_id,
		.tls_version = proxied->said.tls_version,
		.tls_cipher = proxied->said.tls_cipher,
		.tls_cn = proxied->said.tls_cn,
		.tls = proxied->said.tls,
		.verified = proxied->said.verified,
	};
	return 0;
}

int
tg_ffi_req_tls(struct tg_req_view *view, uint64_t serial, struct tg_tls_facts_view *out)
{
	struct tg_req *req = live(view, serial);
	struct tg_tls_facts facts;
	SSL *ssl;

	if (req == NULL)
		return TG_FFI_ENDED;
	ssl = tg_secured_ssl(req->client);
	if (ssl == NULL)
		return TG_FFI_MISSING;
	facts = tg_tls_facts_of(ssl);
	*out = (struct tg_tls_facts_view){
		.version = facts.version,
		.cipher = facts.cipher,
		.sni = facts.name,
		.alpn = facts.alpn,
		.resumed = facts.resumed,
	};
	return 0;
}

int
tg_ffi_req_tls_peer(struct tg_req_view *view, uint64_t serial, struct tg_tls_peer_view *out)
{
	struct tg_req *req = live(view, serial);
	struct tg_tls_peer peer;
	SSL *ssl;

	if (req == NULL)
		return TG_FFI_ENDED;
	ssl = tg_secured_ssl(req->client);
	if (ssl == NULL)
		return TG_FFI_MISSING;
	if (!tg_tls_peer_of(ssl, &req->arena, &peer))
		return TG_FFI_MEMORY;
	if (peer.fingerprint.ptr == NULL)
		return TG_FFI_MISSING;
	*out = (struct tg_tls_peer_view){
		.result = peer.result,
		.subject = peer.subject,
		.issuer = peer.issuer,
		.serial = peer.serial,
		.fingerprint = peer.fingerprint,
		.sans = peer.sans,
		.san_count = peer.san_count,
		.verified = peer.verified,
	};
	return 0;
}

void
tg_ffi_req_keep(struct tg_req_view *view)
{
	view->has_context = 1;
}
