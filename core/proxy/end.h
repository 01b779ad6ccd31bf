/* Every way in which a request can end: one row each, so that the log, the counters and the
 * client can never disagree. A row: name for scripts, logs and counters; the status that we
 * answer with when no response has begun (0: none, the connection is just closed); HAProxy's
 * two characters (who ended it, in which phase; spec/process/httplog_haproxy_spec.lua compares
 * them with a real HAProxy's); the text of the answer.
 *
 * Phases: R reading the request, Q in line for a server, C connecting, H waiting for the response
 * head, D data.
 */
#ifndef TG_PROXY_END_H
#define TG_PROXY_END_H

#include "base/str.h"

/* clang-format off */
#define TG_END_ROWS(ROW) \
	ROW(OK,               "ok",                 0, "--", "") \
	ROW(ANSWERED,         "answered",           0, "LR", "") \
	ROW(BAD_REQUEST,      "bad_request",      400, "PR", "The request is malformed.") \
	ROW(URI_TOO_LONG,     "uri_too_long",     414, "PR", "The target of the request is too long.") \
	ROW(HEAD_TOO_LARGE,   "head_too_large",   431, "PR", "The head of the request is too large.") \
	ROW(VERSION,          "version",          505, "PR", "This version of HTTP is not supported.") \
	ROW(NOT_IMPLEMENTED,  "not_implemented",  501, "PR", "The method or transfer coding is not supported.") \
	ROW(BAD_BODY,         "bad_body",         400, "PD", "The body of the request is malformed.") \
	ROW(BODY_TOO_LARGE,   "body_too_large",   413, "PR", "The body of the request is too large.") \
	ROW(HEAD_TIMEOUT,     "head_timeout",     408, "cR", "The request did not arrive in time.") \
	ROW(BODY_TIMEOUT,     "body_timeout",     408, "cD", "The body of the request did not arrive in time.") \
	ROW(NO_REQUEST,       "no_request",         0, "cR", "") \
	ROW(CLIENT_GONE_HEAD, "client_gone_head",   0, "CR", "") \
	ROW(CLIENT_GONE_WAIT, "client_gone_wait",   0, "CC", "") \
	ROW(CLIENT_GONE,      "client_gone",        0, "CH", "") \
	ROW(CLIENT_GONE_DATA, "client_gone_data",   0, "CD", "") \
	ROW(CLIENT_TIMEOUT,   "client_timeout",     0, "cD", "") \
	ROW(SCRIPT_ERROR,     "script_error",     500, "IR", "A script of this site failed.") \
	ROW(MEMORY,           "memory",           503, "RC", "The server is out of memory.") \
	ROW(QUEUE_FULL,       "queue_full",       503, "SQ", "No server has room for another request.") \
	ROW(QUEUE_TIMEOUT,    "queue_timeout",    503, "sQ", "No server had room for the request in time.") \
	ROW(CLIENT_GONE_QUEUE,"client_gone_queue",  0, "CQ", "") \
	ROW(NO_SERVER,        "no_server",        503, "SC", "No server is available to answer.") \
	ROW(UNRESOLVED,       "unresolved",       503, "SC", "No server is available to answer.") \
	ROW(CONNECT_REFUSED,  "connect_refused",  503, "SC", "No server is available to answer.") \
	ROW(CONNECT_FAILED,   "connect_failed",   503, "SC", "No server is available to answer.") \
	ROW(CONNECT_TLS,      "connect_tls",      503, "SC", "No server is available to answer.") \
	ROW(CONNECT_TIMEOUT,  "connect_timeout",  503, "sC", "No server is available to answer.") \
	ROW(SERVER_CLOSED,    "server_closed",    502, "SH", "The server closed the connection without an answer.") \
	ROW(SERVER_DOWN,      "server_down",      502, "DH", "The server went down before it answered.") \
	ROW(SERVER_TIMEOUT,   "server_timeout",   504, "sH", "The server did not answer in time.") \
	ROW(BAD_RESPONSE,     "bad_response",     502, "PH", "The server sent a malformed answer.") \
	ROW(RESPONSE_CUT,     "response_cut",       0, "SD", "") \
	ROW(RESPONSE_TIMEOUT, "response_timeout",   0, "sD", "") \
	ROW(BAD_RESPONSE_BODY,"bad_response_body",  0, "PD", "") \
	ROW(RESPONSE_DOWN,    "response_down",      0, "DD", "") \
	ROW(REJECTED,         "rejected",           0, "PR", "") \
	ROW(PROXY_HEADER,     "proxy_header",       0, "PR", "") \
	ROW(TLS_HANDSHAKE,    "tls_handshake",      0, "PR", "") \
	ROW(TUNNEL_CLOSED,    "tunnel_closed",      0, "--", "") \
	ROW(TUNNEL_TIMEOUT,   "tunnel_timeout",     0, "sD", "") \
	ROW(SHUTDOWN,         "shutdown",         503, "KD", "The server is shutting down.")
/* clang-format on */

enum tg_end {
	TG_END_NONE, /* still alive */
#define TG_END_ID(id, name, status, code, text) TG_END_##id,
	TG_END_ROWS(TG_END_ID)
#undef TG_END_ID
	    TG_END_COUNT
};

struct tg_end_row {
	struct tg_str name;
	int status;
	struct tg_str code;
	struct tg_str text;
};

/* The row of an ending; that of TG_END_NONE is all empty. */
const struct tg_end_row *tg_end_row(enum tg_end end);

#endif
