/* The files that TLS needs, as they were last read: certificates, keys, CRLs, keys of tickets. A file
 * that has not changed is not read again, and one that has but cannot be read any more keeps what was
 * loaded: so a process that has dropped its privileges can reload while keys belong to root.
 *
 * What a load reads holds only once it is kept: a reload that fails leaves what was loaded before.
 * Control thread only.
 */
#ifndef TG_NET_TLS_FILES_H
#define TG_NET_TLS_FILES_H

#include <stdbool.h>

#include "base/assert.h"
#include "base/str.h"

struct tg_tls_files;

/* NULL: out of memory. */
TG_MUST_USE struct tg_tls_files *tg_tls_files_new(void);
void tg_tls_files_free(struct tg_tls_files *files);

/* The process has another root directory: paths lose its name, and one that is not in there keeps
 * what was loaded. */
void tg_tls_files_rebase(struct tg_tls_files *files, const char *root);

enum tg_tls_read {
	TG_TLS_READ_OK,
	TG_TLS_READ_KEPT, /* it cannot be read any more (errno says why): this is what was loaded */
	TG_TLS_READ_FAILED, /* it cannot be read: errno */
};

/* The bytes of a file, valid until keep, drop or free; of a folder: the names in it, each ended by a
 * NUL, sorted. */
TG_MUST_USE enum tg_tls_read tg_tls_files_read(
    struct tg_tls_files *files, const char *path, struct tg_str *bytes);
TG_MUST_USE enum tg_tls_read tg_tls_files_list(
    struct tg_tls_files *files, const char *path, struct tg_str *names);

/* Is there such a file; or was there one, when that cannot be seen any more? */
TG_MUST_USE bool tg_tls_files_known(struct tg_tls_files *files, const char *path);

/* Is it a folder; or was it one, when that cannot be seen any more? */
bool tg_tls_files_is_folder(struct tg_tls_files *files, const char *path);

/* What was loaded of the file before this load; false: nothing. Two files that belong together use it when
 * only one of them can be read. */
TG_MUST_USE bool tg_tls_files_loaded(
    struct tg_tls_files *files, const char *path, struct tg_str *bytes);

/* All that this load has read or looked for, in no order. */
void tg_tls_files_each(
    const struct tg_tls_files *files, void (*visit)(void *arg, const char *path), void *arg);

/* The load is over: what it read is what is loaded now, and nothing else; or it never was. */
void tg_tls_files_keep(struct tg_tls_files *files);
void tg_tls_files_drop(struct tg_tls_files *files);

#endif
