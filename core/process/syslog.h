/* Lines on their way to a syslog daemon: one datagram each, over UDP or to a UNIX socket, with the
 * header of RFC 3164 (as HAProxy writes it: without a host name) or RFC 5424.
 *
 * Only a thread that may wait calls here: a name is looked up, and a UNIX socket that is full is
 * waited for, but not long. Sockets are connected, so that a daemon that is not there is noticed,
 * over UDP as far as the network tells.
 */
#ifndef TG_PROCESS_SYSLOG_H
#define TG_PROCESS_SYSLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/str.h"
#include "proxy/view.h"

/* A line in a buffer of lines. */
struct tg_syslog_record {
	uint32_t len;   /* of the text that follows */
	uint32_t level; /* enum tg_log_level */
};

/* Where to, and the header's unchanging parts; zero but for `target` and `options` at first. */
struct tg_syslog {
	const char *target; /* "syslog:…", valid as long as this */
	struct tg_sink_options options;
	int fd;
	bool open;
	bool is_unix;
	int error; /* of the last failure: an errno, or negative: a code of getaddrinfo; 0: none */
	char host[256];
};

/* Is this the target of a syslog, "syslog:…"? */
bool tg_syslog_names(struct tg_str target);

/* Is what follows "syslog:" an address? 0 or -EINVAL. */
TG_MUST_USE int tg_syslog_check(struct tg_str target);

/* Send all the records; how many of them are lost. */
uint64_t tg_syslog_send(struct tg_syslog *syslog, const char *records, size_t len);

/* What `error` says. */
const char *tg_syslog_strerror(int error);

/* Connect anew with the next record. */
void tg_syslog_close(struct tg_syslog *syslog);

#endif
