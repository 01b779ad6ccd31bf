/* shake: clients that shake hands, ask once and leave, again and again, by TLS.
 *
 *     shake PORT CLIENTS SECONDS full|resumed
 *
 * Each client is a thread with blocking sockets. `resumed`: it resumes the session of its last connection;
 * one that the server does not resume is an error. Prints one line as lib/wrk.lua does; a request is a
 * connection here, and the times are those from connect to the end of the answer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CLIENTS = 256, MAX_SAMPLES = 1 << 20 };

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";

struct client {
	pthread_t thread;
	SSL_SESSION *session; /* of the last connection; NULL: none */
	unsigned long good, bad;
};

static SSL_CTX *ctx;
static struct sockaddr_in addr = { .sin_family = AF_INET };
static bool resume;
static double end_at;
static uint32_t samples[MAX_SAMPLES]; /* µs */
static unsigned sample_count;         /* atomic */

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Ask, and read to the end. */
static bool
ask(SSL *ssl)
{
	char text[4096];
	size_t len = 0;
	int got;

	if (SSL_write(ssl, request, sizeof request - 1) <= 0)
		return false;
	while (len < sizeof text && (got = SSL_read(ssl, text + len, (int)(sizeof text - len))) > 0)
		len += (size_t)got;
	return len > 12 && strncmp(text, "HTTP/1.1 200", 12) == 0;
}

static bool
shake(struct client *client, SSL *ssl, int fd)
{
	bool resuming = resume && client->session != NULL, good;

	if (SSL_set_fd(ssl, fd) != 1 || (resuming && SSL_set_session(ssl, client->session) != 1))
		return false;
	good = SSL_connect(ssl) == 1 && ask(ssl);
	if (good && resume) {
		SSL_SESSION_free(client->session);
		client->session = SSL_get1_session(ssl);
	}
	return good && (!resuming || SSL_session_reused(ssl) == 1);
}

/* One connection, from its begin to its end. */
static bool
visit(struct client *client)
{
	struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
	SSL *ssl = SSL_new(ctx);
	bool good;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	good = ssl != NULL && connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0 &&
	    shake(client, ssl, fd);
	if (good)
		SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
	return good;
}

static void *
run(void *arg)
{
	struct client *client = arg;
	double begin;

	while ((begin = now()) < end_at) {
		if (visit(client)) {
			unsigned at = __atomic_fetch_add(&sample_count, 1, __ATOMIC_RELAXED);

			client->good++;
			if (at < MAX_SAMPLES)
				samples[at] = (uint32_t)((now() - begin) * 1e6);
		} else {
			client->bad++;
		}
	}
	SSL_SESSION_free(client->session);
	return NULL;
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	static struct client clients[MAX_CLIENTS];
	unsigned long good = 0, bad = 0;
	double begin = now();
	unsigned count, n;

	if (argc != 5 || atoi(argv[2]) < 1 || atoi(argv[2]) > MAX_CLIENTS) {
		fprintf(stderr, "usage: shake PORT CLIENTS SECONDS full|resumed\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	addr.sin_port = htons((uint16_t)atoi(argv[1]));
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	count = (unsigned)atoi(argv[2]);
	end_at = begin + atof(argv[3]);
	resume = strcmp(argv[4], "resumed") == 0;
	ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL)
		return 1;
	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&clients[i].thread, NULL, run, &clients[i]) != 0)
			return 1;
	for (unsigned i = 0; i < count; i++) {
		pthread_join(clients[i].thread, NULL);
		good += clients[i].good;
		bad += clients[i].bad;
	}
	n = sample_count < MAX_SAMPLES ? sample_count : MAX_SAMPLES;
	qsort(samples, n, sizeof samples[0], compare);
	printf("RESULT {\"requests\":%lu,\"seconds\":%.6f,\"errors\":%lu,\"p50\":%u,\"p99\":%u}\n",
	    good, now() - begin, bad, n > 0 ? samples[n / 2] : 0,
	    n > 0 ? samples[n - 1 - n / 100] : 0);
	SSL_CTX_free(ctx);
	return 0;
}
