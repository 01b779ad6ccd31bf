#include "process/syslog.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	HEADER_MAX = 512,
	PATIENCE_MS = 1000, /* for a socket that is full */
	NAME_MAX_LEN = 255, /* of a host */
};

static const char prefix[] = "syslog:", default_port[] = "514";

/* --- where to ----------------------------------------------------------------------------- */

/* What a target says: a path, or a host and a port. */
struct place {
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* or "" */
	char host[NAME_MAX_LEN + 1];
	char port[6];
};

bool
tg_syslog_names(struct tg_str target)
{
	size_t len = sizeof(prefix) - 1;

	return target.len >= len && memcmp(target.ptr, prefix, len) == 0;
}

static int
copy_text(char *to, size_t size, const char *from, size_t len)
{
	if (len == 0 || len >= size || memchr(from, '\0', len) != NULL)
		return -EINVAL;
	memcpy(to, from, len);
	to[len] = '\0';
	return 0;
}

/* "host", "host:port", "[v6]", "[v6]:port". */
static int
parse_host(struct tg_str text, struct place *place)
{
	const char *end = text.ptr + text.len, *host = text.ptr, *colon;

	if (text.len > 0 && *host == '[') {
		const char *close = memchr(host, ']', text.len);

		if (close == NULL || (close + 1 < end && close[1] != ':'))
			return -EINVAL;
		colon = close + 1 < end ? close + 1 : NULL;
		if (copy_text(place->host, sizeof(place->host), host + 1,
		        (size_t)(close - host - 1)) != 0)
			return -EINVAL;
	} else {
		colon = memchr(host, ':', text.len);
		if (copy_text(place->host, sizeof(place->host), host,
		        (size_t)((colon != NULL ? colon : end) - host)) != 0)
			return -EINVAL;
	}
	if (colon == NULL)
		return copy_text(
		    place->port, sizeof(place->port), default_port, sizeof(default_port) - 1);
	return copy_text(place->port, sizeof(place->port), colon + 1, (size_t)(end - colon - 1));
}

/* Is it a number from 1 to 65535? */
static bool
is_port(const char *text)
{
	unsigned port = 0;

	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		port = port * 10 + (unsigned)(*text - '0');
	}
	return port >= 1 && port <= 65535;
}

static int
parse(struct tg_str target, struct place *place)
{
	static const char unix_prefix[] = "unix:";
	size_t skip = sizeof(prefix) - 1;
	struct tg_str rest = { target.ptr + skip, target.len - skip };

	tg_assert(target.ptr != NULL);
	memset(place, 0, sizeof(*place));
	skip = sizeof(unix_prefix) - 1;
	if (rest.len > skip && memcmp(rest.ptr, unix_prefix, skip) == 0)
		rest = (struct tg_str){ rest.ptr + skip, rest.len - skip };
	if (rest.len > 0 && *rest.ptr == '/')
		return copy_text(place->path, sizeof(place->path), rest.ptr, rest.len);
	if (parse_host(rest, place) != 0 || !is_port(place->port))
		return -EINVAL;
	return 0;
}

int
tg_syslog_check(struct tg_str target)
{
	struct place place;

	return parse(target, &place);
}

/* --- the socket --------------------------------------------------------------------------- */

static int
connect_to(int family, const struct sockaddr *addr, socklen_t len)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	if (connect(fd, addr, len) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int
connect_path(const struct place *place)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	memcpy(addr.sun_path, place->path, sizeof(addr.sun_path));
	return connect_to(AF_UNIX, (struct sockaddr *)&addr, sizeof(addr));
}

/* The first address of the name that has a route; an IPv4 one if there is any, since nobody refuses
 * a datagram loudly enough for another try, and few daemons listen on ::1. */
static int
connect_host(struct tg_syslog *syslog, const struct place *place)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM }, *list = NULL;
	int fd = -EADDRNOTAVAIL, code = getaddrinfo(place->host, place->port, &hints, &list);

	if (code != 0) {
		syslog->error = code == EAI_SYSTEM ? errno : code;
		return -1;
	}
	for (int pass = 0; pass < 2; pass++)
		for (struct addrinfo *info = list; info != NULL && fd < 0; info = info->ai_next)
			if ((info->ai_family == AF_INET) == (pass == 0))
				fd = connect_to(info->ai_family, info->ai_addr, info->ai_addrlen);
	freeaddrinfo(list);
	if (fd < 0)
		syslog->error = -fd;
	return fd;
}

/* False: `error` says why. */
static bool
open_socket(struct tg_syslog *syslog)
{
	struct place place;
	int fd;

	tg_assert(parse(tg_str_of(syslog->target), &place) == 0); /* it was checked */
	if (place.path[0] != '\0') {
		fd = connect_path(&place);
		if (fd < 0)
			syslog->error = -fd;
	} else {
		fd = connect_host(syslog, &place);
	}
	if (fd < 0)
		return false;
	syslog->is_unix = place.path[0] != '\0';
	syslog->fd = fd;
	syslog->open = true;
	return true;
}

void
tg_syslog_close(struct tg_syslog *syslog)
{
	if (syslog->open)
		close(syslog->fd);
	syslog->open = false;
}

const char *
tg_syslog_strerror(int error)
{
	return error < 0 ? gai_strerror(error) : strerror(error);
}

/* --- datagrams ---------------------------------------------------------------------------- */

/* Of a level of ours, in syslog's numbers (RFC 5424 §6.2.1). */
static int
severity(uint32_t level)
{
	static const int severities[] = { 7, 6, 5, 4, 3 };

	return severities[level <= TG_LOG_ERROR ? level : TG_LOG_ERROR];
}

/* "-" when it has none (RFC 5424 §6.2.4). */
static void
find_host_name(struct tg_syslog *syslog)
{
	if (gethostname(syslog->host, sizeof(syslog->host) - 1) != 0 || syslog->host[0] == '\0')
		strcpy(syslog->host, "-");
}

/* RFC 5424 §6, or RFC 3164 §4.1 without the host name. Its length. */
static size_t
write_header(struct tg_syslog *syslog, uint32_t level, char *out, size_t size)
{
	const struct tg_sink_options *options = &syslog->options;
	int priority = options->facility * 8 + severity(level), len;
	char date[64];
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	if (options->protocol == TG_SYSLOG_RFC5424) {
		if (syslog->host[0] == '\0')
			find_host_name(syslog);
		gmtime_r(&now.tv_sec, &tm);
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
		len = snprintf(out, size, "<%d>1 %s.%03ldZ %s %s %d - - ", priority, date,
		    now.tv_nsec / 1000000, syslog->host, options->tag, (int)getpid());
	} else {
		static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

		localtime_r(&now.tv_sec, &tm);
		len = snprintf(out, size, "<%d>%.3s %2d %02d:%02d:%02d %s[%d]: ", priority,
		    &months[tm.tm_mon * 3], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		    options->tag, (int)getpid());
	}
	return (size_t)len < size ? (size_t)len : size - 1;
}

enum outcome {
	SENT,
	LOST,
	SHUT, /* nothing gets out now: the socket is full and stays so, or there is none */
};

static bool
wait_for_room(struct tg_syslog *syslog)
{
	struct pollfd wait = { .fd = syslog->fd, .events = POLLOUT };

	if (poll(&wait, 1, PATIENCE_MS) > 0)
		return true;
	syslog->error = EAGAIN;
	return false;
}

/* One datagram. `*earlier`: so many that were sent before are now known to be lost. */
static enum outcome
send_datagram(struct tg_syslog *syslog, struct iovec *parts, uint64_t *earlier)
{
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	bool again = false;

	for (;;) {
		if (!syslog->open && !open_socket(syslog))
			return SHUT;
		if (sendmsg(syslog->fd, &message, MSG_NOSIGNAL) >= 0)
			return SENT;
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN && wait_for_room(syslog))
			continue;
		if (errno == EAGAIN)
			return SHUT;
		syslog->error = errno;
		if (again || errno == EMSGSIZE || (!syslog->is_unix && errno != ECONNREFUSED))
			return LOST;
		again = true;
		if (syslog->is_unix)
			tg_syslog_close(syslog); /* the daemon has gone; perhaps there is another */
		else
			++*earlier; /* what UDP says is of the datagram before */
	}
}

/* A line break in a line begins another datagram, as it begins another line in a file. */
static enum outcome
send_lines(struct tg_syslog *syslog, const struct tg_syslog_record *record, const char *text,
    uint64_t *earlier)
{
	char header[HEADER_MAX];
	size_t max = (size_t)syslog->options.length;
	struct iovec parts[2] = { { .iov_base = header } };
	const char *end = text + record->len;
	enum outcome outcome = SENT;

	parts[0].iov_len = write_header(syslog, record->level, header, sizeof(header));
	while (text < end && outcome == SENT) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t len = (size_t)((stop != NULL ? stop : end) - text);

		if (parts[0].iov_len + len > max)
			len = max > parts[0].iov_len ? max - parts[0].iov_len : 0;
		parts[1] = (struct iovec){ .iov_base = (void *)(uintptr_t)text, .iov_len = len };
		if (len > 0)
			outcome = send_datagram(syslog, parts, earlier);
		text = stop != NULL ? stop + 1 : end;
	}
	return outcome;
}

/* The last datagrams of UDP may have been refused; nobody has asked yet. */
static uint64_t
late_refusal(struct tg_syslog *syslog)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (!syslog->open || getsockopt(syslog->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 ||
	    error != ECONNREFUSED)
		return 0;
	syslog->error = error;
	return 1;
}

uint64_t
tg_syslog_send(struct tg_syslog *syslog, const char *records, size_t len)
{
	const char *end = records + len;
	struct tg_syslog_record record;
	uint64_t lost = 0;
	bool shut = false;

	syslog->error = 0;
	for (; records < end; records += sizeof(record) + record.len) {
		enum outcome outcome;

		memcpy(&record, records, sizeof(record));
		outcome =
		    shut ? SHUT : send_lines(syslog, &record, records + sizeof(record), &lost);
		lost += outcome != SENT;
		shut = outcome == SHUT;
	}
	return lost + late_refusal(syslog);
}
