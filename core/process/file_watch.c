#include "process/file_watch.h"

#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "process/reload.h"

/* Editors write a file in several steps: reload once, when they have done. What the kernel's events
 * do not tell (a link that leads elsewhere, a directory that was replaced or is mounted from afar)
 * is found by looking at each file every second. */
enum { SETTLE_MS = 50, LOOK_MS = 1000 };

/* Enough of a file to see that it is another one, or was changed. */
struct look {
	dev_t device;
	ino_t inode; /* 0: not there */
	off_t size;
	struct timespec changed;
};

struct directory {
	uv_fs_event_t event; /* first: the close callback frees this */
	struct tg_link link;
	struct tg_control *control;
	char *path;
};

struct tg_file_watch {
	struct tg_control *control;
	struct tg_link directories;
	struct tg_timer settle;
	struct tg_timer look;
	struct tg_str *files;
	struct look *looks; /* of each file, when it was read */
	unsigned count;
};

static struct look
look_at(const char *path)
{
	struct stat now;

	if (stat(path, &now) != 0)
		return (struct look){ .inode = 0 };
	return (struct look){ now.st_dev, now.st_ino, now.st_size, now.st_mtim };
}

static bool
same(const struct look *a, const struct look *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	    a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static void
on_look(struct tg_timer *timer)
{
	struct tg_file_watch *watch = tg_container_of(timer, struct tg_file_watch, look);
	bool changed = false;

	for (unsigned i = 0; watch->looks != NULL && i < watch->count; i++) {
		struct look now = look_at(watch->files[i].ptr);

		changed |= !same(&now, &watch->looks[i]);
		watch->looks[i] = now;
	}
	if (changed && !tg_timer_active(&watch->settle))
		tg_loop_timer_start(&watch->control->loop, &watch->settle, SETTLE_MS);
	tg_loop_timer_start(&watch->control->loop, timer, LOOK_MS);
}

static void
on_settled(struct tg_timer *timer)
{
	struct tg_file_watch *watch = tg_container_of(timer, struct tg_file_watch, settle);

	tg_reload_start(watch->control, NULL, NULL);
}

static void
on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
	struct directory *directory = event->data;
	struct tg_file_watch *watch = directory->control->file_watch;
	size_t len = strlen(directory->path);

	(void)events;
	if (status != 0 || name == NULL)
		return;
	for (unsigned i = 0; i < watch->count; i++) {
		const char *file = watch->files[i].ptr;

		if (strncmp(file, directory->path, len) == 0 && file[len] == '/' &&
		    strcmp(file + len + 1, name) == 0) {
			tg_loop_timer_start(&watch->control->loop, &watch->settle, SETTLE_MS);
			return;
		}
	}
}

static void
on_closed(uv_handle_t *handle)
{
	struct directory *directory = handle->data;

	free(directory->path);
	free(directory);
}

static void
close_directory(struct directory *directory)
{
	tg_link_remove(&directory->link);
	uv_close((uv_handle_t *)&directory->event, on_closed);
}

static void
watch_directory(struct tg_file_watch *watch, const char *path)
{
	struct directory *directory;
	int err;

	for (struct tg_link *link = watch->directories.next; link != &watch->directories;
	     link = link->next)
		if (strcmp(tg_container_of(link, struct directory, link)->path, path) == 0)
			return;
	directory = calloc(1, sizeof(*directory));
	tg_assert(directory != NULL);
	directory->control = watch->control;
	directory->path = strdup(path);
	directory->event.data = directory;
	tg_link_init(&directory->link);
	tg_list_push_back(&watch->directories, &directory->link);
	uv_fs_event_init(&watch->control->loop.uv, &directory->event);
	err = uv_fs_event_start(&directory->event, on_event, path, 0);
	if (err != 0) /* the look goes on all the same */
		close_directory(directory);
}

static void
forget_files(struct tg_file_watch *watch)
{
	for (unsigned i = 0; i < watch->count; i++)
		free((char *)(uintptr_t)watch->files[i].ptr);
	free(watch->files);
	free(watch->looks);
	watch->looks = NULL;
	watch->files = NULL;
	watch->count = 0;
}

static void
watch_file(void *arg, const char *file)
{
	struct tg_file_watch *watch = arg;
	char *path = strdup(file);

	if (path != NULL && tg_plan_add_text(&watch->files, &watch->count, tg_str_of(file)) >= 0)
		watch_directory(watch, dirname(path));
	free(path);
}

void
tg_file_watch_set(struct tg_control *control, const struct tg_plan *plan)
{
	struct tg_file_watch *watch = control->file_watch;

	if (watch == NULL) {
		watch = calloc(1, sizeof(*watch));
		tg_assert(watch != NULL);
		watch->control = control;
		tg_link_init(&watch->directories);
		tg_timer_init(&watch->settle, on_settled);
		tg_timer_init(&watch->look, on_look);
		tg_loop_timer_start(&control->loop, &watch->look, LOOK_MS);
		control->file_watch = watch;
	}
	forget_files(watch);
	for (unsigned i = 0; i < plan->file_count; i++)
		watch_file(watch, plan->files[i].ptr);
	tg_tls_files_each(control->tls_files, watch_file, watch);
	watch->looks = calloc(watch->count + 1, sizeof(*watch->looks));
	for (unsigned i = 0; watch->looks != NULL && i < watch->count; i++)
		watch->looks[i] = look_at(watch->files[i].ptr);
}

void
tg_file_watch_stop(struct tg_control *control)
{
	struct tg_file_watch *watch = control->file_watch;

	if (watch == NULL)
		return;
	tg_loop_timer_stop(&control->loop, &watch->settle);
	tg_loop_timer_stop(&control->loop, &watch->look);
	while (!tg_list_empty(&watch->directories))
		close_directory(tg_container_of(watch->directories.next, struct directory, link));
	forget_files(watch);
	free(watch);
	control->file_watch = NULL;
}
