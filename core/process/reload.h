/* A reload: load everything anew beside what runs, check it all, then switch every worker, or
 * change nothing. The very first load is a reload from nothing.
 */
#ifndef TG_PROCESS_RELOAD_H
#define TG_PROCESS_RELOAD_H

#include "process/control.h"

/* Called once with the verdict: whether it was switched, and the text for whoever asked (the
 * generation, or all errors, a line each). */
typedef void (*tg_reload_done_fn)(void *arg, bool good, const char *text);

/* Begin; `done` may be NULL. While one is in progress, another is begun after it for all who
 * asked meanwhile (their file may have changed since). */
void tg_reload_start(struct tg_control *control, tg_reload_done_fn done, void *arg);

/* Who asked will not be told (the connection is gone). */
void tg_reload_forget(struct tg_control *control, void *arg);

/* A worker has switched (control thread). */
void tg_reload_switched(struct tg_control *control);

/* Shutting down: drop what is in progress. Once workers were told to switch it goes on to its
 * end, which comes before theirs. */
void tg_reload_drop(struct tg_control *control);

/* The workers have ended: drop what runs. */
void tg_reload_fini(struct tg_control *control);

#endif
