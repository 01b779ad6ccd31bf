#include "process/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_FREE_PORT = 1024 };

static bool
names(const struct tg_plan *plan, struct tg_str address)
{
	for (unsigned i = 0; plan != NULL && i < plan->listener_count; i++)
		if (tg_str_eq(plan->listeners[i].address, address))
			return true;
	return false;
}

void
tg_ports_remove_files(const struct tg_plan *old, const struct tg_plan *plan)
{
	for (unsigned i = 0; old != NULL && i < old->listener_count; i++) {
		const struct tg_plan_listener *listener = &old->listeners[i];

		if (listener->addr.sa.sa_family == AF_UNIX &&
		    listener->addr.un.sun_path[0] != '\0' && !names(plan, listener->address))
			unlink(listener->addr.un.sun_path);
	}
}

int
tg_ports_init(
    struct tg_ports *ports, const struct tg_plan *plan, const struct tg_plan *old, unsigned workers)
{
	unsigned total;

	*ports = (struct tg_ports){ .workers = workers };
	for (unsigned i = 0; i < plan->listener_count; i++)
		ports->count += !names(old, plan->listeners[i].address);
	total = ports->count * workers;
	ports->list = calloc(total + 1, sizeof(*ports->list));
	if (ports->list == NULL) {
		ports->count = 0;
		return UV_ENOMEM;
	}
	for (unsigned i = 0; i < total; i++)
		ports->list[i].fd = -1;
	return 0;
}

/* A descriptor that no worker got. `first`: it is worker 0's, who stands for the file too. */
static void
drop_port(const struct tg_new_port *port, bool first)
{
	const char *path =
	    port->fd >= 0 && port->is_unix ? strchr(port->state->address.ptr, '/') : NULL;

	if (port->fd >= 0)
		close(port->fd);
	if (first && path != NULL)
		unlink(path);
}

void
tg_ports_drop(struct tg_ports *ports)
{
	for (unsigned i = 0; i < ports->count * ports->workers; i++)
		drop_port(&ports->list[i], i < ports->count);
	free(ports->list);
	*ports = (struct tg_ports){ 0 };
}

/* One descriptor per worker, from ports->list[index] on. With port 0 the first choice of the kernel
 * holds for all. 0 or a negative code. */
static int
bind_one(struct tg_ports *ports, unsigned index, const struct tg_plan_listener *listener)
{
	bool is_unix = listener->addr.sa.sa_family == AF_UNIX;
	struct tg_addr addr = listener->addr, at;

	for (unsigned w = 0; w < ports->workers; w++) {
		struct tg_new_port *port = &ports->list[w * ports->count + index];

		port->state = listener->state;
		port->is_unix = is_unix;
		if (is_unix && w > 0)
			port->fd = fcntl(ports->list[index].fd, F_DUPFD_CLOEXEC, 0);
		else
			port->fd = tg_listener_bind(&addr, &at);
		if (port->fd < 0)
			return port->fd;
		addr = at;
	}
	return 0;
}

/* SO_REUSEPORT lets a second process of the same user share a port silently, and steal half of
 * the connections: refuse, by a probe without that option. */
static int
probe(const struct tg_addr *addr)
{
	int fd, on = 1, off = 0, err = 0;

	if (addr->sa.sa_family == AF_UNIX || tg_addr_port(addr) == 0)
		return 0;
	fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (addr->sa.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, &addr->sa, addr->len) != 0)
		err = -errno;
	close(fd);
	return err;
}

/* What to do about it, where that is not plain from the error itself. */
static const char *
remedy(int err, const struct tg_addr *addr)
{
	if (err != -EACCES)
		return "";
	if (addr->sa.sa_family == AF_UNIX)
		return "; the user that the process runs as must be able to write to its directory";
	if (tg_addr_port(addr) < FIRST_FREE_PORT)
		return "; ports below 1024 are for root and for processes with "
		       "CAP_NET_BIND_SERVICE";
	return "";
}

bool
tg_ports_bind(struct tg_ports *ports, struct tg_plan *plan, const struct tg_plan *old,
    enum tg_ports_kind kind)
{
	unsigned added = 0, index;
	char text[512];

	for (unsigned i = 0; i < plan->listener_count; i++) {
		const struct tg_plan_listener *listener = &plan->listeners[i];
		bool is_unix = listener->addr.sa.sa_family == AF_UNIX;
		int err;

		if (names(old, listener->address))
			continue;
		index = added++;
		if (is_unix != (kind == TG_PORTS_UNIX))
			continue;
		err = probe(&listener->addr);
		if (err == 0)
			err = bind_one(ports, index, listener);
		if (err == 0)
			continue;
		snprintf(text, sizeof(text), "cannot listen on %s: %s%s", listener->address.ptr,
		    uv_strerror(err), remedy(err, &listener->addr));
		if (tg_plan_add_text(&plan->errors, &plan->error_count, tg_str_of(text)) < 0)
			return false;
	}
	return plan->error_count == 0;
}
