/* Bodies on their way, both directions, with back-pressure: bytes are taken from one connection
 * only while the other is drained, so at most one read waits per direction.
 */
#ifndef TG_PROXY_RELAY_H
#define TG_PROXY_RELAY_H

#include "proxy/req.h"

/* Bytes of the request's body: decode, forward (or discard), and say how many were taken. The
 * request may have ended (look with tg_req_alive). */
size_t tg_relay_request(struct tg_req *req, char *data, size_t len);

/* The body of the answer is malformed: what can be said of that is. */
void tg_relay_refuse_response(struct tg_req *req);

/* The end of the request's body, where it does not show in its bytes. */
void tg_relay_request_end(struct tg_req *req);

/* The same for the response's body. With data NULL: it has none; what may have come behind the
 * head is in req->poisoned already. */
size_t tg_relay_response(struct tg_req *req, char *data, size_t len);

/* The server ended the connection: the end of a body that has no other, or a cut. */
void tg_relay_response_end(struct tg_req *req, int status);

/* The server takes more of the request's body, or no more at all: read on from the client. */
void tg_relay_resume_request(struct tg_req *req);

/* Write the heads that still wait for something to go with; behind the one for the server, what was
 * kept of the body (an earlier attempt had read it). */
void tg_relay_flush_request(struct tg_req *req);
void tg_relay_flush_response(struct tg_req *req);

/* Write to the client and count: a head (of tg_answer_head; empty: none), and bytes of the body, in the framing of
 * the answer; `last`: it ends with them. 0 or negative. The one place that knows what answers look like. */
TG_MUST_USE int tg_relay_to_client(
    struct tg_req *req, struct tg_str head, struct tg_str body, bool last);

#endif
