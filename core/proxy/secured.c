#include "proxy/secured.h"

#include <stdlib.h>

#include "base/log.h"
#include "net/tls.h"
#include "proxy/client.h"

static bool
start(struct tg_client *client)
{
	struct tg_tls_context *context = tg_port_listener(client->port)->tls;
	SSL *ssl;

	/* The listener may have changed while the client waited. */
	ssl = context != NULL ? tg_tls_context_accept(context) : NULL;
	if (ssl == NULL)
		return false;
	client->engine->handshakes++;
	client->shaking = true;
	return tg_tls_start(&client->conn, ssl) == 0;
}

/* The share of this worker; 0: no limit. */
static unsigned
most(const struct tg_engine *engine)
{
	int32_t all = engine->current->plan->process.max_handshakes;

	return all > 0 ? ((unsigned)all + engine->all->count - 1) / engine->all->count : 0;
}

static bool
has_room(const struct tg_engine *engine)
{
	return most(engine) == 0 || engine->handshakes < most(engine);
}

bool
tg_secured_begin(struct tg_client *client)
{
	struct tg_engine *engine = client->engine;

	client->state = TG_CLIENT_SECURING;
	if (has_room(engine) && tg_list_empty(&engine->handshake_line))
		return start(client);
	tg_list_push_back(&engine->handshake_line, &client->line);
	return true;
}

static void
end_certify(struct tg_certify *certify)
{
	certify->client->certify = NULL;
	if (certify->certificate != NULL)
		tg_tls_certificate_put(certify->certificate);
	tg_generation_put(certify->generation);
	free(certify);
}

void
tg_secured_certified(struct tg_certify *certify)
{
	tg_tls_certified(&certify->client->conn, certify->certificate);
	end_certify(certify);
}

void
tg_secured_certify(struct tg_client *client, const char *name)
{
	struct tg_generation *generation = tg_port_generation(client->port);
	struct tg_certify *certify = NULL;

	/* A reload since the handshake began may have taken the script away. */
	if (tg_port_options(client->port)->has_certificate)
		certify = calloc(1, sizeof(*certify));
	if (certify == NULL) {
		tg_tls_certified(&client->conn, NULL);
		return;
	}
	generation->users++;
	certify->client = client;
	certify->generation = generation;
	certify->listener = client->port->index;
	if (name != NULL)
		certify->name = tg_str_of(name);
	client->certify = certify;
	if (generation->hooks->certificate(certify) != TG_HOOK_PARKED)
		tg_secured_certified(certify);
}

void
tg_secured_leave(struct tg_client *client)
{
	struct tg_engine *engine = client->engine;
	struct tg_link *next;

	tg_link_remove(&client->line);
	if (client->certify != NULL) {
		client->certify->generation->hooks->cancel_certificate(client->certify);
		end_certify(client->certify);
	}
	if (!client->shaking)
		return;
	client->shaking = false;
	engine->handshakes--;
	while (has_room(engine) && (next = tg_list_pop_front(&engine->handshake_line)) != NULL) {
		struct tg_client *other = tg_container_of(next, struct tg_client, line);

		if (!start(other))
			tg_client_close(other, false);
	}
}

bool
tg_secured_http2(const struct tg_client *client)
{
	SSL *ssl = tg_secured_ssl(client);
	const unsigned char *name;
	unsigned len;

	if (ssl == NULL || !tg_port_options(client->port)->http2)
		return false;
	SSL_get0_alpn_selected(ssl, &name, &len);
	return len == 2 && memcmp(name, "h2", 2) == 0;
}

bool
tg_secured_end(struct tg_client *client, int status)
{
	struct tg_counters *counters = client->engine->counters;

	tg_secured_leave(client);
	if (status == 0) {
		tg_cell_add(&counters->tls_handshakes, 1);
		if (SSL_session_reused(tg_tls_ssl(&client->conn)))
			tg_cell_add(&counters->tls_resumed, 1);
		return true;
	}
	tg_log(TG_LOG_INFO, "client %s:%u: TLS: %s", client->ip, client->peer_port,
	    tg_tls_failure(&client->conn));
	if (tg_tls_heard_http(&client->conn))
		tg_tls_say(&client->conn,
		    TG_STR("HTTP/1.1 400 Bad Request\r\n"
		           "Content-Type: text/plain\r\n"
		           "Content-Length: 50\r\n"
		           "Connection: close\r\n\r\n"
		           "400 Bad Request\nThis port speaks HTTPS, not HTTP.\n"));
	return false;
}

SSL *
tg_secured_ssl(const struct tg_client *client)
{
	const struct tg_conn *conn = &client->root->conn;

	return tg_conn_secure(conn) ? tg_tls_ssl(conn) : NULL;
}
