/* A client's connection: HTTP/1 messages in, answers out, one request at a time. It holds no
 * buffer while idle. It reads for the request (head, then body), waits between requests, and
 * closes without cutting off what it has sent (lingering close).
 */
#ifndef TG_PROXY_CLIENT_H
#define TG_PROXY_CLIENT_H

#include <netinet/in.h>

#include "base/list.h"
#include "net/conn.h"
#include "proxy/engine.h"
#include "proxy/pace.h"
#include "proxy/proxied.h"

struct tg_req;

/* An address this worker accepts on. Clients hold it: it goes with the last of them. */
struct tg_port {
	uint32_t magic;
	struct tg_link link; /* in engine->ports, until it is closed */
	struct tg_listener listener;
	struct tg_engine *engine;
	unsigned users; /* clients, and 1 while it is open */
	int index;      /* in the listeners of the plan that it serves */
	bool closed;    /* no longer named: what its clients have asked is still answered */
	bool is_unix;
	struct tg_timer farewell;        /* closed: how long its tunnels may go on */
	struct tg_generation *last;      /* closed: the last that named it, one user; else NULL */
	struct tg_listener_state *state; /* counted */
};

enum tg_client_state {
	TG_CLIENT_PROXIED,  /* its proxy has still to say who it is */
	TG_CLIENT_SECURING, /* in the TLS handshake, or in line for it */
	TG_CLIENT_IDLE,     /* between requests */
	TG_CLIENT_BUSY,     /* req is set */
	TG_CLIENT_FLUSH,    /* closes when all is written */
	TG_CLIENT_LINGER, /* all is written and our side ended: reads on so that no reset overtakes
	                      the answer */
	TG_CLIENT_CLOSING,
};

struct tg_client {
	uint32_t magic;
	uint8_t state;       /* enum tg_client_state */
	bool fresh;          /* no request yet: an end now is not worth a word */
	bool half_closed;    /* the client ended its side; a quick answer may still go out */
	bool half_line;      /* IDLE: the CR of an empty line came, not yet its LF */
	bool clean;          /* FLUSH: nothing more is expected from the client */
	bool taking;         /* the timer is about its taking the answer */
	bool shaking;        /* one of engine->handshakes is its */
	struct tg_link link; /* in engine->clients */
	struct tg_link line; /* in engine->handshake_line */
	struct tg_engine *engine;
	struct tg_port *port;
	struct tg_req *req;
	struct tg_timer timer;      /* keep-alive, head, body, slow reader, linger */
	uint64_t accepted;          /* ms of the loop's clock */
	uint32_t progress;          /* body bytes since the timer was last started */
	struct tg_pace pace;        /* of the answer, while it is queued */
	struct tg_certify *certify; /* its handshake waits for a certificate; NULL: it does not */
	struct tg_proxied *proxied; /* what its proxy has said; NULL: it has none */
	uint16_t peer_port;
	char ip[INET6_ADDRSTRLEN]; /* text, or "unix" */
	struct tg_conn conn;
};

/* A connection came in; owns fd. */
void tg_client_accept(struct tg_port *port, int fd, const struct tg_addr *peer);

/* Call the client by that address. */
void tg_client_name(struct tg_client *client, const struct tg_addr *addr);

/* It may come in (tcp.h): TLS, where its listener speaks that, and then what it has to say. It may be closed
 * after this. */
void tg_client_begin(struct tg_client *client);

/* The request has ended and its answer is written or queued. `keep`: go on with the next.
 * `clean`: all of the request was read, so closing at once resets nothing. */
void tg_client_next(struct tg_client *client, bool keep, bool clean);

/* Set or stop the timer for what the client is expected to do now. */
void tg_client_watch(struct tg_client *client);

/* Close at once; what is queued is lost. With `reset` the client can tell that the answer is
 * not whole. */
void tg_client_close(struct tg_client *client, bool reset);

/* What the port's next request is served by: the current generation, or the last that named it. */
struct tg_generation *tg_port_generation(const struct tg_port *port);

const struct tg_plan_listener *tg_port_listener(const struct tg_port *port);
const struct tg_listener_options *tg_port_options(const struct tg_port *port);

/* A client of the port is gone: its place is another's. */
void tg_port_leave(struct tg_port *port);

void tg_port_put(struct tg_port *port);

#endif
