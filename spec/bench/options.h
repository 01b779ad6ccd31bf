/* What load.c was told on its command line, and the body of its requests.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	struct sockaddr_in addr;
	int clients, patience, slow, leave;
	double rate;
	const char *method, *path;
	bool chunked, close, cookies, to_head;
} options = { .clients = 64, .patience = 10, .method = "GET", .path = "/" };

static char *body;
static size_t body_len;

static void
make_body(size_t size)
{
	size_t head = 0;

	if (size == 0 && !options.chunked)
		return;
	body = malloc(size + 64);
	if (body == NULL)
		exit(2);
	if (options.chunked && size > 0)
		head = (size_t)sprintf(body, "%zx\r\n", size);
	memset(body + head, 'b', size);
	body_len = head + size;
	if (options.chunked)
		body_len += (size_t)sprintf(body + body_len, "%s0\r\n\r\n", size > 0 ? "\r\n" : "");
}

static void
read_options(int argc, char **argv)
{
	size_t size = 0;
	int option;

	while ((option = getopt(argc, argv, "c:r:m:p:b:kxsz:a:t:")) != -1) {
		switch (option) {
		case 'c':
			options.clients = atoi(optarg);
			break;
		case 'r':
			options.rate = atof(optarg);
			break;
		case 'm':
			options.method = optarg;
			break;
		case 'p':
			options.path = optarg;
			break;
		case 'b':
			size = strtoul(optarg, NULL, 10);
			break;
		case 'k':
			options.chunked = true;
			break;
		case 'x':
			options.close = true;
			break;
		case 's':
			options.cookies = true;
			break;
		case 'z':
			options.slow = atoi(optarg);
			break;
		case 'a':
			options.leave = atoi(optarg);
			break;
		case 't':
			options.patience = atoi(optarg);
			break;
		default:
			exit(2);
		}
	}
	if (optind != argc - 1 || atoi(argv[optind]) <= 0 || options.clients <= 0) {
		fprintf(stderr, "usage: load PORT [OPTION...]: see the top of load.c\n");
		exit(2);
	}
	options.to_head = strcmp(options.method, "HEAD") == 0;
	options.addr.sin_family = AF_INET;
	options.addr.sin_port = htons((uint16_t)atoi(argv[optind]));
	options.addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	make_body(size);
}

#endif
