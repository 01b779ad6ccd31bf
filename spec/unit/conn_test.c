/* The contract of connections, over real sockets: bytes that were not taken are offered again, in
 * order; nobody is called after the close; a write is whole however small the socket's buffer.
 * The peer is a plain descriptor in the same thread, moved by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn.h"

enum { BIG = 4 * 1024 * 1024, SMALL_BUFFER = 4096, MANY_TURNS = 200000 };

/* What the consumer does with what it is offered, and all that it was told. */
static struct consumer {
	struct tg_conn conn;
	size_t most; /* bytes to take of one offer */
	bool pause_inside, resume_inside;
	bool close_on_data, close_on_end, close_on_drain, close_on_connect;

	char *got;
	size_t got_len;
	int offers, connects, ends, drains, write_failures, closes;
	int connect_status, end_status;
} consumer;

static struct tg_loop loop;
static int peer = -1;

static void
close_if(bool wanted)
{
	if (wanted) {
		tg_conn_close(&consumer.conn);
		tg_conn_close(&consumer.conn); /* safe twice */
	}
}

static void
on_connect(struct tg_conn *conn, int status)
{
	consumer.connects++;
	consumer.connect_status = status;
	close_if(consumer.close_on_connect);
}

static size_t
on_data(struct tg_conn *conn, char *data, size_t len)
{
	size_t take = len < consumer.most ? len : consumer.most;

	assert_int_equal(consumer.closes, 0);
	assert_false(conn->closing);
	assert_int_equal(consumer.ends, 0);
	assert_true(len > 0);
	consumer.offers++;
	memcpy(consumer.got + consumer.got_len, data, take);
	memset(data, '#', take); /* they are ours now: nobody may offer them again */
	consumer.got_len += take;
	if (consumer.pause_inside)
		tg_conn_pause(conn);
	if (consumer.resume_inside)
		tg_conn_resume(conn);
	close_if(consumer.close_on_data);
	return take;
}

static void
on_end(struct tg_conn *conn, int status)
{
	assert_false(conn->closing);
	consumer.ends++;
	consumer.end_status = status;
	close_if(consumer.close_on_end);
}

static void
on_drain(struct tg_conn *conn)
{
	assert_false(conn->closing);
	assert_true(tg_conn_drained(conn));
	consumer.drains++;
	close_if(consumer.close_on_drain);
}

static void
on_closed(struct tg_conn *conn)
{
	consumer.closes++;
}

static bool
on_write_failed(struct tg_conn *conn)
{
	assert_false(conn->closing);
	consumer.write_failures++;
	return true;
}

static const struct tg_conn_ops ops = {
	.on_connect = on_connect,
	.on_data = on_data,
	.on_end = on_end,
	.on_drain = on_drain,
	.on_closed = on_closed,
};

/* The same for one that wants to know of a failed write before the end. */
static const struct tg_conn_ops ops_of_the_curious = {
	.on_connect = on_connect,
	.on_data = on_data,
	.on_end = on_end,
	.on_drain = on_drain,
	.on_write_failed = on_write_failed,
	.on_closed = on_closed,
};

/* --- one turn at a time ------------------------------------------------------------------- */

static void
turn(void)
{
	uv_run(&loop.uv, UV_RUN_NOWAIT);
}

/* Turn until the condition holds. */
#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		int turns_ = 0;                                                                    \
		while (!(condition)) {                                                             \
			assert_true(turns_++ < MANY_TURNS);                                        \
			turn();                                                                    \
		}                                                                                  \
	} while (0)

/* Turn for a while, in which nothing may come. */
static void
nothing_more_comes(void)
{
	struct consumer before = consumer;

	for (int i = 0; i < 20; i++)
		turn();
	assert_int_equal(consumer.got_len, before.got_len);
	assert_int_equal(consumer.offers, before.offers);
	assert_int_equal(consumer.ends, before.ends);
	assert_int_equal(consumer.drains, before.drains);
	assert_int_equal(consumer.connects, before.connects);
}

/* Byte i of a stream whose pieces cannot be taken for each other. */
static char
pattern(size_t i)
{
	return (char)(i * 31 + (i >> 8) * 17 + (i >> 16));
}

static char *
new_bytes(size_t len)
{
	char *bytes = malloc(len);

	for (size_t i = 0; i < len; i++)
		bytes[i] = pattern(i);
	return bytes;
}

static void
assert_got_stream(size_t len)
{
	assert_int_equal(consumer.got_len, len);
	for (size_t i = 0; i < len; i++)
		if (consumer.got[i] != pattern(i))
			fail_msg("byte %zu is not the one that was sent", i);
}

/* As much as the kernel takes. */
static size_t
peer_send(const char *bytes, size_t len)
{
	ssize_t n = send(peer, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n > 0 ? (size_t)n : 0;
}

static void
peer_send_all(const char *bytes, size_t len)
{
	size_t sent = 0;

	UNTIL((sent += peer_send(bytes + sent, len - sent)) == len);
}

static void
peer_close(bool reset)
{
	struct linger none = { .l_onoff = 1, .l_linger = 0 };

	if (reset)
		setsockopt(peer, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(peer);
	peer = -1;
}

static int
setup(void **state)
{
	memset(&consumer, 0, sizeof(consumer));
	consumer.most = SIZE_MAX;
	consumer.got = malloc(BIG + 1024);
	return tg_loop_init(&loop);
}

static int
teardown(void **state)
{
	if (consumer.conn.magic != 0)
		tg_conn_close(&consumer.conn);
	if (peer >= 0)
		close(peer);
	peer = -1;
	tg_loop_run(&loop);
	tg_loop_fini(&loop); /* asserts that no handle is left */
	assert_int_equal(consumer.closes, 1);
	free(consumer.got);
	return 0;
}

/* A connection over a pair of UNIX sockets; it reads from now on. */
static void
open_pair(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	peer = pair[1];
	assert_int_equal(tg_conn_accept(&consumer.conn, &loop, &ops, pair[0], true), 0);
	tg_conn_resume(&consumer.conn);
}

/* A listening TCP socket of the peer's side. */
static int
listening(struct tg_addr *at, int backlog)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), size = SMALL_BUFFER;

	*at = (struct tg_addr){ .in = in, .len = sizeof(in) };
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	assert_int_equal(bind(fd, &at->sa, at->len), 0);
	assert_int_equal(getsockname(fd, &at->sa, &at->len), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

/* A TCP connection that we have opened; it reads from now on. */
static void
open_tcp(void)
{
	struct tg_addr at;
	int fd = listening(&at, 1);

	assert_int_equal(tg_conn_connect(&consumer.conn, &loop, &ops, &at), 0);
	assert_int_equal(consumer.connects, 0); /* never from within the call */
	UNTIL(consumer.connects > 0);
	assert_int_equal(consumer.connect_status, 0);
	peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
	assert_true(peer >= 0);
	close(fd);
	tg_conn_resume(&consumer.conn);
}

/* --- reading ------------------------------------------------------------------------------ */

static void
bytes_come_in_order(void **state)
{
	char *bytes = new_bytes(BIG);

	open_pair();
	peer_send_all(bytes, BIG);
	UNTIL(consumer.got_len == BIG);
	assert_got_stream(BIG);
	assert_int_equal(consumer.ends, 0);
	free(bytes);
}

static void
nothing_is_read_before_it_is_wanted(void **state)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	peer = pair[1];
	assert_int_equal(tg_conn_accept(&consumer.conn, &loop, &ops, pair[0], true), 0);
	assert_int_equal(peer_send("abc", 3), 3);
	nothing_more_comes();
	tg_conn_resume(&consumer.conn);
	UNTIL(consumer.got_len == 3);
}

static void
what_was_not_taken_is_offered_again(void **state)
{
	char *bytes = new_bytes(BIG);
	size_t sent = 0;

	open_pair();
	consumer.most = 1000;
	for (int turns = 0; consumer.got_len < BIG; turns++) {
		assert_true(turns < MANY_TURNS);
		sent += peer_send(bytes + sent, BIG - sent);
		turn();
		if (consumer.conn.paused) /* it left something: no more until resume */
			nothing_more_comes();
		tg_conn_resume(&consumer.conn);
		if (consumer.got_len > BIG / 64)
			consumer.most = 30000; /* crosses the blocks that keep the rest */
	}
	assert_got_stream(BIG);
	free(bytes);
}

static void
what_nobody_takes_stays_in_the_kernel(void **state)
{
	char *bytes = new_bytes(BIG);
	size_t sent = 0;

	open_pair();
	consumer.most = 0;
	for (int i = 0; i < 1000; i++) {
		sent += peer_send(bytes + sent, BIG - sent);
		turn();
	}
	assert_int_equal(consumer.offers, 1);
	assert_true(sent < BIG); /* the peer meets back-pressure */
	consumer.most = SIZE_MAX;
	tg_conn_resume(&consumer.conn);
	peer_send_all(bytes + sent, BIG - sent);
	UNTIL(consumer.got_len == BIG);
	assert_got_stream(BIG);
	free(bytes);
}

static void
a_resume_inside_on_data_offers_the_rest_at_once(void **state)
{
	open_pair();
	consumer.most = 2;
	consumer.resume_inside = true;
	assert_int_equal(peer_send("abcdefg", 7), 7);
	UNTIL(consumer.got_len == 7);
	assert_memory_equal(consumer.got, "abcdefg", 7);
	assert_int_equal(consumer.offers, 4);
	assert_int_equal(peer_send("hi", 2), 2); /* and it reads on */
	UNTIL(consumer.got_len == 9);
}

static void
a_pause_inside_on_data_stops_what_follows(void **state)
{
	open_pair();
	consumer.pause_inside = true;
	assert_int_equal(peer_send("abc", 3), 3);
	UNTIL(consumer.got_len == 3);
	assert_int_equal(peer_send("def", 3), 3);
	nothing_more_comes();
	consumer.pause_inside = false;
	tg_conn_resume(&consumer.conn);
	UNTIL(consumer.got_len == 6);
	assert_memory_equal(consumer.got, "abcdef", 6);
}

static void
a_pause_from_outside_holds_kept_bytes_too(void **state)
{
	open_pair();
	consumer.most = 1;
	assert_int_equal(peer_send("abc", 3), 3);
	UNTIL(consumer.got_len == 1);
	tg_conn_pause(&consumer.conn);
	nothing_more_comes();
	tg_conn_resume(&consumer.conn); /* offers at once, not in the next turn */
	assert_int_equal(consumer.got_len, 2);
	consumer.most = SIZE_MAX;
	tg_conn_resume(&consumer.conn);
	assert_int_equal(consumer.got_len, 3);
}

static void
the_end_waits_for_the_last_byte(void **state)
{
	open_pair();
	consumer.most = 1;
	assert_int_equal(peer_send("ab", 2), 2);
	peer_close(false);
	UNTIL(consumer.got_len == 1);
	nothing_more_comes();
	tg_conn_resume(&consumer.conn);
	UNTIL(consumer.ends == 1);
	assert_int_equal(consumer.got_len, 2);
	assert_int_equal(consumer.end_status, 0);
	tg_conn_resume(&consumer.conn);
	nothing_more_comes(); /* the end comes once */
}

static void
a_paused_connection_does_not_see_the_end(void **state)
{
	open_pair();
	tg_conn_pause(&consumer.conn);
	peer_close(false);
	nothing_more_comes();
	tg_conn_resume(&consumer.conn);
	UNTIL(consumer.ends == 1);
}

static void
a_reset_is_not_an_orderly_end(void **state)
{
	open_tcp();
	peer_close(true);
	UNTIL(consumer.ends == 1);
	assert_int_equal(consumer.end_status, UV_ECONNRESET);
}

static void
a_half_closed_peer_can_still_be_answered(void **state)
{
	struct tg_str answer = TG_STR("answer");
	char got[16];

	open_tcp();
	shutdown(peer, SHUT_WR);
	UNTIL(consumer.ends == 1);
	assert_int_equal(consumer.end_status, 0);
	assert_int_equal(tg_conn_write(&consumer.conn, &answer, 1), 0);
	UNTIL(recv(peer, got, sizeof(got), MSG_PEEK) == 6);
	tg_conn_shutdown(&consumer.conn);
	UNTIL(recv(peer, got, sizeof(got), 0) == 6);
	UNTIL(recv(peer, got, sizeof(got), 0) == 0);
}

static void
quiet_means_neither_bytes_nor_an_end(void **state)
{
	open_tcp();
	turn();
	tg_conn_pause(&consumer.conn);
	assert_true(tg_conn_quiet(&consumer.conn));
	assert_int_equal(peer_send("x", 1), 1);
	UNTIL(!tg_conn_quiet(&consumer.conn));
	tg_conn_resume(&consumer.conn);
	UNTIL(consumer.got_len == 1);
	tg_conn_pause(&consumer.conn);
	assert_true(tg_conn_quiet(&consumer.conn));
	peer_close(false);
	UNTIL(!tg_conn_quiet(&consumer.conn));
}

/* --- writing ------------------------------------------------------------------------------ */

/* Read what the peer was sent, and see that it is the stream from `*from` on. */
static void
peer_take(size_t *from, size_t most)
{
	char got[65536];
	ssize_t n = recv(peer, got, most < sizeof(got) ? most : sizeof(got), MSG_DONTWAIT);

	for (ssize_t i = 0; i < n; i++)
		if (got[i] != pattern(*from + (size_t)i))
			fail_msg("byte %zu is not the one that was written", *from + (size_t)i);
	if (n > 0)
		*from += (size_t)n;
}

/* What one turn of a relay writes at most; the queue holds so much. */
enum { PIECE = 60 * 1024 };

static void
a_write_larger_than_the_buffer_comes_whole_and_drains_once(void **state)
{
	char *bytes = new_bytes(PIECE);
	struct tg_str parts[3] = { { bytes, 10 }, { bytes + 10, 40000 - 10 },
		{ bytes + 40000, PIECE - 40000 } };
	int size = SMALL_BUFFER;
	size_t taken = 0;
	uv_os_fd_t fd;

	open_tcp();
	uv_fileno(&consumer.conn.uv.handle, &fd);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	assert_int_equal(tg_conn_write(&consumer.conn, parts, 3), 0);
	assert_false(tg_conn_drained(&consumer.conn));
	memset(bytes, '#', PIECE); /* the caller's memory need not live */
	nothing_more_comes();
	UNTIL((peer_take(&taken, SIZE_MAX), taken == PIECE));
	UNTIL(consumer.drains == 1);
	assert_true(tg_conn_drained(&consumer.conn));
	nothing_more_comes();
	free(bytes);
}

static void
a_stream_of_writes_stays_in_order(void **state)
{
	char *bytes = new_bytes(BIG);
	size_t written = 0, taken = 0;

	open_pair();
	for (int turns = 0; taken < BIG; turns++) {
		assert_true(turns < MANY_TURNS);
		if (tg_conn_drained(&consumer.conn) && written < BIG) {
			size_t n = BIG - written < PIECE ? BIG - written : PIECE;
			struct tg_str parts[2] = { { bytes + written, n / 3 },
				{ bytes + written + n / 3, n - n / 3 } };

			assert_int_equal(tg_conn_write(&consumer.conn, parts, 2), 0);
			written += n;
		}
		peer_take(&taken, 10000); /* slower than they are written */
		turn();
	}
	assert_true(consumer.drains > 0);
	free(bytes);
}

static void
what_follows_a_queued_write_is_queued_behind_it(void **state)
{
	char *bytes = new_bytes(3 * PIECE);
	size_t taken = 0;

	open_pair();
	for (size_t i = 0; i < 3; i++) {
		struct tg_str part = { bytes + i * PIECE, PIECE };

		assert_int_equal(tg_conn_write(&consumer.conn, &part, 1), 0);
	}
	UNTIL((peer_take(&taken, SIZE_MAX), taken == 3 * PIECE));
	UNTIL(tg_conn_drained(&consumer.conn));
	free(bytes);
}

static void
a_write_of_nothing_is_nothing(void **state)
{
	struct tg_str nothing[2] = { TG_STR(""), { NULL, 0 } };

	open_pair();
	assert_int_equal(tg_conn_write(&consumer.conn, nothing, 2), 0);
	assert_true(tg_conn_drained(&consumer.conn));
	nothing_more_comes();
}

static void
a_write_to_a_peer_that_is_gone_fails(void **state)
{
	struct tg_str part = TG_STR("x");

	open_pair();
	tg_conn_pause(&consumer.conn);
	peer_close(false);
	assert_true(tg_conn_write(&consumer.conn, &part, 1) < 0);
	assert_int_equal(consumer.ends, 0);
	tg_conn_resume(&consumer.conn); /* reading tells it */
	UNTIL(consumer.ends == 1);
}

static void
a_queued_write_that_fails_comes_as_the_end(void **state)
{
	char *bytes = new_bytes(PIECE);
	struct tg_str part = { bytes, PIECE };

	open_pair();
	tg_conn_pause(&consumer.conn);
	while (tg_conn_drained(&consumer.conn))
		assert_int_equal(tg_conn_write(&consumer.conn, &part, 1), 0);
	peer_close(false);
	UNTIL(consumer.ends == 1);
	assert_true(consumer.end_status < 0);
	assert_int_equal(consumer.drains, 0);
	nothing_more_comes();
	free(bytes);
}

static void
what_the_peer_had_sent_is_read_before_a_failed_write_is_told(void **state)
{
	char *bytes = new_bytes(PIECE);
	struct tg_str part = { bytes, PIECE };

	open_pair();
	while (tg_conn_drained(&consumer.conn))
		assert_int_equal(tg_conn_write(&consumer.conn, &part, 1), 0);
	assert_int_equal(peer_send("early answer", 12), 12);
	peer_close(false);
	UNTIL(consumer.ends == 1);
	assert_int_equal(consumer.got_len, 12);
	free(bytes);
}

static void
a_paused_reader_can_be_told_of_a_failed_write_and_still_read(void **state)
{
	char *bytes = new_bytes(PIECE);
	struct tg_str part = { bytes, PIECE };

	open_pair();
	consumer.conn.ops = &ops_of_the_curious;
	tg_conn_pause(&consumer.conn);
	while (tg_conn_drained(&consumer.conn))
		assert_int_equal(tg_conn_write(&consumer.conn, &part, 1), 0);
	assert_int_equal(peer_send("early answer", 12), 12);
	peer_close(false);
	UNTIL(consumer.write_failures == 1);
	assert_int_equal(consumer.ends, 0);
	tg_conn_resume(&consumer.conn);
	UNTIL(consumer.ends == 1);
	assert_int_equal(consumer.got_len, 12);
	assert_int_equal(consumer.write_failures, 1);
	free(bytes);
}

static void
a_write_may_have_any_size(void **state)
{
	char *bytes = new_bytes(BIG);
	struct tg_str parts[2] = { { bytes, BIG / 2 + 1 }, { bytes + BIG / 2 + 1, BIG / 2 - 1 } };
	size_t taken = 0;

	open_pair();
	assert_int_equal(tg_conn_write(&consumer.conn, parts, 2), 0);
	memset(bytes, '#', BIG);
	UNTIL((peer_take(&taken, SIZE_MAX), taken == BIG));
	UNTIL(consumer.drains == 1);
	nothing_more_comes();
	free(bytes);
}

/* --- closing ------------------------------------------------------------------------------ */

static void
after_a_close_inside_on_data_nothing_comes(void **state)
{
	open_pair();
	consumer.most = 1;
	consumer.resume_inside = true;
	consumer.close_on_data = true;
	assert_int_equal(peer_send("abc", 3), 3);
	UNTIL(consumer.offers == 1);
	UNTIL(consumer.closes == 1);
	nothing_more_comes();
}

static void
after_a_close_inside_on_end_nothing_comes(void **state)
{
	open_pair();
	consumer.close_on_end = true;
	peer_close(false);
	UNTIL(consumer.closes == 1);
	assert_int_equal(consumer.ends, 1);
}

static void
after_a_close_inside_on_drain_nothing_comes(void **state)
{
	char *bytes = new_bytes(PIECE);
	struct tg_str part = { bytes, PIECE };
	size_t taken = 0;

	open_pair();
	consumer.close_on_drain = true;
	tg_conn_pause(&consumer.conn);
	while (tg_conn_drained(&consumer.conn))
		assert_int_equal(tg_conn_write(&consumer.conn, &part, 1), 0);
	for (int i = 0; consumer.closes == 0; i++) {
		char sink[65536];

		assert_true(i < MANY_TURNS);
		if (recv(peer, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			taken++;
		turn();
	}
	assert_true(taken > 0);
	assert_int_equal(consumer.drains, 1);
	free(bytes);
}

static void
after_a_close_inside_on_connect_nothing_comes(void **state)
{
	struct tg_addr at;
	int fd = listening(&at, 1);

	consumer.close_on_connect = true;
	assert_int_equal(tg_conn_connect(&consumer.conn, &loop, &ops, &at), 0);
	UNTIL(consumer.closes == 1);
	assert_int_equal(consumer.connects, 1);
	close(fd);
}

static void
a_close_while_connecting_is_silent(void **state)
{
	struct tg_addr at;
	int fd = listening(&at, 1);

	assert_int_equal(tg_conn_connect(&consumer.conn, &loop, &ops, &at), 0);
	tg_conn_close(&consumer.conn);
	assert_int_equal(consumer.closes, 0); /* never from within the call */
	UNTIL(consumer.closes == 1);
	assert_int_equal(consumer.connects, 0);
	close(fd);
}

static void
a_refused_connection_is_told_and_then_closed(void **state)
{
	struct tg_addr at;

	close(listening(&at, 1));
	assert_int_equal(tg_conn_connect(&consumer.conn, &loop, &ops, &at), 0);
	UNTIL(consumer.connects == 1);
	assert_int_equal(consumer.connect_status, UV_ECONNREFUSED);
}

static void
a_path_that_is_not_there_is_told_by_the_callback(void **state)
{
	struct tg_addr at = { .un = { .sun_family = AF_UNIX, .sun_path = "/nowhere/at/all" },
		.len = sizeof(at.un) };

	assert_int_equal(tg_conn_connect(&consumer.conn, &loop, &ops, &at), 0);
	assert_int_equal(consumer.connects, 0);
	UNTIL(consumer.connects == 1);
	assert_int_equal(consumer.connect_status, UV_ENOENT);
}

static void
a_close_drops_what_is_queued_and_kept(void **state)
{
	char *bytes = new_bytes(PIECE);
	struct tg_str part = { bytes, PIECE };

	open_pair();
	consumer.most = 1;
	peer_send_all(bytes, PIECE);
	UNTIL(consumer.got_len == 1);
	while (tg_conn_drained(&consumer.conn))
		assert_int_equal(tg_conn_write(&consumer.conn, &part, 1), 0);
	tg_conn_close(&consumer.conn);
	assert_true(tg_conn_write(&consumer.conn, &part, 1) < 0);
	tg_conn_resume(&consumer.conn);
	UNTIL(consumer.closes == 1);
	assert_int_equal(consumer.got_len, 1);
	assert_int_equal(consumer.drains, 0);
	free(bytes);
}

static void
a_reset_is_seen_as_one(void **state)
{
	char byte;

	open_tcp();
	tg_conn_reset(&consumer.conn);
	UNTIL(consumer.closes == 1);
	UNTIL(recv(peer, &byte, 1, 0) < 0 && errno != EAGAIN);
	assert_int_equal(errno, ECONNRESET);
}

static void
a_close_is_seen_as_an_orderly_end(void **state)
{
	char byte;
	ssize_t n;

	open_tcp();
	tg_conn_close(&consumer.conn);
	UNTIL(consumer.closes == 1);
	UNTIL((n = recv(peer, &byte, 1, 0)) >= 0);
	assert_int_equal(n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_come_in_order),
		TEST(nothing_is_read_before_it_is_wanted),
		TEST(what_was_not_taken_is_offered_again),
		TEST(what_nobody_takes_stays_in_the_kernel),
		TEST(a_resume_inside_on_data_offers_the_rest_at_once),
		TEST(a_pause_inside_on_data_stops_what_follows),
		TEST(a_pause_from_outside_holds_kept_bytes_too),
		TEST(the_end_waits_for_the_last_byte),
		TEST(a_paused_connection_does_not_see_the_end),
		TEST(a_reset_is_not_an_orderly_end),
		TEST(a_half_closed_peer_can_still_be_answered),
		TEST(quiet_means_neither_bytes_nor_an_end),
		TEST(a_write_larger_than_the_buffer_comes_whole_and_drains_once),
		TEST(a_stream_of_writes_stays_in_order),
		TEST(what_follows_a_queued_write_is_queued_behind_it),
		TEST(a_write_of_nothing_is_nothing),
		TEST(a_write_to_a_peer_that_is_gone_fails),
		TEST(a_queued_write_that_fails_comes_as_the_end),
		TEST(what_the_peer_had_sent_is_read_before_a_failed_write_is_told),
		TEST(a_paused_reader_can_be_told_of_a_failed_write_and_still_read),
		TEST(a_write_may_have_any_size),
		TEST(after_a_close_inside_on_data_nothing_comes),
		TEST(after_a_close_inside_on_end_nothing_comes),
		TEST(after_a_close_inside_on_drain_nothing_comes),
		TEST(after_a_close_inside_on_connect_nothing_comes),
		TEST(a_close_while_connecting_is_silent),
		TEST(a_refused_connection_is_told_and_then_closed),
		TEST(a_path_that_is_not_there_is_told_by_the_callback),
		TEST(a_close_drops_what_is_queued_and_kept),
		TEST(a_reset_is_seen_as_one),
		TEST(a_close_is_seen_as_an_orderly_end),
	};

	signal(SIGPIPE, SIG_IGN); /* as the program does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
