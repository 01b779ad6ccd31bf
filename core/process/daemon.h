/* Leaving the terminal. The process that was started stays until the one that it leaves behind is
 * ready: so its exit status is the verdict, and errors of the start reach who started it. Until
 * then both are one job (Ctrl-C ends both); only then does the daemon begin a session of its own.
 * Rejected: forking first and asking questions later, which makes every start look good.
 */
#ifndef TG_PROCESS_DAEMON_H
#define TG_PROCESS_DAEMON_H

#include "base/assert.h"

/* Go on in a child; the parent never returns: it exits with 0 once the child is ready, else with 1.
 * 0, or a negative errno. Before there are threads. */
TG_MUST_USE int tg_daemon_start(void);

/* Ready: leave the session, the directory, the terminal (standard input, output and error, unless
 * output or error go to a file), and let the parent end. Does nothing without tg_daemon_start. */
void tg_daemon_ready(void);

#endif
