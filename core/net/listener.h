/* A listening socket of one thread. With SO_REUSEPORT every worker has its own on the same
 * address and the kernel spreads the connections; a UNIX socket's descriptor is shared.
 *
 * Binding is apart from listening: the control thread binds (it has the rights, and learns of
 * errors), the worker that will accept opens the descriptor on its loop.
 */
#ifndef TG_NET_LISTENER_H
#define TG_NET_LISTENER_H

#include <stdbool.h>
#include <uv.h>

#include "base/assert.h"
#include "net/addr.h"
#include "net/loop.h"

struct tg_listener {
	uint32_t magic;
	int fd;
	bool closing;
	bool starved; /* descriptors are out: said once */
	bool full;    /* accepting pauses until tg_listener_resume: `admit` said no */
	struct tg_loop *loop;
	struct tg_timer retry; /* runs while accepting pauses: descriptors are out */
	/* Asked before each accept, NULL: there is no limit. With `must` it cannot say no: the
	 * listener closes, and who is in its queue would be reset. `dismiss` takes it back: nobody
	 * came. */
	bool (*admit)(struct tg_listener *listener, bool must);
	void (*dismiss)(struct tg_listener *listener);
	/* A connection was accepted; the callee owns `fd` (non-blocking). `peer` is the client's
	 * address, valid during the call. */
	void (*on_connection)(struct tg_listener *listener, int fd, const struct tg_addr *peer);
	void (*on_closed)(struct tg_listener *listener); /* the last call; frees */
	uv_poll_t poll;
};

/* A bound, listening, non-blocking descriptor; negative (libuv code) when it can't be had.
 * `at` gets the address that was bound (port 0 is replaced). */
TG_MUST_USE int tg_listener_bind(const struct tg_addr *addr, struct tg_addr *at);

/* Accept on a descriptor from tg_listener_bind, which the listener owns from now on. On a
 * failure (negative) nothing was opened and the descriptor is still the caller's. */
TG_MUST_USE int tg_listener_open(struct tg_listener *listener, struct tg_loop *loop, int fd,
    void (*on_connection)(struct tg_listener *, int, const struct tg_addr *),
    void (*on_closed)(struct tg_listener *));

/* There may be room again: ask `admit` once more. Harmless when accepting does not pause for it. */
void tg_listener_resume(struct tg_listener *listener);

/* Stop accepting; safe twice. What the kernel has accepted is taken first (on_connection is
 * called), so that a reload that removes an address resets nobody. */
void tg_listener_close(struct tg_listener *listener);

#endif
