/* idle: clients that ask once and then stay connected in silence.
 *
 *     idle PORT COUNT [tls]
 *
 * Opens COUNT connections to 127.0.0.1:PORT, one after the other; each sends one GET
 * and reads the whole answer (so a proxy has made, used and should have given back
 * whatever a request needs). Then prints "ready OPEN FAILED". At the end of its
 * standard input it prints "alive N", how many are still connected, and leaves.
 *
 * One after the other, with blocking sockets: what is measured comes afterwards, and
 * a proxy must not be seen holding what 5,000 requests at once would have needed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/* How long the answer in `text` is when it is whole: head and body; 0: not known yet.
 * Content-Length only: the origin sends no other kind. */
static size_t
answer_length(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");
	const char *length = strcasestr(text, "\r\nContent-Length:");

	if (end == NULL || length == NULL || length > end)
		return 0;
	return (size_t)(end + 4 - text) + strtoul(length + 17, NULL, 10);
}

static SSL_CTX *ctx; /* NULL: without TLS */

static bool
ask(int fd, SSL *ssl)
{
	char text[8192];
	size_t len = 0;
	size_t whole = 0;
	int size = sizeof request - 1;

	if (ssl != NULL && (SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1))
		return false;
	if ((ssl != NULL ? SSL_write(ssl, request, size) : (int)write(fd, request, (size_t)size)) !=
	    size)
		return false;
	do {
		size_t room = sizeof text - 1 - len;
		int got = ssl != NULL ? SSL_read(ssl, text + len, (int)room)
		                      : (int)read(fd, text + len, room);

		if (got <= 0)
			return false;
		len += (size_t)got;
		text[len] = '\0';
		whole = answer_length(text);
	} while (whole == 0 || len < whole);
	return strncmp(text, "HTTP/1.1 200", 12) == 0;
}

/* A connection that has had its answer, or -1. Its TLS is forgotten: nothing more is said. */
static int
client_open(const struct sockaddr_in *addr)
{
	struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;
	bool good;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	good = connect(fd, (const struct sockaddr *)addr, sizeof *addr) == 0 && ask(fd, ssl);
	SSL_free(ssl);
	if (good)
		return fd;
	close(fd);
	return -1;
}

/* Silence is life: an end of stream, an error or unasked bytes are not. */
static bool
is_alive(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int count, *fds;
	int open_count = 0, failed = 0, alive = 0;

	if (argc < 3 || argc > 4 || atoi(argv[1]) <= 0 || atoi(argv[2]) <= 0) {
		fprintf(stderr, "usage: idle PORT COUNT [tls]\n");
		return 2;
	}
	if (argc == 4)
		ctx = SSL_CTX_new(TLS_client_method());
	addr.sin_port = htons((uint16_t)atoi(argv[1]));
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	count = atoi(argv[2]);
	fds = calloc((size_t)count, sizeof *fds);
	if (fds == NULL)
		return 1;
	raise_descriptor_limit();

	/* Ten failures in a row of patience would take minutes: enough is enough. */
	while (open_count + failed < count && failed < 10) {
		int fd = client_open(&addr);

		if (fd < 0)
			failed++;
		else
			fds[open_count++] = fd;
	}
	printf("ready %d %d\n", open_count, failed);
	fflush(stdout);

	while (getchar() != EOF)
		;
	for (int i = 0; i < open_count; i++)
		alive += is_alive(fds[i]);
	printf("alive %d\n", alive);
	free(fds);
	return 0;
}
