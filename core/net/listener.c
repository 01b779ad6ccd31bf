#include "net/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum { LISTENER_MAGIC = 0x115e7e4, BACKLOG = 4096, BATCH = 16, RETRY_MS = 100 };

/* A UNIX socket whose owner is gone leaves a file: bind would fail for ever. One that somebody
 * still listens on is left alone. */
static void
remove_stale_socket(const struct tg_addr *addr)
{
	struct stat st;
	int fd;

	if (lstat(addr->un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, &addr->sa, addr->len) != 0 && errno == ECONNREFUSED)
		unlink(addr->un.sun_path);
	close(fd);
}

static int
set_options(int fd, const struct tg_addr *addr)
{
	int on = 1, off = 0;

	if (addr->sa.sa_family == AF_UNIX) {
		remove_stale_socket(addr);
		return 0;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) /* inherited */
		return -1;
	if (addr->sa.sa_family == AF_INET6)
		return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	return 0;
}

int
tg_listener_bind(const struct tg_addr *addr, struct tg_addr *at)
{
	int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return -errno;
	*at = *addr;
	if (set_options(fd, addr) == 0 && bind(fd, &addr->sa, addr->len) == 0 &&
	    listen(fd, BACKLOG) == 0 && getsockname(fd, &at->sa, &at->len) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct tg_listener *listener = handle->data;

	TG_CHECK(listener, LISTENER_MAGIC);
	listener->magic = 0;
	listener->on_closed(listener);
}

/* Out of descriptors or memory the connections stay in the kernel's queue: look again later,
 * neither spinning nor refusing. Rejected: libuv's own uv_listen, which accepts and drops them. */
static void
pause_accepting(struct tg_listener *listener, int error)
{
	if (!listener->starved)
		tg_log(TG_LOG_WARNING, "accepting pauses: %s", strerror(error));
	listener->starved = true;
	uv_poll_stop(&listener->poll);
	tg_loop_timer_start(listener->loop, &listener->retry, RETRY_MS);
}

/* Accept one. False: no more for now. */
static bool
accept_one(struct tg_listener *listener)
{
	struct tg_addr peer = { .len = sizeof(peer.un) };
	int fd = accept4(listener->fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int error = fd < 0 ? errno : 0;

	if (fd >= 0) {
		if (listener->starved)
			tg_log(TG_LOG_NOTICE, "accepting goes on");
		listener->starved = false;
		listener->on_connection(listener, fd, &peer);
		return true;
	}
	if (listener->dismiss != NULL)
		listener->dismiss(listener);
	if (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS)
		pause_accepting(listener, error);
	return error == ECONNABORTED || error == EINTR;
}

/* Take what waits, but no more than a batch: the other sockets want their turn. */
static void
accept_batch(struct tg_listener *listener, int most, bool must)
{
	while (most-- > 0 && !listener->closing) {
		if (listener->admit != NULL && !listener->admit(listener, must)) {
			listener->full = true;
			uv_poll_stop(&listener->poll);
			return;
		}
		if (!accept_one(listener))
			return;
	}
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct tg_listener *listener = poll->data;

	(void)events;
	TG_CHECK(listener, LISTENER_MAGIC);
	if (status == 0)
		accept_batch(listener, BATCH, false);
}

static void
on_retry(struct tg_timer *timer)
{
	struct tg_listener *listener = tg_container_of(timer, struct tg_listener, retry);

	uv_poll_start(&listener->poll, UV_READABLE, on_poll);
}

int
tg_listener_open(struct tg_listener *listener, struct tg_loop *loop, int fd,
    void (*on_connection)(struct tg_listener *, int, const struct tg_addr *),
    void (*on_closed)(struct tg_listener *))
{
	int err = uv_poll_init(&loop->uv, &listener->poll, fd);

	if (err != 0)
		return err;
	listener->magic = LISTENER_MAGIC;
	listener->closing = false;
	listener->starved = false;
	listener->full = false;
	listener->admit = NULL;
	listener->dismiss = NULL;
	listener->fd = fd;
	listener->loop = loop;
	listener->on_connection = on_connection;
	listener->on_closed = on_closed;
	tg_timer_init(&listener->retry, on_retry);
	listener->poll.data = listener;
	uv_poll_start(&listener->poll, UV_READABLE, on_poll);
	return 0;
}

void
tg_listener_resume(struct tg_listener *listener)
{
	TG_CHECK(listener, LISTENER_MAGIC);
	if (!listener->full || listener->closing)
		return;
	listener->full = false;
	uv_poll_start(&listener->poll, UV_READABLE, on_poll);
}

void
tg_listener_close(struct tg_listener *listener)
{
	TG_CHECK(listener, LISTENER_MAGIC);
	if (listener->closing)
		return;
	accept_batch(listener, BACKLOG, true);
	listener->closing = true;
	tg_loop_timer_stop(listener->loop, &listener->retry);
	uv_poll_stop(&listener->poll);
	close(listener->fd);
	uv_close((uv_handle_t *)&listener->poll, on_handle_closed);
}
