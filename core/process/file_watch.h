/* --watch: a reload when a file that was read to load the configuration changes. Directories are
 * watched, not files, because editors replace files.
 */
#ifndef TG_PROCESS_FILE_WATCH_H
#define TG_PROCESS_FILE_WATCH_H

#include "process/control.h"

/* Watch the files of this plan from now on (also of one that failed to load: that is what will
 * be corrected). */
void tg_file_watch_set(struct tg_control *control, const struct tg_plan *plan);

void tg_file_watch_stop(struct tg_control *control);

#endif
