/* Answers that do not come from a server: those of scripts, and the error answers of the table
 * of endings.
 */
#ifndef TG_PROXY_ANSWER_H
#define TG_PROXY_ANSWER_H

#include "proxy/end.h"
#include "proxy/req.h"

/* Decide, before a final response head is written, whether the client's connection can go on:
 * it asked for it, nobody drains, and what is left of the request's body is small enough to be
 * thrown away. */
bool tg_answer_may_keep(const struct tg_req *req);

/* Write the answer that a script has set (tg_req_answer). 0 or negative: the client is gone. */
TG_MUST_USE int tg_answer_write(struct tg_req *req);

/* Write the interim answer (1xx) that `out` is. 0 or negative: the client is gone, or memory is out. */
TG_MUST_USE int tg_answer_interim(struct tg_req *req);

/* Write the answer of an ending; whether the client's connection may go on. */
bool tg_answer_error(struct tg_req *req, const struct tg_end_row *row);

/* Write a head (response side `out`) into the arena, for tg_relay_to_client; ptr NULL: out of memory or too
 * large. */
TG_MUST_USE struct tg_str tg_answer_head(
    struct tg_req *req, enum tg_framing framing, enum tg_http1_connection connection);

/* The Connection field that keep_client and the client's version call for. */
enum tg_http1_connection tg_answer_connection(const struct tg_req *req);

#endif
