#include "proxy/proxied.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "proxy/arrival.h"
#include "proxy/client.h"

bool
tg_proxied_expected(const struct tg_plan_listener *listener, const struct tg_addr *peer)
{
	for (unsigned i = 0; i < listener->network_count; i++)
		if (tg_network_has(&listener->networks[i], peer))
			return true;
	return false;
}

bool
tg_proxied_begin(struct tg_client *client)
{
	struct tg_proxied *proxied = calloc(1, sizeof(*proxied) + TG_PROXYPROTO_MAX);

	if (proxied == NULL)
		return false;
	memcpy(proxied->peer, client->ip, sizeof(proxied->peer));
	client->proxied = proxied;
	return true;
}

/* Give back the memory that the header did not need. */
static void
shrink(struct tg_client *client)
{
	struct tg_proxied *proxied = client->proxied,
	                  *small = realloc(proxied, sizeof(*proxied) + proxied->len);

	if (small == NULL)
		return;
	client->proxied = small; /* what was said points into its bytes */
	(void)!tg_proxyproto_read((struct tg_str){ small->bytes, small->len }, &small->said);
}

int
tg_proxied_read(struct tg_client *client, const char *data, size_t len, bool *done)
{
	struct tg_proxied *proxied = client->proxied;
	size_t before = proxied->len, room = TG_PROXYPROTO_MAX - before;
	int header;

	*done = false;
	len = len < room ? len : room;
	memcpy(proxied->bytes + before, data, len);
	header =
	    tg_proxyproto_read((struct tg_str){ proxied->bytes, before + len }, &proxied->said);
	if (header <= 0) {
		proxied->len += len;
		return header < 0 || len == 0 ? TG_PROXYPROTO_MALFORMED : (int)len;
	}
	proxied->len = (size_t)header;
	shrink(client);
	if (client->proxied->said.from.len > 0)
		tg_client_name(client, &client->proxied->said.from);
	*done = true;
	return header - (int)before;
}

/* --- to servers --------------------------------------------------------------------------- */

static struct tg_addr
source_of(const struct tg_client *client)
{
	struct tg_addr addr = { .len = 0 };

	if (inet_pton(AF_INET, client->ip, &addr.in.sin_addr) == 1) {
		addr.in.sin_family = AF_INET;
		addr.in.sin_port = htons(client->peer_port);
		addr.len = sizeof(addr.in);
	} else if (inet_pton(AF_INET6, client->ip, &addr.in6.sin6_addr) == 1) {
		addr.in6.sin6_family = AF_INET6;
		addr.in6.sin6_port = htons(client->peer_port);
		addr.len = sizeof(addr.in6);
	}
	return addr;
}

/* Where the client came: to the first proxy, or to us. */
static struct tg_addr
target_of(const struct tg_client *client)
{
	struct tg_addr addr = { .len = sizeof(addr.in6) };
	uv_os_fd_t fd;

	if (client->proxied != NULL && client->proxied->said.to.len > 0)
		return client->proxied->said.to;
	if (uv_fileno(&client->root->conn.uv.handle, &fd) != 0 ||
	    getsockname(fd, &addr.sa, &addr.len) != 0)
		addr.len = 0;
	return addr;
}

size_t
tg_proxied_write(const struct tg_client *client, int version, char *out)
{
	struct tg_addr from = source_of(client), to = target_of(client);

	return tg_proxyproto_write(version, &from, &to, out);
}
