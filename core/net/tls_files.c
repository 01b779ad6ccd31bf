#include "net/tls_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 16 * 1024 * 1024 }; /* bytes; nobody's certificates are more */

/* Enough of a file to see that it is another one, or was changed. */
struct look {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
};

struct text {
	struct look look;
	char *ptr; /* NULL: none */
	size_t len;
};

struct file {
	struct file *next;
	struct text loaded; /* of what runs */
	struct text read;   /* of the load in progress, where it differs */
	bool used;          /* by the load in progress */
	bool folder;
	char path[];
};

enum { BUCKETS = 1024 };

struct tg_tls_files {
	struct file *buckets[BUCKETS]; /* by path */
	bool rooted;                   /* there is another root directory than there was */
};

struct tg_tls_files *
tg_tls_files_new(void)
{
	return calloc(1, sizeof(struct tg_tls_files));
}

/* Keys are among them. */
static void
forget(struct text *text)
{
	if (text->ptr != NULL)
		OPENSSL_cleanse(text->ptr, text->len);
	free(text->ptr);
	*text = (struct text){ .ptr = NULL };
}

static void
free_file(struct file *file)
{
	forget(&file->loaded);
	forget(&file->read);
	free(file);
}

void
tg_tls_files_free(struct tg_tls_files *files)
{
	struct file *next;

	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct file *file = files->buckets[i]; file != NULL; file = next) {
			next = file->next;
			free_file(file);
		}
	free(files);
}

static struct file **
bucket_of(struct tg_tls_files *files, const char *path)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (; *path != '\0'; path++)
		hash = (hash ^ (unsigned char)*path) * 16777619U;
	return &files->buckets[hash % BUCKETS];
}

static void
insert(struct tg_tls_files *files, struct file *file)
{
	struct file **bucket = bucket_of(files, file->path);

	file->next = *bucket;
	*bucket = file;
}

/* Take all files out, as a list. */
static struct file *
take_all(struct tg_tls_files *files)
{
	struct file *all = NULL, *file;

	for (unsigned i = 0; i < BUCKETS; i++)
		while ((file = files->buckets[i]) != NULL) {
			files->buckets[i] = file->next;
			file->next = all;
			all = file;
		}
	return all;
}

void
tg_tls_files_rebase(struct tg_tls_files *files, const char *root)
{
	size_t len = strlen(root);

	while (len > 0 && root[len - 1] == '/')
		len--;
	files->rooted = true;
	for (struct file *file = take_all(files), *next; file != NULL; file = next) {
		next = file->next;
		if (strncmp(file->path, root, len) == 0 && file->path[len] == '/')
			memmove(file->path, file->path + len, strlen(file->path + len) + 1);
		insert(files, file);
	}
}

static struct file *
find(struct tg_tls_files *files, const char *path, bool folder)
{
	for (struct file *file = *bucket_of(files, path); file != NULL; file = file->next)
		if (file->folder == folder && strcmp(file->path, path) == 0)
			return file;
	return NULL;
}

static struct file *
find_or_add(struct tg_tls_files *files, const char *path, bool folder)
{
	struct file *file = find(files, path, folder);

	if (file != NULL)
		return file;
	file = calloc(1, sizeof(*file) + strlen(path) + 1);
	if (file == NULL)
		return NULL;
	memcpy(file->path, path, strlen(path) + 1);
	file->folder = folder;
	insert(files, file);
	return file;
}

/* --- reading ------------------------------------------------------------------------------ */

static struct look
look_of(const struct stat *status)
{
	return (struct look){ status->st_dev, status->st_ino, status->st_size, status->st_mtim,
		status->st_ctim };
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool
same(const struct text *text, const struct look *now)
{
	const struct look *then = &text->look;

	return text->ptr != NULL && then->device == now->device && then->inode == now->inode &&
	    then->size == now->size && same_time(&then->modified, &now->modified) &&
	    same_time(&then->changed, &now->changed);
}

/* All of a descriptor; 0, or an errno. */
static int
read_all(int fd, struct text *out)
{
	size_t room = (size_t)out->look.size + 1;
	ssize_t got = 0;

	if (out->look.size > FILE_MAX)
		return EFBIG;
	out->ptr = malloc(room);
	if (out->ptr == NULL)
		return ENOMEM;
	while (out->len < room && (got = read(fd, out->ptr + out->len, room - out->len)) > 0)
		out->len += (size_t)got;
	if (got < 0)
		return errno;
	return out->len == room ? EAGAIN : 0; /* it has grown meanwhile */
}

/* The descriptor first, then what it is: so that the look is that of what was read. Not blocking, for
 * a FIFO. */
static int
read_file(const char *path, struct text *out)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;

	if (fd < 0)
		return errno;
	if (fstat(fd, &status) != 0)
		err = errno;
	else if (!S_ISREG(status.st_mode))
		err = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
	else {
		out->look = look_of(&status);
		err = read_all(fd, out);
	}
	close(fd);
	return err;
}

static int
no_dots(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name); /* in no locale's order */
}

static int
read_folder(const char *path, struct text *out)
{
	struct dirent **entries;
	struct stat status;
	int count, err = 0;
	FILE *stream;

	if (stat(path, &status) != 0)
		return errno;
	count = scandir(path, &entries, no_dots, by_name);
	if (count < 0)
		return errno;
	out->look = look_of(&status);
	stream = open_memstream(&out->ptr, &out->len);
	for (int i = 0; i < count; i++) {
		if (stream != NULL)
			fwrite(entries[i]->d_name, 1, strlen(entries[i]->d_name) + 1, stream);
		free(entries[i]);
	}
	free(entries);
	if (stream == NULL || fclose(stream) != 0)
		err = ENOMEM;
	return err;
}

/* Of a file that we could read once, and cannot now because of who we are: it may be there still. */
static bool
out_of_reach(const struct tg_tls_files *files, int err)
{
	return err == EACCES || err == EPERM ||
	    (files->rooted && (err == ENOENT || err == ENOTDIR));
}

static enum tg_tls_read
give(const struct text *text, struct tg_str *bytes, enum tg_tls_read how)
{
	*bytes = (struct tg_str){ text->ptr, text->len };
	return how;
}

static enum tg_tls_read
obtain(struct tg_tls_files *files, const char *path, bool folder, struct tg_str *bytes)
{
	struct file *file = find_or_add(files, path, folder);
	struct stat status;
	struct look now;
	int err;

	if (file == NULL) {
		errno = ENOMEM;
		return TG_TLS_READ_FAILED;
	}
	file->used = true;
	if (stat(path, &status) == 0) {
		now = look_of(&status);
		if (same(&file->read, &now))
			return give(&file->read, bytes, TG_TLS_READ_OK);
		if (same(&file->loaded, &now))
			return give(&file->loaded, bytes, TG_TLS_READ_OK);
	}
	forget(&file->read);
	err = folder ? read_folder(path, &file->read) : read_file(path, &file->read);
	if (err == 0)
		return give(&file->read, bytes, TG_TLS_READ_OK);
	forget(&file->read);
	errno = err;
	if (file->loaded.ptr != NULL && out_of_reach(files, err))
		return give(&file->loaded, bytes, TG_TLS_READ_KEPT);
	return TG_TLS_READ_FAILED;
}

enum tg_tls_read
tg_tls_files_read(struct tg_tls_files *files, const char *path, struct tg_str *bytes)
{
	return obtain(files, path, false, bytes);
}

enum tg_tls_read
tg_tls_files_list(struct tg_tls_files *files, const char *path, struct tg_str *names)
{
	return obtain(files, path, true, names);
}

bool
tg_tls_files_known(struct tg_tls_files *files, const char *path)
{
	struct file *file = find_or_add(files, path, false);
	struct stat status;

	if (file == NULL)
		return false;
	file->used = true;
	return stat(path, &status) == 0 || (file->loaded.ptr != NULL && out_of_reach(files, errno));
}

bool
tg_tls_files_is_folder(struct tg_tls_files *files, const char *path)
{
	const struct file *file = find(files, path, true);
	struct stat status;

	if (stat(path, &status) == 0)
		return S_ISDIR(status.st_mode);
	return file != NULL && file->loaded.ptr != NULL;
}

bool
tg_tls_files_loaded(struct tg_tls_files *files, const char *path, struct tg_str *bytes)
{
	struct file *file = find(files, path, false);

	if (file == NULL || file->loaded.ptr == NULL)
		return false;
	forget(&file->read);
	give(&file->loaded, bytes, TG_TLS_READ_KEPT);
	return true;
}

/* --- the end of a load -------------------------------------------------------------------- */

void
tg_tls_files_each(
    const struct tg_tls_files *files, void (*visit)(void *arg, const char *path), void *arg)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		for (const struct file *file = files->buckets[i]; file != NULL; file = file->next)
			if (file->used)
				visit(arg, file->path);
}

void
tg_tls_files_keep(struct tg_tls_files *files)
{
	for (struct file *file = take_all(files), *next; file != NULL; file = next) {
		next = file->next;
		if (!file->used) {
			free_file(file);
			continue;
		}
		if (file->read.ptr != NULL) {
			forget(&file->loaded);
			file->loaded = file->read;
			file->read = (struct text){ .ptr = NULL };
		}
		file->used = false;
		insert(files, file);
	}
}

void
tg_tls_files_drop(struct tg_tls_files *files)
{
	for (struct file *file = take_all(files), *next; file != NULL; file = next) {
		next = file->next;
		forget(&file->read);
		file->used = false;
		if (file->loaded.ptr != NULL)
			insert(files, file);
		else
			free_file(file);
	}
}
