/* The start, from the first load to the first request: whoever starts the process binds ports and
 * makes the pid file and the control socket; then the process becomes who it is to be; only then
 * are there threads. What is later than that works at a reload exactly as it did here.
 */
#ifndef TG_PROCESS_START_H
#define TG_PROCESS_START_H

#include "process/control.h"

/* Once, during the first load, when TCP is bound. false: errors were added to the plan. Does not
 * return when the process is caught between two identities. */
TG_MUST_USE bool tg_start_settle(struct tg_control *control, struct tg_plan *plan);

/* All workers serve: whoever waits for that may know. */
void tg_start_ready(struct tg_control *control);

/* For `tidegate check`, as root: become what the plan says and see what works then. The process
 * is good for nothing else afterwards. false: errors were added to the plan. */
TG_MUST_USE bool tg_start_try(const struct tg_control_options *options, struct tg_plan *plan);

#endif
