/* Descriptors: as many as the configuration's limits need, known before the first one is missing. A
 * client's connection may need one to a server too; listeners, checks and files need some of their own.
 */
#ifndef TG_PROCESS_DESCRIPTORS_H
#define TG_PROCESS_DESCRIPTORS_H

#include "proxy/plan.h"

/* Raise the limit of the process to what the plan needs. Returns how many client connections there
 * may be: what the plan says or, where it says nothing, as many as there are descriptors for.
 * Negative when the limit cannot be raised that far: `why` gets the reason and the remedy. */
TG_MUST_USE int tg_descriptors_raise(
    const struct tg_plan *plan, unsigned workers, char *why, size_t size);

#endif
