/* Connections of TLS: what conn_test.c says of plain ones holds, and the handshake, the notice of an end
 * and its absence are what they should be. The peer is OpenSSL's own client on a descriptor in the same
 * thread, moved by hand. */
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

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "net/tls.h"

enum { BIG = 2 * 1024 * 1024, SMALL_BUFFER = 4096, MANY_TURNS = 400000, GREETING = 5 };

static struct consumer {
	struct tg_conn conn;
	SSL *ssl;    /* to be started when the greeting has come */
	size_t most; /* bytes to take of one offer */
	bool sleepy; /* it does not read until it is told to */
	bool pause_inside;
	bool close_on_connect, close_on_data, close_on_end, close_on_certificate;
	bool certify_later;

	char *got;
	size_t got_len;
	int connects, ends, drains, closes, asked;
	int connect_status, end_status;
	char name[64];
} consumer;

static struct tg_loop loop;
static SSL_CTX *server_ctx, *client_ctx;
static EVP_PKEY *key;
static X509 *cert;
static SSL *peer;
static int peer_fd = -1;

static void
close_if(bool wanted)
{
	if (wanted)
		tg_conn_close(&consumer.conn);
}

static void
on_connect(struct tg_conn *conn, int status)
{
	assert_false(conn->closing);
	consumer.connects++;
	consumer.connect_status = status;
	close_if(consumer.close_on_connect);
	if (!conn->closing && status == 0 && !consumer.sleepy)
		tg_conn_resume(conn);
}

static size_t
on_data(struct tg_conn *conn, char *data, size_t len)
{
	size_t take = len < consumer.most ? len : consumer.most;

	assert_false(conn->closing);
	assert_int_equal(consumer.ends, 0);
	if (consumer.ssl != NULL) {
		SSL *ssl = consumer.ssl;

		consumer.ssl = NULL;
		assert_int_equal(tg_tls_start(conn, ssl), 0);
		return GREETING;
	}
	assert_int_equal(consumer.connects, 1);
	memcpy(consumer.got + consumer.got_len, data, take);
	memset(data, '#', take);
	consumer.got_len += take;
	if (consumer.pause_inside)
		tg_conn_pause(conn);
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
	assert_true(tg_conn_drained(conn));
	consumer.drains++;
}

static void
on_certificate(struct tg_conn *conn, const char *name)
{
	consumer.asked++;
	snprintf(consumer.name, sizeof(consumer.name), "%s", name != NULL ? name : "(none)");
	close_if(consumer.close_on_certificate);
	if (!conn->closing && !consumer.certify_later)
		tg_tls_certified(conn, NULL);
}

static void
on_closed(struct tg_conn *conn)
{
	(void)conn;
	consumer.closes++;
}

static const struct tg_conn_ops ops = {
	.on_connect = on_connect,
	.on_data = on_data,
	.on_end = on_end,
	.on_drain = on_drain,
	.on_certificate = on_certificate,
	.on_closed = on_closed,
};

/* --- the world ---------------------------------------------------------------------------- */

static void
turn(void)
{
	uv_run(&loop.uv, UV_RUN_NOWAIT);
}

#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		int turns = 0;                                                                     \
		while (!(condition)) {                                                             \
			turn();                                                                    \
			assert_true(turns++ < MANY_TURNS);                                         \
		}                                                                                  \
	} while (0)

static void
make_certificate(void)
{
	X509_NAME *name;

	key = EVP_EC_gen("P-256");
	cert = X509_new();
	assert_non_null(key);
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	name = X509_get_subject_name(cert);
	X509_NAME_add_entry_by_txt(
	    name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
}

static int
ask_certificate(SSL *ssl, void *arg)
{
	(void)arg;
	return (int)tg_tls_ask_certificate(ssl, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
}

static int
start_world(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	make_certificate();
	server_ctx = SSL_CTX_new(TLS_server_method());
	client_ctx = SSL_CTX_new(TLS_client_method());
	assert_int_equal(SSL_CTX_use_certificate(server_ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(server_ctx, key), 1);
	SSL_CTX_set_mode(
	    client_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return 0;
}

static int
end_world(void **state)
{
	(void)state;
	SSL_CTX_free(server_ctx);
	SSL_CTX_free(client_ctx);
	X509_free(cert);
	EVP_PKEY_free(key);
	return 0;
}

/* A pair of sockets: the consumer's connection on one, OpenSSL's client on the other. */
static int
set_up(void **state)
{
	int pair[2];

	(void)state;
	memset(&consumer, 0, sizeof(consumer));
	consumer.most = SIZE_MAX;
	consumer.got = calloc(1, BIG + 1);
	assert_int_equal(tg_loop_init(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	for (int i = 0; i < 2; i++) {
		int size = SMALL_BUFFER;

		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	peer_fd = pair[1];
	peer = SSL_new(client_ctx);
	SSL_set_fd(peer, peer_fd);
	SSL_set_connect_state(peer);
	assert_int_equal(tg_conn_accept(&consumer.conn, &loop, &ops, pair[0], true), 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	if (consumer.closes == 0)
		tg_conn_close(&consumer.conn);
	UNTIL(consumer.closes == 1);
	SSL_free(peer);
	if (peer_fd >= 0)
		close(peer_fd);
	SSL_free(consumer.ssl);
	free(consumer.got);
	tg_loop_fini(&loop);
	SSL_CTX_set_cert_cb(server_ctx, NULL, NULL);
	ERR_clear_error();
	return 0;
}

static SSL *
server_ssl(void)
{
	SSL *ssl = SSL_new(server_ctx);

	SSL_set_accept_state(ssl);
	return ssl;
}

static void
start_tls(void)
{
	assert_int_equal(tg_tls_start(&consumer.conn, server_ssl()), 0);
}

static bool
peer_shakes(void)
{
	ERR_clear_error();
	return SSL_do_handshake(peer) == 1;
}

static void
shake_hands(void)
{
	start_tls();
	UNTIL(peer_shakes() && consumer.connects == 1);
	assert_int_equal(consumer.connect_status, 0);
}

static void
peer_writes(const char *text)
{
	assert_int_equal(SSL_write(peer, text, (int)strlen(text)), (int)strlen(text));
}

/* What SSL_read comes to in the end: bytes, or the error. */
static int
peer_reads(char *to, int room, int *error)
{
	int len = -1, turns = 0;

	do {
		turn();
		ERR_clear_error();
		len = SSL_read(peer, to, room);
		*error = SSL_get_error(peer, len);
		assert_true(turns++ < MANY_TURNS);
	} while (len <= 0 && *error == SSL_ERROR_WANT_READ);
	return len;
}

/* --- tests -------------------------------------------------------------------------------- */

static void
bytes_go_both_ways(void **state)
{
	struct tg_str parts[3] = { TG_STR("one "), TG_STR(""), TG_STR("two") };
	char text[32];
	int error;

	(void)state;
	shake_hands();
	assert_true(tg_conn_secure(&consumer.conn));
	peer_writes("hello");
	UNTIL(consumer.got_len == 5);
	assert_memory_equal(consumer.got, "hello", 5);
	assert_int_equal(tg_conn_write(&consumer.conn, parts, 3), 0);
	assert_int_equal(peer_reads(text, sizeof(text), &error), 7); /* in one record */
	assert_memory_equal(text, "one two", 7);
}

static void
what_comes_with_the_end_of_the_handshake_is_not_lost(void **state)
{
	(void)state;
	consumer.sleepy = true;
	start_tls();
	UNTIL(peer_shakes()); /* its last flight is out, and may be on its way with this: */
	peer_writes("early");
	UNTIL(consumer.connects == 1);
	turn();
	assert_int_equal(consumer.got_len, 0);
	tg_conn_resume(&consumer.conn);
	UNTIL(consumer.got_len == 5);
	assert_memory_equal(consumer.got, "early", 5);
}

/* A handshake of single bytes, each in a packet of its own. */
static void
the_handshake_may_come_in_any_pieces(void **state)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	char byte, block[4096];

	(void)state;
	SSL_set_bio(peer, in, out);
	start_tls();
	for (int turns = 0; !peer_shakes() || consumer.connects == 0; turns++) {
		ssize_t len;

		assert_true(turns < MANY_TURNS);
		if (BIO_read(out, &byte, 1) == 1)
			assert_int_equal(write(peer_fd, &byte, 1), 1);
		turn();
		len = read(peer_fd, block, sizeof(block));
		if (len > 0)
			BIO_write(in, block, (int)len);
	}
	assert_int_equal(consumer.connect_status, 0);
}

static void
a_long_write_is_whole_and_in_order(void **state)
{
	char *sent = malloc(BIG), *got = malloc(BIG);
	struct tg_str parts[2] = { { sent, 100 }, { sent + 100, BIG - 100 } };
	int total = 0, error = 0;

	(void)state;
	shake_hands();
	for (int i = 0; i < BIG; i++)
		sent[i] = (char)(i * 7 + i / 251);
	assert_int_equal(tg_conn_write(&consumer.conn, parts, 2), 0);
	assert_false(tg_conn_drained(&consumer.conn));
	while (total < BIG) {
		int len = peer_reads(got + total, BIG - total, &error);

		assert_true(len > 0);
		total += len;
	}
	assert_memory_equal(sent, got, BIG);
	UNTIL(consumer.drains == 1);
	free(sent);
	free(got);
}

/* The consumer takes little at a time: nothing is lost or offered twice, and what waits is bounded. */
static void
a_slow_consumer_gets_all_in_order(void **state)
{
	char *sent = malloc(BIG);
	size_t out = 0;
	int turns = 0;

	(void)state;
	for (int i = 0; i < BIG; i++)
		sent[i] = (char)(i * 11 + i / 253);
	consumer.most = 1000;
	shake_hands();
	while (consumer.got_len < BIG) {
		size_t before = consumer.got_len;
		int len;

		assert_true(turns++ < MANY_TURNS);
		ERR_clear_error();
		len = out < BIG ? SSL_write(peer, sent + out, (int)(BIG - out)) : 0;
		out += len > 0 ? (size_t)len : 0;
		turn();
		if (consumer.got_len == before)
			tg_conn_resume(&consumer.conn);
	}
	assert_memory_equal(consumer.got, sent, BIG);
	free(sent);
}

static void
the_end_comes_behind_what_was_kept(void **state)
{
	(void)state;
	consumer.most = 2;
	consumer.pause_inside = true;
	shake_hands();
	peer_writes("abcdef");
	SSL_shutdown(peer);
	UNTIL(consumer.got_len == 2);
	for (size_t len = 4; len <= 6; len += 2) {
		turn();
		assert_int_equal(consumer.ends, 0);
		assert_false(tg_conn_quiet(&consumer.conn));
		tg_conn_resume(&consumer.conn);
		assert_int_equal(consumer.got_len, len);
	}
	turn();
	assert_int_equal(consumer.ends, 0); /* it has paused again */
	tg_conn_resume(&consumer.conn);
	assert_int_equal(consumer.ends, 0); /* never from within */
	UNTIL(consumer.ends == 1);
	assert_int_equal(consumer.end_status, 0);
	assert_memory_equal(consumer.got, "abcdef", 6);
}

/* RFC 8446 §6.1: it may have been cut by anybody. */
static void
an_end_without_notice_is_a_broken_connection(void **state)
{
	(void)state;
	shake_hands();
	peer_writes("half");
	shutdown(peer_fd, SHUT_WR);
	UNTIL(consumer.ends == 1);
	assert_int_equal(consumer.got_len, 4);
	assert_true(consumer.end_status < 0);
}

static void
our_end_is_noticed_and_the_peer_may_still_send(void **state)
{
	char byte;
	int error;

	(void)state;
	shake_hands();
	tg_conn_shutdown(&consumer.conn);
	assert_int_equal(peer_reads(&byte, 1, &error), 0);
	assert_int_equal(error, SSL_ERROR_ZERO_RETURN);
	assert_int_equal(read(peer_fd, &byte, 1), 0); /* and the socket's end is behind it */
	peer_writes("still");
	UNTIL(consumer.got_len == 5);
}

static void
a_close_is_noticed(void **state)
{
	char byte;
	int error;

	(void)state;
	shake_hands();
	tg_conn_close(&consumer.conn);
	assert_int_equal(peer_reads(&byte, 1, &error), 0);
	assert_int_equal(error, SSL_ERROR_ZERO_RETURN);
}

static void
a_reset_is_not_an_orderly_end(void **state)
{
	char byte;
	int error;

	(void)state;
	shake_hands();
	tg_conn_reset(&consumer.conn);
	assert_true(peer_reads(&byte, 1, &error) <= 0);
	assert_int_not_equal(error, SSL_ERROR_ZERO_RETURN);
}

static void
what_is_lost_in_a_close_is_not_followed_by_a_notice(void **state)
{
	char *sent = calloc(1, BIG), *got = malloc(BIG);
	struct tg_str part = { sent, BIG };
	int error = SSL_ERROR_NONE;

	(void)state;
	shake_hands();
	assert_int_equal(tg_conn_write(&consumer.conn, &part, 1), 0);
	tg_conn_close(&consumer.conn);
	while (error == SSL_ERROR_NONE)
		peer_reads(got, BIG, &error);
	assert_int_not_equal(error, SSL_ERROR_ZERO_RETURN);
	free(sent);
	free(got);
}

static void
what_is_no_tls_fails_with_a_reason(void **state)
{
	(void)state;
	start_tls();
	assert_int_equal(write(peer_fd, "\x16\x03\x01\x00\x05garbage", 12), 12);
	UNTIL(consumer.connects == 1);
	assert_true(consumer.connect_status < 0);
	assert_true(strlen(tg_tls_failure(&consumer.conn)) > 0);
	assert_false(tg_tls_heard_http(&consumer.conn));
}

static void
http_is_told_from_other_bytes(void **state)
{
	char text[8];

	(void)state;
	start_tls();
	assert_int_equal(write(peer_fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
	UNTIL(consumer.connects == 1);
	assert_true(consumer.connect_status < 0);
	assert_true(tg_tls_heard_http(&consumer.conn));
	tg_tls_say(&consumer.conn, TG_STR("plain"));
	assert_int_equal(read(peer_fd, text, sizeof(text)), 5);
	assert_memory_equal(text, "plain", 5);
}

static void
a_peer_that_goes_away_in_the_handshake_is_a_failure(void **state)
{
	(void)state;
	start_tls();
	assert_false(peer_shakes()); /* its hello is out */
	shutdown(peer_fd, SHUT_WR);
	UNTIL(consumer.connects == 1);
	assert_true(consumer.connect_status < 0);
	assert_int_equal(consumer.ends, 0);
}

/* As behind the header of a proxy: what came with that in one read is the handshake's. */
static void
it_may_begin_in_the_middle_of_what_was_read(void **state)
{
	BIO *out = BIO_new(BIO_s_mem());
	char block[4096] = "plain";
	int len;

	(void)state;
	SSL_set0_wbio(peer, out);
	assert_false(peer_shakes());
	len = BIO_read(out, block + GREETING, (int)sizeof(block) - GREETING);
	SSL_set_fd(peer, peer_fd);
	consumer.ssl = server_ssl();
	assert_int_equal(write(peer_fd, block, (size_t)len + GREETING), len + GREETING);
	tg_conn_resume(&consumer.conn);
	UNTIL(peer_shakes() && consumer.connects == 1);
	assert_int_equal(consumer.connect_status, 0);
	peer_writes("x");
	UNTIL(consumer.got_len == 1);
}

static void
it_may_begin_behind_bytes_that_were_kept(void **state)
{
	(void)state;
	consumer.most = 0;
	consumer.connects = 1; /* plain on_data expects that */
	assert_false(peer_shakes());
	tg_conn_resume(&consumer.conn);
	UNTIL(consumer.conn.kept != NULL);
	consumer.connects = 0;
	consumer.most = SIZE_MAX;
	shake_hands();
}

static void
the_handshake_may_wait_for_a_certificate(void **state)
{
	(void)state;
	SSL_CTX_set_cert_cb(server_ctx, ask_certificate, NULL);
	SSL_set_tlsext_host_name(peer, "shop.example");
	consumer.certify_later = true;
	start_tls();
	UNTIL(!peer_shakes() && consumer.asked == 1);
	assert_string_equal(consumer.name, "shop.example");
	turn();
	assert_int_equal(consumer.connects, 0);
	tg_tls_certified(&consumer.conn, NULL);
	assert_int_equal(consumer.connects, 0); /* never from within */
	UNTIL(peer_shakes() && consumer.connects == 1);
	assert_int_equal(consumer.connect_status, 0);
	tg_tls_certified(&consumer.conn, NULL); /* harmless */
	assert_int_equal(consumer.asked, 1);
}

static void
a_certificate_may_be_there_at_once(void **state)
{
	(void)state;
	SSL_CTX_set_cert_cb(server_ctx, ask_certificate, NULL);
	shake_hands();
	assert_int_equal(consumer.asked, 1);
	assert_string_equal(consumer.name, "(none)");
}

static void
it_may_be_closed_in_any_callback(void **state)
{
	const char *which = *state;

	consumer.close_on_connect = strcmp(which, "connect") == 0;
	consumer.close_on_data = strcmp(which, "data") == 0;
	consumer.close_on_end = strcmp(which, "end") == 0;
	consumer.close_on_certificate = strcmp(which, "certificate") == 0;
	if (consumer.close_on_certificate)
		SSL_CTX_set_cert_cb(server_ctx, ask_certificate, NULL);
	start_tls();
	for (int turns = 0; consumer.closes == 0; turns++) {
		assert_true(turns < MANY_TURNS);
		if (peer_shakes() && turns > 10 && SSL_get_shutdown(peer) == 0) {
			SSL_write(peer, "x", 1);
			SSL_shutdown(peer);
		}
		turn();
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define CLOSE_IN(which)                                                                            \
	{                                                                                          \
		"it_may_be_closed_in_on_" which, it_may_be_closed_in_any_callback, set_up,         \
		    tear_down, (void *)(uintptr_t)(which)                                          \
	}
	const struct CMUnitTest tests[] = {
		TEST(bytes_go_both_ways),
		TEST(what_comes_with_the_end_of_the_handshake_is_not_lost),
		TEST(the_handshake_may_come_in_any_pieces),
		TEST(a_long_write_is_whole_and_in_order),
		TEST(a_slow_consumer_gets_all_in_order),
		TEST(the_end_comes_behind_what_was_kept),
		TEST(an_end_without_notice_is_a_broken_connection),
		TEST(our_end_is_noticed_and_the_peer_may_still_send),
		TEST(a_close_is_noticed),
		TEST(a_reset_is_not_an_orderly_end),
		TEST(what_is_lost_in_a_close_is_not_followed_by_a_notice),
		TEST(what_is_no_tls_fails_with_a_reason),
		TEST(http_is_told_from_other_bytes),
		TEST(a_peer_that_goes_away_in_the_handshake_is_a_failure),
		TEST(it_may_begin_in_the_middle_of_what_was_read),
		TEST(it_may_begin_behind_bytes_that_were_kept),
		TEST(the_handshake_may_wait_for_a_certificate),
		TEST(a_certificate_may_be_there_at_once),
		CLOSE_IN("connect"),
		CLOSE_IN("data"),
		CLOSE_IN("end"),
		CLOSE_IN("certificate"),
	};

	return cmocka_run_group_tests(tests, start_world, end_world);
}
