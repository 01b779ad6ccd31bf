#include "net/socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/carrier.h"

enum { MAX_PARTS = 8, WRITE_BLOCKS = 6, ONE_PIECE = 2048 };

/* Bytes the kernel did not take: the first block holds the libuv request too. */
struct pending_write {
	uv_write_t req;
	struct tg_conn *conn;
	uint32_t len;
	unsigned count;
	uv_buf_t bufs[WRITE_BLOCKS];
	char data[];
};

static int
descriptor(const struct tg_conn *conn)
{
	uv_os_fd_t fd;

	return uv_fileno(&conn->uv.handle, &fd) == 0 ? fd : -1;
}

/* --- reading ------------------------------------------------------------------------------ */

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct tg_conn *conn = handle->data;

	(void)suggested;
	buf->base = conn->loop->read_buffer;
	buf->len = conn->bulk ? TG_READ_BULK : TG_READ_SIZE;
}

/* libuv tells a reset that arrives together with the last bytes as an orderly end; only the socket
 * still knows. 0: it was one. */
static int
end_status(const struct tg_conn *conn)
{
	int error = 0;
	socklen_t len = sizeof(error);
	uv_os_fd_t fd;

	if (uv_fileno(&conn->uv.handle, &fd) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		return UV_EIO;
	return -error;
}

static void
on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
	struct tg_conn *conn = stream->data;

	conn->bulk = nread > 0 && (size_t)nread == buf->len;
	if (nread > 0)
		conn->carrier->received(conn, buf->base, (size_t)nread);
	else if (nread < 0)
		conn->carrier->ended(conn, nread == UV_EOF ? end_status(conn) : (int)nread);
}

void
tg_socket_read(struct tg_conn *conn, bool on)
{
	if (conn->reading == on)
		return;
	conn->reading = on;
	if (on)
		on = uv_read_start(&conn->uv.stream, on_alloc, on_read) == 0;
	else
		uv_read_stop(&conn->uv.stream);
	tg_assert(on == conn->reading); /* fails for a handle that is no open stream only */
}

bool
tg_socket_quiet(const struct tg_conn *conn)
{
	char byte;

	return recv(descriptor(conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	    (errno == EAGAIN || errno == EWOULDBLOCK);
}

bool
tg_socket_gone(const struct tg_conn *conn)
{
	struct pollfd look = { .fd = descriptor(conn), .events = POLLRDHUP };

	return look.fd < 0 || poll(&look, 1, 0) > 0;
}

/* --- writing ------------------------------------------------------------------------------ */

/* The first of its buffers lies behind the struct itself, in the same block. */
static void
free_write(struct pending_write *pending, struct tg_loop *loop)
{
	for (unsigned i = pending->count; i-- > 1;)
		tg_blocks_put(&loop->large, pending->bufs[i].base);
	tg_blocks_put(&loop->large, pending);
}

static void
on_written(uv_write_t *req, int status)
{
	struct pending_write *pending = tg_container_of(req, struct pending_write, req);
	struct tg_conn *conn = pending->conn;

	conn->queued -= pending->len;
	free_write(pending, conn->loop);
	if (conn->closing)
		return;
	if (status < 0 && !conn->reading)
		tg_conn_write_failed(conn, status);
	else if (status == 0 && conn->queued == 0)
		conn->carrier->drained(conn);
}

/* Parts of which the first `skip` bytes are done with. */
struct rest {
	const struct tg_str *parts;
	unsigned count;
	size_t skip;
};

/* Copy what fits into `room` bytes, and move on; the bytes copied. */
static size_t
take(struct rest *rest, char *to, size_t room)
{
	size_t taken = 0;

	while (rest->count > 0 && taken < room) {
		size_t len = rest->parts->len;

		if (rest->skip < len) {
			size_t left = len - rest->skip;
			size_t n = left < room - taken ? left : room - taken;

			memcpy(to + taken, rest->parts->ptr + rest->skip, n);
			taken += n;
			rest->skip += n;
		}
		if (rest->skip < len)
			break;
		rest->skip -= len;
		rest->parts++;
		rest->count--;
	}
	return taken;
}

/* A write of as much of the rest as its blocks can hold; NULL: out of memory. */
static struct pending_write *
copy_rest(struct tg_conn *conn, struct rest *rest)
{
	struct tg_blocks *pool = &conn->loop->large;
	struct pending_write *pending = tg_blocks_get(pool);
	char *at;
	size_t room = TG_LARGE_BLOCK - sizeof(*pending);

	if (pending == NULL)
		return NULL;
	pending->conn = conn;
	pending->len = 0;
	pending->count = 0;
	for (at = pending->data; at != NULL; at = tg_blocks_get(pool), room = TG_LARGE_BLOCK) {
		size_t n = take(rest, at, room);

		pending->bufs[pending->count++] = uv_buf_init(at, (unsigned)n);
		pending->len += (uint32_t)n;
		if (rest->count == 0 || pending->count == WRITE_BLOCKS)
			return pending;
	}
	free_write(pending, conn->loop);
	return NULL;
}

static int
queue_write(struct tg_conn *conn, struct rest rest)
{
	while (rest.count > 0) {
		struct pending_write *pending = copy_rest(conn, &rest);
		int err;

		if (pending == NULL)
			return UV_ENOMEM;
		conn->queued += pending->len;
		err = uv_write(
		    &pending->req, &conn->uv.stream, pending->bufs, pending->count, on_written);
		if (err != 0) {
			conn->queued -= pending->len;
			free_write(pending, conn->loop);
			return err;
		}
	}
	return 0;
}

/* What the kernel takes at once, 0 for nothing now, or a negative code. A head and a short body go in one piece:
 * to the kernel two cost more than the copy does to us. */
static ssize_t
send_now(const struct tg_conn *conn, const struct tg_str *parts, unsigned count, size_t total)
{
	struct iovec pieces[MAX_PARTS];
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = count };
	char copy[ONE_PIECE];
	struct tg_str one = { copy, total };
	ssize_t sent;

	if (count > 1 && total <= sizeof(copy)) {
		(void)take(&(struct rest){ parts, count, 0 }, copy, total);
		parts = &one;
		count = 1;
	}
	for (unsigned i = 0; count > 1 && i < count; i++)
		pieces[i] = (struct iovec){ (char *)(uintptr_t)parts[i].ptr, parts[i].len };
	do {
		sent = count == 1
		    ? send(descriptor(conn), parts->ptr, parts->len, MSG_DONTWAIT | MSG_NOSIGNAL)
		    : sendmsg(descriptor(conn), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return sent;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -errno;
}

int
tg_socket_write(struct tg_conn *conn, const struct tg_str *parts, unsigned count)
{
	size_t total = 0;
	ssize_t written = 0;

	tg_assert(count <= MAX_PARTS);
	for (unsigned i = 0; i < count; i++)
		total += parts[i].len;
	if (total == 0)
		return 0;
	if (conn->queued == 0) {
		written = send_now(conn, parts, count, total);
		if (written < 0)
			return (int)written;
		if ((size_t)written == total)
			return 0;
	}
	return queue_write(conn, (struct rest){ parts, count, (size_t)written });
}

uint64_t
tg_socket_untaken(const struct tg_conn *conn)
{
	uint64_t untaken = uv_stream_get_write_queue_size(&conn->uv.stream);
	int fd = descriptor(conn), kernel = 0;

	if (fd >= 0 && ioctl(fd, SIOCOUTQ, &kernel) == 0 && kernel > 0)
		untaken += (uint64_t)kernel;
	return untaken;
}

void
tg_socket_shutdown(struct tg_conn *conn)
{
	shutdown(descriptor(conn), SHUT_WR);
}

/* --- open and close ----------------------------------------------------------------------- */

static void
on_handle_closed(uv_handle_t *handle)
{
	tg_conn_closed(handle->data);
}

void
tg_socket_close(struct tg_conn *conn, bool reset)
{
	struct linger none = { .l_onoff = 1, .l_linger = 0 };
	int fd = reset ? descriptor(conn) : -1;

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	conn->reading = false;
	uv_close(&conn->uv.handle, on_handle_closed);
}

static void
connected(struct tg_conn *conn, int status)
{
	conn->ops->on_connect(conn, status);
}

static void
drained(struct tg_conn *conn)
{
	conn->ops->on_drain(conn);
}

static const struct tg_carrier plain = {
	.read = tg_socket_read,
	.quiet = tg_socket_quiet,
	.gone = tg_socket_gone,
	.write = tg_socket_write,
	.untaken = tg_socket_untaken,
	.shutdown = tg_socket_shutdown,
	.close = tg_socket_close,
	.connected = connected,
	.received = tg_conn_offer,
	.ended = tg_conn_end,
	.drained = drained,
};

static void
init(struct tg_conn *conn, struct tg_loop *loop, const struct tg_conn_ops *ops, bool is_pipe)
{
	tg_conn_init(conn, loop, ops, &plain);
	conn->is_pipe = is_pipe;
	if (is_pipe)
		uv_pipe_init(&loop->uv, &conn->uv.pipe, 0);
	else
		uv_tcp_init(&loop->uv, &conn->uv.tcp);
	conn->uv.handle.data = conn;
}

int
tg_conn_accept(
    struct tg_conn *conn, struct tg_loop *loop, const struct tg_conn_ops *ops, int fd, bool is_unix)
{
	int err;

	init(conn, loop, ops, is_unix);
	err = is_unix ? uv_pipe_open(&conn->uv.pipe, fd) : uv_tcp_open(&conn->uv.tcp, fd);
	if (err != 0) {
		close(fd);
		tg_conn_close(conn);
	}
	return err;
}

static void
on_connected(uv_connect_t *req, int status)
{
	struct tg_conn *conn = req->data;

	tg_blocks_put(&conn->loop->small, req);
	if (conn->closing)
		return;
	if (status == 0 && !conn->is_pipe)
		uv_tcp_nodelay(&conn->uv.tcp, 1);
	conn->carrier->connected(conn, status);
}

int
tg_conn_connect(struct tg_conn *conn, struct tg_loop *loop, const struct tg_conn_ops *ops,
    const struct tg_addr *to)
{
	uv_connect_t *req;
	int err = 0;

	init(conn, loop, ops, to->sa.sa_family == AF_UNIX);
	req = tg_blocks_get(&loop->small);
	if (req == NULL) {
		tg_conn_close(conn);
		return UV_ENOMEM;
	}
	req->data = conn;
	if (conn->is_pipe) /* errors come by the callback */
		uv_pipe_connect(req, &conn->uv.pipe, to->un.sun_path, on_connected);
	else
		err = uv_tcp_connect(req, &conn->uv.tcp, &to->sa, on_connected);
	if (err != 0) {
		tg_blocks_put(&loop->small, req);
		tg_conn_close(conn);
	}
	return err;
}
