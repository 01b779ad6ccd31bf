/* Strings that live as long as the process: names that any thread may show at any time (where a
 * hook's function is defined). The same text gives the same pointer. Any thread may call.
 */
#ifndef TG_BASE_INTERN_H
#define TG_BASE_INTERN_H

#include "base/str.h"

/* The process's copy of `text`, NUL-terminated; "?" when memory is out. */
const char *tg_intern(struct tg_str text);

#endif
