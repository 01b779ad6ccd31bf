/* A client's connection: HTTP/1 messages in, answers out, one request at a time. It holds no
 * buffer while idle. It reads for the request (head, then body), waits between requests, and
 * closes without cutting off what it has sent (lingering close).
 */
#ifndef TG_PROXY_CLIENT_H
#define TG_PROXY_CLIENT_H

#include <netinet/in.h>

#include "base/list.h"
#include "net/conn.h"
#include "proxy/end.h"
#include "proxy/pace.h"
#include "proxy/port.h"
#include "proxy/proxied.h"

struct tg_req;
struct tg_session;
struct tg_stream;

enum tg_client_state {
	TG_CLIENT_PROXIED,  /* its proxy has still to say who it is */
	TG_CLIENT_SECURING, /* in the TLS handshake, or in line for it */
	TG_CLIENT_IDLE,     /* between requests */
	TG_CLIENT_BUSY,     /* req is set */
	TG_CLIENT_FLUSH,    /* closes when all is written */
	TG_CLIENT_LINGER,  /* all is written and our side ended: reads on so that no reset overtakes
	                      the answer */
	TG_CLIENT_SESSION, /* it speaks HTTP/2, and its streams are clients of their own */
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
	bool sniffed;        /* by its first bytes it speaks HTTP/1 */
	uint8_t preface;     /* bytes that came, of those which HTTP/2 begins with */
	struct tg_link link; /* in engine->clients */
	struct tg_link line; /* in engine->handshake_line */
	struct tg_engine *engine;
	struct tg_port *port;
	struct tg_req *req;
	struct tg_session *session; /* SESSION; else NULL */
	struct tg_stream *stream;   /* that it is; NULL: it is a connection */
	struct tg_client *root;     /* whose connection that is: itself, but for streams */
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

extern const struct tg_conn_ops tg_client_ops;

/* A stream is a client of its own, and its conn is there: it begins with a request. False: out of memory; it
 * is to be closed. */
TG_MUST_USE bool tg_client_open_stream(struct tg_client *client, struct tg_stream *stream);

/* For arrival.c: all but its conn, and who it is; */
void tg_client_init(struct tg_client *client, struct tg_port *port);
/* what comes before a request has gone wrong: it is counted, like the endings of requests; */
void tg_client_unasked(struct tg_client *client, enum tg_end why);
/* and its first request begins, with these bytes. */
void tg_client_request(struct tg_client *client, struct tg_str bytes);

/* In client_in.c: let its request take what it wants of these bytes; 0: nothing now. */
size_t tg_client_hear(struct tg_client *client, char *data, size_t len);

/* Of a stream: the head of its request is complete, or refused (enum tg_http_error). */
void tg_client_head(struct tg_client *client, struct tg_head *head, int error);

/* The body of its request is not what the head has promised. */
void tg_client_bad_body(struct tg_client *client);

/* Is it at one end of a tunnel? */
bool tg_client_is_tunnel(const struct tg_client *client);

/* (Re)start its timer; 0: stop it. */
void tg_client_await(struct tg_client *client, int64_t ms);

/* The request has ended and its answer is written or queued. `keep`: go on with the next.
 * `clean`: all of the request was read, so closing at once resets nothing. */
void tg_client_next(struct tg_client *client, bool keep, bool clean);

/* Set or stop the timer for what the client is expected to do now. */
void tg_client_watch(struct tg_client *client);

/* Close at once; what is queued is lost. With `reset` the client can tell that the answer is
 * not whole. */
void tg_client_close(struct tg_client *client, bool reset);

#endif
