/* Preloaded: counts what a program asks of malloc, calloc and realloc, in the file $COUNT_MALLOC, 8 bytes that others
 * map or read meanwhile.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);

static _Atomic uint64_t before; /* until there is the file */
static _Atomic uint64_t *counter = &before;

__attribute__((constructor)) static void
open_file(void)
{
	const char *path = getenv("COUNT_MALLOC");
	int fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	void *at;

	if (fd < 0 || ftruncate(fd, sizeof(*counter)) != 0)
		return;
	at = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at != MAP_FAILED)
		counter = at;
}

void *
malloc(size_t size)
{
	atomic_fetch_add(counter, 1);
	return __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	atomic_fetch_add(counter, 1);
	return __libc_calloc(count, size);
}

void *
realloc(void *block, size_t size)
{
	atomic_fetch_add(counter, 1);
	return __libc_realloc(block, size);
}
