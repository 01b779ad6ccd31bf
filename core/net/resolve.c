#include "net/resolve.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

struct tg_resolve {
	uv_getaddrinfo_t req;
	void (*done)(void *arg, int status, const struct tg_addr *addr); /* NULL: cancelled */
	void *arg;
};

static void
on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
	struct tg_resolve *resolve = req->data;
	struct tg_addr addr;

	memset(&addr, 0, sizeof(addr));
	if (status == 0 && (list == NULL || list->ai_addrlen > sizeof(addr.in6)))
		status = UV_EAI_NODATA;
	if (status == 0) {
		memcpy(&addr.sa, list->ai_addr, list->ai_addrlen);
		addr.len = list->ai_addrlen;
	}
	uv_freeaddrinfo(list);
	if (resolve->done != NULL)
		resolve->done(resolve->arg, status, status == 0 ? &addr : NULL);
	free(resolve);
}

struct tg_resolve *
tg_resolve_start(struct tg_loop *loop, struct tg_str host, uint16_t port,
    void (*done)(void *arg, int status, const struct tg_addr *addr), void *arg)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct tg_resolve *resolve = calloc(1, sizeof(*resolve));
	char name[256], service[8];

	if (resolve == NULL || host.len >= sizeof(name)) {
		free(resolve);
		return NULL;
	}
	memcpy(name, host.ptr, host.len);
	name[host.len] = '\0';
	snprintf(service, sizeof(service), "%u", (unsigned)port);
	resolve->done = done;
	resolve->arg = arg;
	resolve->req.data = resolve;
	if (uv_getaddrinfo(&loop->uv, &resolve->req, on_resolved, name, service, &hints) != 0) {
		free(resolve);
		return NULL;
	}
	return resolve;
}

void
tg_resolve_cancel(struct tg_resolve *resolve)
{
	resolve->done = NULL;
	uv_cancel((uv_req_t *)&resolve->req);
}
