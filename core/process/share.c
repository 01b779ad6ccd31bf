#include "process/share.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As seen from the program: installed, and in the build tree (where it is a link to the sources). */
static const char *const places[] = { TG_SHARE_FROM_BIN, "share/tidegate" };

/* The directory of the running program. */
static bool
find_program(char *directory)
{
	ssize_t len = readlink("/proc/self/exe", directory, PATH_MAX - 1);
	char *slash;

	if (len <= 0)
		return false;
	directory[len] = '\0';
	slash = strrchr(directory, '/');
	if (slash == NULL)
		return false;
	*slash = '\0';
	return true;
}

const char *
tg_share_find(const char **where)
{
	static char found[PATH_MAX];
	char program[PATH_MAX], path[2 * PATH_MAX], boot[2 * PATH_MAX + 40];

	*where = "a directory that /proc/self/exe would lead to: is /proc mounted?";
	if (!find_program(program))
		return NULL;
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", program, places[i]);
		snprintf(boot, sizeof(boot), "%s/lua/tidegate/boot.lua", path);
		if (access(boot, R_OK) == 0 && realpath(path, found) != NULL)
			return found;
	}
	if (snprintf(found, sizeof(found), "%s/%s", program, places[0]) < (int)sizeof(found))
		*where = found;
	return NULL;
}
