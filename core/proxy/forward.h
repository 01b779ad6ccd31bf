/* What an intermediary does to a message that it forwards, beyond the framing (RFC 9110 §7.6): says
 * that it was there (Via), says what only it knows (X-Forwarded-…, Date), and counts hops
 * (Max-Forwards).
 */
#ifndef TG_PROXY_FORWARD_H
#define TG_PROXY_FORWARD_H

#include "proxy/req.h"

enum tg_forward {
	TG_FORWARD_ON,
	TG_FORWARD_BAD,      /* Max-Forwards is no number */
	TG_FORWARD_ANSWERED, /* it may go no further: we have answered (tg_req_answer) */
	TG_FORWARD_MEMORY,
};

/* A request has come: may it go on at all (Max-Forwards of OPTIONS and TRACE, RFC 9110 §7.6.2)? */
TG_MUST_USE enum tg_forward tg_forward_judge(struct tg_req *req);

/* Edit the head for the server, once, whatever the number of attempts. 0 or enum tg_http_error. */
TG_MUST_USE int tg_forward_request(struct tg_req *req);

/* A response without a Date gets one, that of now (RFC 9110 §6.6.1). 0 or enum tg_http_error. */
TG_MUST_USE int tg_forward_date(struct tg_head *head);

/* Whom the request is for. A client of HTTP/1.0 need not say that, and servers want to know (RFC 9112 §3.3 lets
 * us choose): then it is for the server itself. */
struct tg_str tg_forward_host(const struct tg_req *req);

#endif
