/* The counters of the process as JSON, for `tidegate stats`. Control thread only; reads what
 * workers write without stopping them.
 */
#ifndef TG_PROCESS_STATS_H
#define TG_PROCESS_STATS_H

#include "process/control.h"

/* malloc'ed text, the caller frees; NULL: out of memory. */
TG_MUST_USE char *tg_stats_json(const struct tg_control *control);

#endif
