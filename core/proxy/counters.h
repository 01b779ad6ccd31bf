/* What one worker has counted. Written by that worker alone (load and store, no atomic
 * read-modify-write), summed by whoever reads.
 */
#ifndef TG_PROXY_COUNTERS_H
#define TG_PROXY_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "proxy/end.h"

struct tg_counters {
	_Atomic uint64_t accepted;       /* client connections */
	_Atomic int64_t connections;     /* open now */
	_Atomic uint64_t requests;       /* begun: a first byte came */
	_Atomic int64_t active;          /* begun and not ended */
	_Atomic uint64_t tls_handshakes; /* with clients, completed; failed ones are endings */
	_Atomic uint64_t tls_resumed;    /* of these, those that resumed a session */
	_Atomic uint64_t hook_errors;    /* script errors, all hooks */
	_Atomic uint64_t pick_fallback;  /* picks that failed: the engine's round robin chose */
	_Atomic uint64_t ends[TG_END_COUNT];
};

#endif
