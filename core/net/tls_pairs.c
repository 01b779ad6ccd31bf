#include "net/tls_pairs.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/tls_ocsp.h"

enum { TEXT_MAX = 1024 };

bool
tg_tls_load_fail(struct tg_tls_loader *loader, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses va_start */
	vsnprintf(loader->error, sizeof(loader->error), format, args);
	va_end(args);
	return false;
}

void
tg_tls_load_warn(struct tg_tls_loader *loader, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses va_start */
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (loader->on_warning != NULL)
		loader->on_warning(loader->arg, text);
}

/* --- reading ------------------------------------------------------------------------------ */

/* A path as a C string, empty when it is not given; false: it is too long. */
static bool
path_of(struct tg_str text, char path[PATH_MAX])
{
	if (text.len >= PATH_MAX)
		return false;
	if (text.len > 0)
		memcpy(path, text.ptr, text.len);
	path[text.len] = '\0';
	return true;
}

static const char *
remedy(int err)
{
	switch (err) {
	case EACCES:
	case EPERM:
		return "; let the user that Tidegate runs as read it";
	case ENOENT:
	case ENOTDIR:
		return "; check the path";
	case EISDIR:
		return "; name a file in it";
	default:
		return "";
	}
}

static enum tg_tls_read
read_one(struct tg_tls_loader *loader, const char *path, const char *what, struct tg_str *text)
{
	enum tg_tls_read how = tg_tls_files_read(loader->files, path, text);
	int err = errno;

	if (how == TG_TLS_READ_FAILED)
		tg_tls_load_fail(
		    loader, "%s %s cannot be read: %s%s", what, path, strerror(err), remedy(err));
	errno = err;
	return how;
}

static void
warn_kept(struct tg_tls_loader *loader, const char *path, const char *what, int err)
{
	tg_tls_load_warn(loader,
	    "%s %s cannot be read any more: %s; what was loaded of it goes on; to load it anew, "
	    "let the "
	    "group of the process read it (chgrp GROUP %s; chmod 640 %s) and enter its directory, "
	    "or "
	    "restart",
	    what, path, strerror(err), path, path);
}

bool
tg_tls_load_text(
    struct tg_tls_loader *loader, struct tg_str from, const char *what, struct tg_str *text)
{
	char path[PATH_MAX];
	enum tg_tls_read how;

	if (!path_of(from, path))
		return tg_tls_load_fail(loader, "%s: the path is too long", what);
	how = read_one(loader, path, what, text);
	if (how == TG_TLS_READ_KEPT)
		warn_kept(loader, path, what, errno);
	if (how == TG_TLS_READ_FAILED)
		return false;
	tg_tls_digest_add(&loader->digest, *text);
	return true;
}

/* --- one pair ----------------------------------------------------------------------------- */

struct pair {
	char cert[PATH_MAX], key[PATH_MAX], ocsp[PATH_MAX]; /* empty: none */
	bool ocsp_asked;                                    /* and not only looked for */
	struct tg_str cert_text, key_text;
};

/* "dir/name.pem" and ".key": "dir/name.key". False: there is no room, or it is the same. */
static bool
beside(const char *path, const char *ending, char out[PATH_MAX])
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
	size_t len =
	    dot != NULL && (slash == NULL || dot > slash + 1) ? (size_t)(dot - path) : strlen(path);

	if (len + strlen(ending) >= PATH_MAX)
		return false;
	memcpy(out, path, len);
	memcpy(out + len, ending, strlen(ending) + 1);
	return strcmp(path, out) != 0;
}

static bool
has_certificate(struct tg_str text)
{
	static const char mark[] = "CERTIFICATE-----";

	return text.ptr != NULL && memmem(text.ptr, text.len, mark, sizeof(mark) - 1) != NULL;
}

/* Where the key is when nobody says: in the same file, or beside it. */
static bool
find_key(struct tg_tls_loader *loader, struct pair *pair)
{
	if (tg_tls_has_key(pair->cert_text) || !beside(pair->cert, ".key", pair->key)) {
		pair->key[0] = '\0';
		return true;
	}
	if (tg_tls_files_known(loader->files, pair->key))
		return true;
	return tg_tls_load_fail(loader,
	    "%s: its key is neither in it nor in %s; append it, or name the file that it is in",
	    pair->cert, pair->key);
}

/* Both, of one time: when one of them can be read and the other not any more, both are what was loaded. */
static bool
read_pair(struct tg_tls_loader *loader, struct pair *pair)
{
	enum tg_tls_read cert = read_one(loader, pair->cert, "the certificate", &pair->cert_text),
	                 key;
	int err = errno;

	if (cert == TG_TLS_READ_FAILED)
		return false;
	if (cert == TG_TLS_READ_KEPT)
		warn_kept(loader, pair->cert, "the certificate", err);
	if (!has_certificate(pair->cert_text))
		return tg_tls_load_fail(loader,
		    "%s: there is no certificate in it; it must have the form of PEM, with a line "
		    "\"-----BEGIN CERTIFICATE-----\"",
		    pair->cert);
	if (pair->key[0] == '\0' && !find_key(loader, pair))
		return false;
	if (pair->key[0] == '\0')
		return true;
	key = read_one(loader, pair->key, "the key", &pair->key_text);
	err = errno;
	if (key == TG_TLS_READ_FAILED)
		return false;
	if (key == TG_TLS_READ_KEPT)
		warn_kept(loader, pair->key, "the key", err);
	if (cert == TG_TLS_READ_OK && key == TG_TLS_READ_KEPT)
		(void)!tg_tls_files_loaded(loader->files, pair->cert, &pair->cert_text);
	if (cert == TG_TLS_READ_KEPT && key == TG_TLS_READ_OK)
		(void)!tg_tls_files_loaded(loader->files, pair->key, &pair->key_text);
	return true;
}

static void
look_at_dates(struct tg_tls_loader *loader, const struct tg_tls_certificate *certificate)
{
	if (certificate->not_before > time(NULL))
		tg_tls_load_warn(loader,
		    "the certificate %s is not valid yet; clients will refuse it until then",
		    certificate->origin);
}

static bool
attach_ocsp(
    struct tg_tls_loader *loader, struct pair *pair, const struct tg_tls_certificate *certificate)
{
	char problem[TEXT_MAX];
	struct tg_str text = { NULL, 0 };
	bool good;

	if (!pair->ocsp_asked &&
	    (!beside(pair->cert, ".ocsp", pair->ocsp) ||
	        !tg_tls_files_known(loader->files, pair->ocsp)))
		return true;
	if (!tg_tls_load_text(loader, tg_str_of(pair->ocsp), "the OCSP response", &text))
		return false;
	good = tg_tls_ocsp_attach(certificate, text, time(NULL), problem, sizeof(problem));
	tg_tls_digest_add(
	    &loader->digest, good ? TG_STR("shown") : TG_STR("too old")); /* that changes */
	if (!good)
		tg_tls_load_warn(loader, "%s: %s; it is not shown to clients", pair->ocsp, problem);
	return true;
}

static bool
load_file(struct tg_tls_loader *loader, struct pair *pair, struct tg_tls_names *names)
{
	struct tg_tls_certificate *certificate;

	if (!read_pair(loader, pair))
		return false;
	tg_tls_digest_add(&loader->digest, tg_str_of(pair->cert));
	tg_tls_digest_add(&loader->digest, pair->cert_text);
	tg_tls_digest_add(&loader->digest, pair->key_text);
	certificate = tg_tls_certificate_parse(pair->cert_text, pair->key_text, pair->cert,
	    pair->key, loader->error, sizeof(loader->error));
	if (certificate == NULL)
		return false;
	look_at_dates(loader, certificate);
	if (!attach_ocsp(loader, pair, certificate)) {
		tg_tls_certificate_put(certificate);
		return false;
	}
	if (!tg_tls_names_add(names, certificate)) {
		tg_tls_certificate_put(certificate);
		return tg_tls_load_fail(loader, "out of memory");
	}
	return true;
}

/* --- folders ------------------------------------------------------------------------------ */

static bool
ends_in(const char *name, const char *ending)
{
	size_t len = strlen(name), tail = strlen(ending);

	return len > tail && strcmp(name + len - tail, ending) == 0;
}

static bool
load_folder(struct tg_tls_loader *loader, const char *folder, struct tg_str listing,
    struct tg_tls_names *names)
{
	unsigned count = 0;

	for (const char *name = listing.ptr; name < listing.ptr + listing.len;
	     name += strlen(name) + 1) {
		struct pair pair = { .ocsp_asked = false };

		if (!ends_in(name, ".pem") && !ends_in(name, ".crt"))
			continue;
		if (snprintf(pair.cert, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
			return tg_tls_load_fail(
			    loader, "%s: the path of %s is too long", folder, name);
		if (!load_file(loader, &pair, names))
			return false;
		count++;
	}
	if (count > 0)
		return true;
	return tg_tls_load_fail(loader,
	    "%s: there is no certificate in this folder; it must have NAME.pem with the key in it "
	    "or in "
	    "NAME.key, or NAME.crt with NAME.key",
	    folder);
}

bool
tg_tls_load_pair(
    struct tg_tls_loader *loader, const struct tg_tls_pair *from, struct tg_tls_names *names)
{
	struct pair pair = { .ocsp_asked = from->ocsp.ptr != NULL };
	struct tg_str listing;
	enum tg_tls_read how;

	if (!path_of(from->cert, pair.cert) || !path_of(from->key, pair.key) ||
	    !path_of(from->ocsp, pair.ocsp))
		return tg_tls_load_fail(loader, "the path of a certificate is too long");
	if (pair.key[0] != '\0' || pair.ocsp_asked ||
	    !tg_tls_files_is_folder(loader->files, pair.cert))
		return load_file(loader, &pair, names);
	how = tg_tls_files_list(loader->files, pair.cert, &listing);
	if (how == TG_TLS_READ_FAILED)
		return tg_tls_load_fail(loader, "the folder %s cannot be read: %s%s", pair.cert,
		    strerror(errno), remedy(errno));
	if (how == TG_TLS_READ_KEPT)
		warn_kept(loader, pair.cert, "the folder", errno);
	return load_folder(loader, pair.cert, listing, names);
}
