#include "process/descriptors.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum {
	PER_CONNECTION = 2, /* the client's, and one to a server */
	OWN = 64,        /* standard files, logs, control socket, lookups, scripts read at reload */
	PER_WORKER = 16, /* loop, mailbox, sockets of scripts */
	CHECKS_MOST = 1024, /* checks are spread: not every server is asked at the same time */
	FEWEST = 8,         /* connections, however few descriptors there are */
};

static rlim_t
fixed_part(const struct tg_plan *plan, unsigned workers)
{
	rlim_t servers = 0;

	for (unsigned i = 0; i < plan->backend_count; i++)
		servers += plan->backends[i].count;
	if (servers > CHECKS_MOST)
		servers = CHECKS_MOST;
	/* Twice the listeners: a reload opens new ones before it closes the old. */
	return OWN + servers + workers * (PER_WORKER + 2 * (rlim_t)plan->listener_count);
}

/* Set the limit to at least `need`; the hard one too, where we may. */
static int
raise_to(struct rlimit *limit, rlim_t need)
{
	struct rlimit wanted = *limit;

	if (limit->rlim_cur >= need)
		return 0;
	wanted.rlim_cur = need;
	if (wanted.rlim_max < need)
		wanted.rlim_max = need;
	if (setrlimit(RLIMIT_NOFILE, &wanted) != 0)
		return -errno;
	*limit = wanted;
	return 0;
}

static int
room_for(rlim_t descriptors, rlim_t fixed)
{
	rlim_t room = descriptors > fixed ? (descriptors - fixed) / PER_CONNECTION : 0;

	if (room > INT_MAX)
		return INT_MAX;
	return room > FEWEST ? (int)room : FEWEST;
}

int
tg_descriptors_raise(const struct tg_plan *plan, unsigned workers, char *why, size_t size)
{
	rlim_t fixed = fixed_part(plan, workers), need;
	struct rlimit limit;
	int err;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return plan->process.max_connections > 0 ? plan->process.max_connections : INT_MAX;
	if (plan->process.max_connections == 0) {
		(void)raise_to(
		    &limit, limit.rlim_max); /* ours to use; if not, we know what there is */
		return room_for(limit.rlim_cur, fixed);
	}
	need = fixed + PER_CONNECTION * (rlim_t)plan->process.max_connections;
	err = raise_to(&limit, need);
	if (err == 0)
		return plan->process.max_connections;
	snprintf(why, size,
	    "max_connections = %d needs %llu file descriptors, but the limit is %llu and cannot be "
	    "raised (%s): raise it (ulimit -Hn, LimitNOFILE= in a systemd unit), or set "
	    "max_connections to %d or less",
	    plan->process.max_connections, (unsigned long long)need,
	    (unsigned long long)limit.rlim_max, strerror(-err), room_for(limit.rlim_max, fixed));
	return err;
}
