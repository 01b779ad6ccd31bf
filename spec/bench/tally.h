/* What became of the requests of load.c, by phases: how many, how they failed, how long they took.
 */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum kind { REFUSED, CLOSED, CUT, TIMEOUT, MALFORMED, MIXED, STATUS, KINDS };
static const char *const kind_names[KINDS] = { "refused", "closed", "cut", "timeout", "malformed",
	"mixed", "status" };

struct phase {
	char name[32];
	uint64_t sent, ok, failed, repeated, aborted;
	uint64_t kinds[KINDS];
	uint32_t *times; /* µs, of those that were answered well */
	size_t count, room;
};

static inline uint64_t
now_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static inline void
die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static inline void
count_time(struct phase *p, uint64_t us)
{
	if (p->count == p->room) {
		p->room = p->room * 2 + 1024;
		p->times = realloc(p->times, p->room * sizeof *p->times);
		if (p->times == NULL)
			die("memory");
	}
	p->times[p->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static inline void
count_failure(struct phase *p, enum kind kind, int status)
{
	p->failed++;
	p->kinds[kind]++;
	printf("failed %s %llu %s %d\n", p->name, (unsigned long long)now_us(CLOCK_REALTIME) / 1000,
	    kind_names[kind], status);
	fflush(stdout);
}

static inline int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static inline uint32_t
share(const struct phase *p, double part)
{
	return p->count == 0 ? 0 : p->times[(size_t)((double)(p->count - 1) * part)];
}

static inline void
print_phase(struct phase *p)
{
	qsort(p->times, p->count, sizeof *p->times, compare);
	printf("{\"phase\":\"%s\",\"sent\":%llu,\"ok\":%llu,\"failed\":%llu,\"repeated\":%llu,"
	       "\"aborted\":%llu,\"p50\":%u,\"p99\":%u,\"p999\":%u,\"max\":%u",
	    p->name, (unsigned long long)p->sent, (unsigned long long)p->ok,
	    (unsigned long long)p->failed, (unsigned long long)p->repeated,
	    (unsigned long long)p->aborted, share(p, 0.5), share(p, 0.99), share(p, 0.999),
	    share(p, 1));
	for (int i = 0; i < KINDS; i++)
		printf(",\"%s\":%llu", kind_names[i], (unsigned long long)p->kinds[i]);
	printf("}\n");
}

#endif
