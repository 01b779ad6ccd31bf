/* The control socket: a UNIX socket for the owner of the process only. A client sends one line
 * ("reload", "stats", "server BACKEND/SERVER STATE") and gets "ok" or "error" on a line, then text,
 * then the end.
 */
#ifndef TG_PROCESS_ADMIN_H
#define TG_PROCESS_ADMIN_H

#include "process/control.h"

/* Listen at `path`. 0 or a negative code: UV_EADDRINUSE when another process serves there. */
TG_MUST_USE int tg_admin_start(struct tg_control *control, const char *path);

/* The path of the socket; NULL: there is none. */
const char *tg_admin_path(const struct tg_control *control);

/* The socket's file is called `path` from now on (NULL: it is out of reach, and stays behind). */
void tg_admin_rename(struct tg_control *control, const char *path);

void tg_admin_stop(struct tg_control *control);

/* Client side: send `command` and print what comes back. The exit status: 0, or 1 with the reason on
 * standard error; so it is when nothing comes for `seconds`. */
int tg_admin_ask(const char *path, const char *command, unsigned seconds);

#endif
