#include "proxy/arrival.h"

#include <arpa/inet.h>

#include "proxy/client.h"
#include "proxy/proxied.h"
#include "proxy/secured.h"
#include "proxy/session.h"
#include "proxy/tcp.h"

void
tg_client_name(struct tg_client *client, const struct tg_addr *addr)
{
	client->peer_port = 0;
	if (addr->len == 0 || tg_addr_ip(addr, client->ip, sizeof(client->ip)) < 0)
		strcpy(client->ip, "unix");
	else
		client->peer_port = tg_addr_port(addr);
}

/* What it has to say is next: its first request, or, in mode "tcp", whatever it is. */
static void
listen_to(struct tg_client *client)
{
	const struct tg_listener_options *options = tg_port_options(client->port);

	client->state = TG_CLIENT_IDLE;
	if (options->tcp) {
		tg_tcp_begin(client);
		return;
	}
	tg_client_await(client, options->head_ms);
	if (tg_secured_http2(client) && !tg_session_begin(client))
		tg_client_close(client, false);
	else
		tg_conn_resume(&client->conn);
}

void
tg_client_begin(struct tg_client *client)
{
	const struct tg_plan_listener *listener = tg_port_listener(client->port);

	if (listener->tls == NULL) {
		listen_to(client);
		return;
	}
	tg_client_await(client, listener->options.handshake_ms);
	if (!tg_secured_begin(client))
		tg_client_close(client, false);
}

/* Who it is, is known. */
static void
greet(struct tg_client *client)
{
	if (tg_port_options(client->port)->has_accept)
		tg_tcp_admit(client);
	else
		tg_client_begin(client);
}

size_t
tg_arrival_proxied(struct tg_client *client, const char *data, size_t len)
{
	bool done;
	int used = tg_proxied_read(client, data, len, &done);

	if (used < 0) {
		tg_client_unasked(client, TG_END_PROXY_HEADER);
		return len;
	}
	if (done)
		greet(client);
	return (size_t)used;
}

void
tg_arrival_secured(struct tg_client *client, int status)
{
	if (client->state != TG_CLIENT_SECURING) { /* its time was over before */
		tg_client_close(client, false);
		return;
	}
	if (!tg_secured_end(client, status)) {
		tg_client_unasked(client, TG_END_TLS_HANDSHAKE);
		return;
	}
	listen_to(client);
}

size_t
tg_arrival_sniff(struct tg_client *client, const char *data, size_t len)
{
	char preface[] = "PRI ";
	size_t whole = sizeof(preface) - 1, at = client->preface, i = 0;

	while (i < len && at + i < whole && data[i] == preface[at + i])
		i++;
	client->preface = (uint8_t)(at + i);
	if (client->preface == whole) {
		if (tg_session_begin(client))
			tg_session_receive(client->session, preface, whole);
		else
			tg_client_close(client, false);
	} else if (i < len) {
		client->sniffed = true;
		if (client->preface > 0)
			tg_client_request(client, (struct tg_str){ preface, client->preface });
	}
	return i;
}

void
tg_client_accept(struct tg_port *port, int fd, const struct tg_addr *peer)
{
	struct tg_engine *engine = port->engine;
	struct tg_client *client = tg_blocks_get(&engine->client_blocks);
	static const struct tg_addr nobody = { .len = 0 };

	if (client == NULL) {
		uv_fs_t close;

		tg_port_leave(port);
		uv_fs_close(&engine->loop->uv, &close, fd, NULL);
		uv_fs_req_cleanup(&close);
		return;
	}
	tg_client_init(client, port);
	tg_client_name(client, port->is_unix ? &nobody : peer);
	tg_cell_add(&engine->counters->accepted, 1);
	tg_gauge_add(&engine->counters->connections, 1);
	if (tg_conn_accept(&client->conn, engine->loop, &tg_client_ops, fd, port->is_unix) != 0) {
		client->state = TG_CLIENT_CLOSING;
		return;
	}
	if (!tg_proxied_expected(tg_port_listener(port), port->is_unix ? &nobody : peer)) {
		greet(client);
		return;
	}
	client->state = TG_CLIENT_PROXIED;
	tg_client_await(client, tg_port_options(port)->head_ms);
	if (tg_proxied_begin(client))
		tg_conn_resume(&client->conn);
	else
		tg_client_close(client, false);
}
