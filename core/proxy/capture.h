/* What of a head is kept for the log as it came, whatever scripts make of it later: the listener says
 * which fields and which cookie. Nothing is copied: the bytes stay in the request's arena.
 */
#ifndef TG_PROXY_CAPTURE_H
#define TG_PROXY_CAPTURE_H

#include "proxy/req.h"

/* The head of that side is complete, and no script has seen it: look for what is wanted of it. What
 * finds no memory is not kept. */
void tg_capture(struct tg_req *req, enum tg_side side);

/* What was kept as number `index` of the listener's captures; ptr NULL: nothing. */
struct tg_str tg_captured(const struct tg_req *req, unsigned index);

#endif
