/* Does a peer take what is written to it? One that takes nearly nothing for the whole of its timeout is
 * cut; one that is slow and moves is not. Looked at several times within the timeout: the kernel does
 * not tell when bytes were acknowledged, only how many still are not.
 */
#ifndef TG_PROXY_PACE_H
#define TG_PROXY_PACE_H

#include "net/conn.h"

enum {
	/* So many bytes of a body count as progress: fewer within the timeout is a slow attack. */
	TG_PROGRESS_BYTES = 1024,
	TG_PACE_LOOKS = 8,
};

struct tg_pace {
	uint64_t untaken;  /* bytes, when it last moved */
	uint64_t moved_at; /* ms of the loop's clock */
};

/* The time until the first look, and between two; 0, like a timeout of 0: never. */
static inline int64_t
tg_pace_look_ms(int64_t timeout_ms)
{
	return (timeout_ms + TG_PACE_LOOKS - 1) / TG_PACE_LOOKS;
}

static inline void
tg_pace_begin(struct tg_pace *pace, const struct tg_conn *conn)
{
	pace->untaken = tg_conn_untaken(conn);
	pace->moved_at = tg_loop_now(conn->loop);
}

/* Look. Has it not moved for the whole timeout? */
static inline bool
tg_pace_stalled(struct tg_pace *pace, const struct tg_conn *conn, int64_t timeout_ms)
{
	uint64_t untaken = tg_conn_untaken(conn), now = tg_loop_now(conn->loop);

	if (untaken + TG_PROGRESS_BYTES > pace->untaken)
		return now - pace->moved_at >= (uint64_t)timeout_ms;
	pace->untaken = untaken;
	pace->moved_at = now;
	return false;
}

#endif
