#include "policy/sock.h"

#include <stdlib.h>

#include "net/conn.h"
#include "net/resolve.h"
#include "net/tls.h"

enum {
	SOCK_MAGIC = 0x50c4,
	FIRST_BUFFER = 1024,
	READ_AHEAD = 64 * 1024,
	SLICE = 64 * 1024, /* what a connection is given to send at once */
};

struct tg_sock {
	uint32_t magic;
	int id;
	struct tg_link in_vm;   /* vm->socks */
	struct tg_link in_task; /* task->socks; the task closes it at its end */
	struct tg_vm *vm;
	struct tg_task *task;       /* that waits; NULL: none does */
	struct tg_resolve *resolve; /* a lookup in flight */
	bool opened;                /* conn was initialised, on_closed will come */
	bool connected;
	bool ended; /* the peer ended, or it broke: end_code */
	bool closing;
	bool receiving;       /* a receive is under way: take whatever comes */
	int end_code;         /* 0: end of stream */
	int wait;             /* enum tg_wait, of the last operation */
	uint64_t count;       /* how many, or at most how many: see enum tg_wait */
	struct tg_str unsent; /* for TG_WAIT_SEND: the script's own memory, while it waits */
	char *buffer;         /* received, not given to the script yet: [start, end) */
	size_t start, end, cap;
	size_t scanned; /* bytes from start without a line end */
	struct tg_conn conn;
};

static const struct tg_conn_ops sock_ops;

/* --- ids ---------------------------------------------------------------------------------- */

static struct tg_sock *
find(struct tg_task *task, int id)
{
	struct tg_link *link;

	for (link = task->socks.next; link != &task->socks; link = link->next) {
		struct tg_sock *sock = tg_container_of(link, struct tg_sock, in_task);

		if (sock->id == id)
			return sock;
	}
	return NULL;
}

int
tg_ffi_sock_new(struct tg_vm *vm)
{
	struct tg_task *task = vm->current;
	struct tg_sock *sock;

	if (task == NULL || vm->loop == NULL)
		return TG_FFI_STATE;
	sock = calloc(1, sizeof(*sock));
	if (sock == NULL)
		return TG_FFI_MEMORY;
	sock->magic = SOCK_MAGIC;
	sock->vm = vm;
	sock->id = vm->next_sock;
	vm->next_sock = vm->next_sock == INT32_MAX ? 0 : vm->next_sock + 1;
	tg_link_init(&sock->in_vm);
	tg_link_init(&sock->in_task);
	tg_list_push_back(&vm->socks, &sock->in_vm);
	tg_list_push_back(&task->socks, &sock->in_task);
	vm->tasks_open++;
	return sock->id;
}

static void
free_sock(struct tg_sock *sock)
{
	struct tg_vm *vm = sock->vm;

	tg_link_remove(&sock->in_vm);
	tg_link_remove(&sock->in_task);
	sock->magic = 0;
	free(sock->buffer);
	free(sock);
	vm->tasks_open--;
	tg_vm_settled(vm);
}

static void
close_sock(struct tg_sock *sock)
{
	TG_CHECK(sock, SOCK_MAGIC);
	if (sock->closing)
		return;
	sock->closing = true;
	tg_link_remove(&sock->in_task);
	if (sock->resolve != NULL)
		tg_resolve_cancel(sock->resolve);
	sock->resolve = NULL;
	if (sock->opened)
		tg_conn_close(&sock->conn);
	else
		free_sock(sock);
}

int
tg_ffi_sock_close(struct tg_vm *vm, int id)
{
	struct tg_sock *sock = vm->current != NULL ? find(vm->current, id) : NULL;

	if (sock == NULL)
		return TG_FFI_MISSING;
	close_sock(sock);
	return 0;
}

void
tg_socks_close(struct tg_task *task)
{
	while (!tg_list_empty(&task->socks))
		close_sock(tg_container_of(task->socks.next, struct tg_sock, in_task));
}

/* --- receiving ---------------------------------------------------------------------------- */

struct tg_str
tg_sock_partial(struct tg_sock *sock)
{
	struct tg_str all = { sock->buffer, sock->end - sock->start };

	if (all.len == 0 || sock->wait == TG_WAIT_SEND)
		return TG_STR(""); /* after a send that failed it can still be received */
	all.ptr += sock->start;
	sock->start = sock->end;
	sock->scanned = 0;
	return all;
}

static struct tg_str
take(struct tg_sock *sock, size_t len, size_t drop)
{
	struct tg_str out = { sock->buffer != NULL ? sock->buffer + sock->start : "", len };

	sock->start += len + drop;
	sock->scanned = 0;
	return out;
}

/* Is there a whole line? Each byte is looked at once. */
static bool
take_line(struct tg_sock *sock, struct tg_str *out)
{
	char *from = sock->buffer + sock->start;
	size_t len = sock->end - sock->start, n;
	char *lf =
	    len > sock->scanned ? memchr(from + sock->scanned, '\n', len - sock->scanned) : NULL;

	if (lf == NULL) {
		sock->scanned = len;
		return false;
	}
	n = (size_t)(lf - from);
	if (n > 0 && from[n - 1] == '\r')
		*out = take(sock, n - 1, 2);
	else
		*out = take(sock, n, 1);
	return true;
}

/* Give the connection what it takes at once; a slice at a time, because it copies what the
 * kernel does not take. 0, or the code that the connection is broken with. */
static int
send_more(struct tg_sock *sock)
{
	int code = sock->ended ? sock->end_code : 0;

	while (code == 0 && sock->unsent.len > 0 && tg_conn_drained(&sock->conn)) {
		struct tg_str slice = sock->unsent;

		if (slice.len > SLICE)
			slice.len = SLICE;
		code = tg_conn_write(&sock->conn, &slice, 1);
		sock->unsent.ptr += slice.len;
		sock->unsent.len -= slice.len;
	}
	return code;
}

/* Is what the task waits for here? Then 1, and the result. */
static int
satisfied(struct tg_sock *sock, int *code, struct tg_str *received)
{
	size_t len = sock->end - sock->start;

	*code = 0;
	*received = TG_STR("");
	switch (sock->wait) {
	case TG_WAIT_SEND: /* a peer that has ended its own side may still read */
		*code = send_more(sock);
		return *code != 0 || (sock->unsent.len == 0 && tg_conn_drained(&sock->conn));
	case TG_WAIT_BYTES:
		if (len >= sock->count) {
			*received = take(sock, (size_t)sock->count, 0);
			return 1;
		}
		break;
	case TG_WAIT_LINE:
		if (sock->buffer != NULL && take_line(sock, received))
			len = received->len;
		else if (sock->count == 0 || len <= sock->count)
			break;
		if (sock->count > 0 && len > sock->count) {
			*code = TG_FFI_TOO_LARGE;
			*received = TG_STR("");
		}
		return 1;
	case TG_WAIT_ALL:
		if (sock->count > 0 && len >= sock->count) {
			*received = take(sock, (size_t)sock->count, 0);
			return 1;
		}
		if (sock->ended && sock->end_code == 0) {
			*received = tg_sock_partial(sock);
			return 1;
		}
		break;
	default:
		break;
	}
	if (!sock->ended)
		return 0;
	*code = sock->end_code != 0 ? sock->end_code : UV_EOF;
	*received = tg_sock_partial(sock);
	return 1;
}

static void
wake(struct tg_sock *sock, int code, struct tg_str received)
{
	struct tg_task *task = sock->task;

	sock->task = NULL;
	sock->receiving = false;
	tg_task_wake(task, code, received);
}

static void
check(struct tg_sock *sock)
{
	struct tg_str received;
	int code;

	if (sock->task != NULL && !sock->closing && satisfied(sock, &code, &received))
		wake(sock, code, received);
}

/* Room for `len` more bytes; false: out of memory, or over the limit. */
static bool
make_room(struct tg_sock *sock, size_t len)
{
	size_t held = sock->end - sock->start, cap = sock->cap > 0 ? sock->cap : FIRST_BUFFER;
	char *grown;

	if (held == 0)
		sock->start = sock->end = 0;
	if (sock->cap - sock->end >= len)
		return true;
	if (held + len > TG_SOCK_BUFFER_MAX)
		return false;
	if (sock->start > 0) {
		memmove(sock->buffer, sock->buffer + sock->start, held);
		sock->start = 0;
		sock->end = held;
	}
	while (cap < held + len)
		cap *= 2;
	grown = cap > sock->cap ? realloc(sock->buffer, cap) : sock->buffer;
	if (grown == NULL)
		return false;
	sock->buffer = grown;
	sock->cap = cap;
	return true;
}

static size_t
on_data(struct tg_conn *conn, char *data, size_t len)
{
	struct tg_sock *sock = tg_container_of(conn, struct tg_sock, conn);

	TG_CHECK(sock, SOCK_MAGIC);
	if (!sock->receiving && sock->end - sock->start >= READ_AHEAD)
		return 0; /* nobody asks: the peer may wait */
	if (!make_room(sock, len)) {
		sock->ended = true;
		sock->end_code = sock->end - sock->start + len > TG_SOCK_BUFFER_MAX
		    ? TG_FFI_TOO_LARGE
		    : TG_FFI_MEMORY;
		check(sock);
		return len;
	}
	memcpy(sock->buffer + sock->end, data, len);
	sock->end += len;
	check(sock);
	return len;
}

static void
on_end(struct tg_conn *conn, int status)
{
	struct tg_sock *sock = tg_container_of(conn, struct tg_sock, conn);

	TG_CHECK(sock, SOCK_MAGIC);
	sock->ended = true;
	sock->end_code = status;
	check(sock);
}

static void
on_drain(struct tg_conn *conn)
{
	check(tg_container_of(conn, struct tg_sock, conn));
}

static void
on_closed(struct tg_conn *conn)
{
	struct tg_sock *sock = tg_container_of(conn, struct tg_sock, conn);

	sock->opened = false;
	if (sock->closing)
		free_sock(sock);
}

/* --- connecting --------------------------------------------------------------------------- */

/* It is there; and again, when its TLS is. */
static void
on_connect(struct tg_conn *conn, int status)
{
	struct tg_sock *sock = tg_container_of(conn, struct tg_sock, conn);
	struct tg_str reason = TG_STR("");

	TG_CHECK(sock, SOCK_MAGIC);
	sock->connected = status == 0;
	sock->ended = status != 0;
	sock->end_code = status;
	if (status == 0)
		tg_conn_resume(conn);
	else if (tg_conn_secure(conn))
		reason = tg_str_of(tg_tls_failure(conn));
	if (sock->task != NULL)
		wake(sock, status, reason);
}

/* TLS, with the context of the backend, for the name of the server. 0, or the code that it failed with. */
static int
begin_secure(struct tg_sock *sock, unsigned backend, unsigned index)
{
	const struct tg_plan *plan = sock->vm->config.plan;
	const struct tg_server *server;
	SSL *ssl;

	if (backend >= plan->backend_count || index >= plan->backends[backend].count ||
	    plan->backends[backend].tls == NULL)
		return TG_FFI_INVALID;
	if (!sock->connected || sock->ended || tg_conn_secure(&sock->conn) ||
	    !tg_conn_drained(&sock->conn))
		return TG_FFI_STATE;
	if (sock->end >
	    sock->start) /* what came in the open must not be taken for what comes later */
		return UV_EPROTO;
	server = plan->backends[backend].servers[index].server;
	ssl = tg_tls_context_connect(
	    plan->backends[backend].tls, server->identity.ptr, server->address.ptr);
	if (ssl == NULL || tg_tls_start(&sock->conn, ssl) != 0)
		return TG_FFI_MEMORY;
	sock->connected = false; /* until that is done */
	return 0;
}

/* 0, or the code that it failed with at once. */
static int
connect_to(struct tg_sock *sock, const struct tg_addr *addr)
{
	sock->opened = true;
	return tg_conn_connect(&sock->conn, sock->vm->loop, &sock_ops, addr);
}

static void
on_resolved(void *arg, int status, const struct tg_addr *addr)
{
	struct tg_sock *sock = arg;

	TG_CHECK(sock, SOCK_MAGIC);
	sock->resolve = NULL;
	if (status == 0)
		status = connect_to(sock, addr);
	if (status != 0 && sock->task != NULL)
		wake(sock, status, TG_STR(""));
}

static int
begin_connect(struct tg_sock *sock, struct tg_str address)
{
	struct tg_addr addr;
	struct tg_str host;
	uint16_t port;
	int parsed;

	if (sock->opened || sock->resolve != NULL)
		return TG_FFI_STATE;
	parsed = tg_addr_parse(address, false, &addr, &host, &port);
	if (parsed == TG_ADDR_OK)
		return connect_to(sock, &addr);
	if (parsed != TG_ADDR_RESOLVE)
		return TG_FFI_INVALID;
	sock->resolve = tg_resolve_start(sock->vm->loop, host, port, on_resolved, sock);
	return sock->resolve != NULL ? 0 : TG_FFI_MEMORY;
}

/* --- waits -------------------------------------------------------------------------------- */

/* A send or a receive. 1: done at once. The connection is asked for what it has kept while no
 * task is set: so nobody is woken from within here. */
static int
begin_transfer(struct tg_sock *sock, int *code, struct tg_str *received)
{
	if (!sock->connected || (sock->wait == TG_WAIT_BYTES && sock->count > TG_SOCK_BUFFER_MAX)) {
		*code = sock->connected ? TG_FFI_TOO_LARGE : TG_FFI_STATE;
		return 1;
	}
	if (satisfied(sock, code, received))
		return 1;
	sock->receiving = sock->wait != TG_WAIT_SEND;
	tg_conn_resume(&sock->conn);
	if (!satisfied(sock, code, received))
		return 0;
	sock->receiving = false;
	return 1;
}

int
tg_sock_wait(struct tg_task *task, int *code, struct tg_str *received)
{
	struct tg_call *call = &task->vm->call;
	struct tg_sock *sock = find(task, call->sock);

	*received = TG_STR("");
	if (sock == NULL) {
		*code = TG_FFI_MISSING;
		return 1;
	}
	sock->wait = call->wait;
	sock->count = call->count > 0 ? (uint64_t)call->count : 0;
	sock->unsent = call->wait == TG_WAIT_SEND ? call->data : TG_STR("");
	if (call->wait == TG_WAIT_CONNECT) {
		*code = begin_connect(sock, call->data);
		if (*code != 0)
			return 1;
	} else if (call->wait == TG_WAIT_SECURE) {
		*code =
		    begin_secure(sock, (unsigned)call->peer_backend, (unsigned)call->peer_server);
		if (*code != 0)
			return 1;
	} else if (begin_transfer(sock, code, received)) {
		return 1;
	}
	sock->task = task;
	task->waits_for = sock;
	return 0;
}

void
tg_sock_abandon(struct tg_sock *sock)
{
	TG_CHECK(sock, SOCK_MAGIC);
	sock->task = NULL;
	sock->receiving = false;
	sock->unsent = TG_STR("");
	if (!sock->connected) { /* an attempt that took too long is over */
		sock->ended = true;
		sock->end_code = UV_ETIMEDOUT;
	}
}

static const struct tg_conn_ops sock_ops = {
	.on_connect = on_connect,
	.on_data = on_data,
	.on_end = on_end,
	.on_drain = on_drain,
	.on_closed = on_closed,
};
