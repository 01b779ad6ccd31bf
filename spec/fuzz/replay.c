/* What stands in for libFuzzer in the ordinary builds: feed every file of the given
 * directories to the fuzz target, so that an input which once broke something is tried again
 * in each test run, under every sanitizer. The empty input is always tried.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
die(const char *path)
{
	fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
	exit(2);
}

/* The buffer is exactly as long as the input, so that reading past it is seen. */
static void
replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	long size;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
		die(path);
	rewind(file);
	data = malloc(size > 0 ? (size_t)size : 1);
	if (data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size)
		die(path);
	fclose(file);
	LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);
}

/* How many files there were. A directory that is not there holds none. */
static int
replay_directory(const char *path)
{
	struct dirent **entries;
	char name[4096];
	int found, count = 0;

	found = scandir(path, &entries, NULL, alphasort);
	if (found < 0 && errno != ENOENT)
		die(path);
	for (int i = 0; i < found; i++) {
		if (entries[i]->d_name[0] != '.') {
			snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
			fprintf(stderr, "%s\n", name); /* the last one named is the culprit */
			replay_file(name);
			count++;
		}
		free(entries[i]);
	}
	if (found >= 0)
		free(entries);
	return count;
}

int
main(int argc, char **argv)
{
	int count = 1;

	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		count += replay_directory(argv[i]);
	printf("%d inputs\n", count);
	return 0;
}
