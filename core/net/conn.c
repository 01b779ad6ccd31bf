#include "net/conn.h"

#include <stdlib.h>

#include "net/carrier.h"
#include "net/socket.h"

enum { CONN_MAGIC = 0xc0227ec7 };

/* Bytes the consumer did not take: a large block each. */
struct tg_conn_block {
	struct tg_conn_block *next;
	uint32_t start, end; /* offsets in data */
	char data[];
};

enum { BLOCK_ROOM = TG_LARGE_BLOCK - sizeof(struct tg_conn_block) };

/* --- reading ------------------------------------------------------------------------------ */

static void
drop_kept(struct tg_conn *conn)
{
	struct tg_conn_block *block;

	while ((block = conn->kept) != NULL) {
		conn->kept = block->next;
		tg_blocks_put(&conn->loop->large, block);
	}
}

bool
tg_conn_take_kept(struct tg_conn *conn, char **data, size_t *len)
{
	size_t total = 0;
	char *at;

	*data = NULL;
	*len = 0;
	for (struct tg_conn_block *block = conn->kept; block != NULL; block = block->next)
		total += block->end - block->start;
	if (total == 0)
		return true;
	*data = at = malloc(total);
	if (at == NULL)
		return false;
	for (struct tg_conn_block *block = conn->kept; block != NULL; block = block->next) {
		memcpy(at, block->data + block->start, block->end - block->start);
		at += block->end - block->start;
	}
	*len = total;
	drop_kept(conn);
	return true;
}

/* Keep a copy of what the consumer did not take. false: out of memory. */
static bool
keep(struct tg_conn *conn, const char *data, size_t len)
{
	struct tg_conn_block **tail = &conn->kept;

	while (*tail != NULL)
		tail = &(*tail)->next;
	while (len > 0) {
		struct tg_conn_block *block = tg_blocks_get(&conn->loop->large);
		size_t n = len < BLOCK_ROOM ? len : BLOCK_ROOM;

		if (block == NULL)
			return false;
		block->next = NULL;
		block->start = 0;
		block->end = (uint32_t)n;
		memcpy(block->data, data, n);
		*tail = block;
		tail = &block->next;
		data += n;
		len -= n;
	}
	return true;
}

/* Let the consumer take what it wants. It wants no more for now if it left something, unless it
 * has called resume since it began. */
static size_t
deliver(struct tg_conn *conn, char *data, size_t len)
{
	size_t used;

	conn->delivering = true;
	conn->resumed = false;
	used = conn->ops->on_data(conn, data, len);
	conn->delivering = false;
	if (conn->closing)
		return used;
	if (used > 0 && conn->carrier->taken != NULL)
		conn->carrier->taken(conn, used);
	if (used < len && !conn->resumed)
		conn->paused = true;
	return used;
}

/* Offer the kept bytes until the consumer has enough. */
static void
offer_kept(struct tg_conn *conn)
{
	struct tg_conn_block *block;

	while (!conn->closing && !conn->paused && (block = conn->kept) != NULL) {
		size_t len = block->end - block->start;
		size_t used = deliver(conn, block->data + block->start, len);

		if (conn->closing)
			return;
		block->start += (uint32_t)used;
		if (used < len)
			continue;
		conn->kept = block->next;
		tg_blocks_put(&conn->loop->large, block);
	}
}

void
tg_conn_end(struct tg_conn *conn, int status)
{
	if (conn->ended || conn->closing)
		return;
	conn->ended = true;
	conn->broken = status < 0;
	conn->paused = true;
	conn->carrier->read(conn, false);
	conn->ops->on_end(conn, status);
}

void
tg_conn_offer(struct tg_conn *conn, char *data, size_t len)
{
	const struct tg_carrier *carrier = conn->carrier;
	size_t used;

	TG_CHECK(conn, CONN_MAGIC);
	used = conn->kept == NULL && !conn->paused ? deliver(conn, data, len) : 0;
	if (conn->closing)
		return;
	if (conn->carrier != carrier) { /* what follows is another's */
		conn->carrier->received(conn, data + used, len - used);
		return;
	}
	if (used < len) {
		if (!keep(conn, data + used, len - used)) {
			tg_conn_end(conn, UV_ENOMEM);
			return;
		}
		offer_kept(conn);
	}
	if (conn->paused && !conn->closing)
		conn->carrier->read(conn, false);
}

void
tg_conn_resume(struct tg_conn *conn)
{
	TG_CHECK(conn, CONN_MAGIC);
	if (conn->closing || conn->ended)
		return;
	conn->paused = false;
	conn->resumed = true;
	if (conn->delivering)
		return; /* the delivering frame goes on */
	offer_kept(conn);
	if (!conn->paused && !conn->closing && !conn->ended && conn->kept == NULL)
		conn->carrier->read(conn, true);
}

void
tg_conn_pause(struct tg_conn *conn)
{
	TG_CHECK(conn, CONN_MAGIC);
	conn->paused = true;
	if (!conn->delivering && !conn->closing)
		conn->carrier->read(conn, false);
}

bool
tg_conn_quiet(const struct tg_conn *conn)
{
	return !conn->closing && !conn->ended && conn->kept == NULL && conn->carrier->quiet(conn);
}

bool
tg_conn_gone(const struct tg_conn *conn)
{
	return conn->closing || conn->carrier->gone(conn);
}

/* --- writing ------------------------------------------------------------------------------ */

/* Nobody reads, so nobody else will find out. A peer that had only ended its side is gone now. */
void
tg_conn_write_failed(struct tg_conn *conn, int status)
{
	if (conn->ops->on_write_failed != NULL && conn->ops->on_write_failed(conn))
		return;
	if (!conn->ended) {
		tg_conn_end(conn, status);
	} else if (!conn->broken) {
		conn->broken = true;
		conn->ops->on_end(conn, status);
	}
}

int
tg_conn_write(struct tg_conn *conn, const struct tg_str *parts, unsigned count)
{
	TG_CHECK(conn, CONN_MAGIC);
	if (conn->closing)
		return UV_ECANCELED;
	return conn->carrier->write(conn, parts, count);
}

uint64_t
tg_conn_untaken(const struct tg_conn *conn)
{
	return conn->carrier->untaken(conn);
}

void
tg_conn_shutdown(struct tg_conn *conn)
{
	tg_assert(conn->queued == 0);
	if (!conn->closing && !conn->shut)
		conn->carrier->shutdown(conn);
	conn->shut = true;
}

/* --- open and close ----------------------------------------------------------------------- */

void
tg_conn_init(struct tg_conn *conn, struct tg_loop *loop, const struct tg_conn_ops *ops,
    const struct tg_carrier *carrier)
{
	memset(conn, 0, sizeof(*conn));
	conn->magic = CONN_MAGIC;
	conn->loop = loop;
	conn->ops = ops;
	conn->carrier = carrier;
	conn->paused = true;
}

void
tg_conn_closed(struct tg_conn *conn)
{
	TG_CHECK(conn, CONN_MAGIC);
	drop_kept(conn); /* not earlier: on_data may stand below the one who closes */
	conn->magic = 0;
	conn->ops->on_closed(conn);
}

static void
close_conn(struct tg_conn *conn, bool reset)
{
	TG_CHECK(conn, CONN_MAGIC);
	if (conn->closing)
		return;
	conn->closing = true;
	conn->carrier->close(conn, reset);
}

void
tg_conn_close(struct tg_conn *conn)
{
	close_conn(conn, false);
}

void
tg_conn_reset(struct tg_conn *conn)
{
	close_conn(conn, true);
}
