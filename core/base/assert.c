/* The end of the process, when a rule of our own code is broken: one line to stderr and a
 * core dump. No logger and no heap, because either may be what is broken.
 */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void
tg_assert_fail(const char *what, const char *file, int line)
{
	fprintf(stderr, "tidegate: bug: assertion failed: %s (%s:%d)\n", what, file, line);
	abort();
}
