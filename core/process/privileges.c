#include "process/privileges.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 256, PROBLEM_MAX = 1024, GROUPS_FIRST = 32 };

static char problem[PROBLEM_MAX];

/* --- names -------------------------------------------------------------------------------- */

/* A C string of it; false: too long, or no name at all. */
static bool
copy_name(struct tg_str text, char *name)
{
	if (text.len >= NAME_MAX_BYTES || memchr(text.ptr, '\0', text.len) != NULL)
		return false;
	memcpy(name, text.ptr, text.len);
	name[text.len] = '\0';
	return true;
}

/* A number that can be an id: not the one that means "leave it as it is". */
static bool
parse_id(const char *text, unsigned *id)
{
	unsigned long n;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (*end != '\0' || errno != 0 || n >= UINT_MAX)
		return false;
	*id = (unsigned)n;
	return true;
}

/* The user, and the main group, for when no other is named. */
static const char *
find_user(struct tg_identity *identity, const char *name, bool has_group)
{
	const struct passwd *entry = getpwnam(name);
	bool is_number = entry == NULL && parse_id(name, &identity->uid);

	if (is_number)
		entry = getpwuid(identity->uid);
	if (entry == NULL && is_number && has_group) /* as in containers: numbers without names */
		return NULL;
	if (entry == NULL && is_number) {
		snprintf(problem, sizeof(problem),
		    "no user has the number %s: what is its group? Name that too (group = \"%s\")",
		    name, name);
		return problem;
	}
	if (entry == NULL) {
		snprintf(problem, sizeof(problem),
		    "there is no user \"%s\"; make it (adduser --system --group %s), or name "
		    "another",
		    name, name);
		return problem;
	}
	identity->uid = entry->pw_uid;
	identity->gid = entry->pw_gid;
	return NULL;
}

static const char *
find_group(struct tg_identity *identity, const char *name)
{
	const struct group *entry = getgrnam(name);
	unsigned id;

	if (entry != NULL) {
		identity->gid = entry->gr_gid;
	} else if (parse_id(name, &id)) {
		identity->gid = id;
	} else {
		snprintf(problem, sizeof(problem),
		    "there is no group \"%s\"; make it (addgroup --system %s), or name another",
		    name, name);
		return problem;
	}
	return NULL;
}

/* The groups that the user is in, and the main one. */
static const char *
find_groups(struct tg_identity *identity, const char *user)
{
	int count = GROUPS_FIRST, had;
	const struct passwd *entry = user[0] != '\0' ? getpwnam(user) : NULL;

	if (entry == NULL && user[0] != '\0') /* a number; accounts may share one */
		entry = getpwuid(identity->uid);
	do {
		gid_t *grown = realloc(identity->groups, (size_t)count * sizeof(*grown));

		if (grown == NULL)
			return "out of memory";
		identity->groups = grown;
		had = count;
		if (entry == NULL) {
			grown[0] = identity->gid;
			count = 1;
			break;
		}
	} while (getgrouplist(entry->pw_name, identity->gid, identity->groups, &count) < 0 &&
	    count > had);
	identity->group_count = count;
	return NULL;
}

const char *
tg_identity_find(struct tg_identity *identity, struct tg_str user, struct tg_str group)
{
	char user_name[NAME_MAX_BYTES], group_name[NAME_MAX_BYTES];
	const char *wrong = NULL;

	*identity = (struct tg_identity){ .uid = getuid(), .gid = getgid() };
	identity->wanted = user.len > 0 || group.len > 0;
	if (!identity->wanted)
		return NULL;
	if (!copy_name(user, user_name) || !copy_name(group, group_name))
		return "this cannot be the name of a user or a group";
	if (user.len > 0)
		wrong = find_user(identity, user_name, group.len > 0);
	if (wrong == NULL && group.len > 0)
		wrong = find_group(identity, group_name);
	return wrong != NULL ? wrong : find_groups(identity, user_name);
}

void
tg_identity_fini(struct tg_identity *identity)
{
	free(identity->groups);
	identity->groups = NULL;
}

const char *
tg_identity_error(struct tg_str user, struct tg_str group)
{
	struct tg_identity identity;
	const char *wrong = tg_identity_find(&identity, user, group);

	tg_identity_fini(&identity);
	return wrong;
}

/* --- capabilities ------------------------------------------------------------------------- */

enum { CAPABILITY_WORDS = 2, BIND_BIT = 1 << CAP_NET_BIND_SERVICE };

struct capabilities {
	struct __user_cap_data_struct words[CAPABILITY_WORDS];
};

static int
get_capabilities(struct capabilities *now)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	*now = (struct capabilities){ 0 };
	return syscall(SYS_capget, &header, now->words) != 0 ? -errno : 0;
}

/* Nothing but `bits`; nothing that programs we start would inherit. */
static int
set_capabilities(unsigned bits)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct capabilities wanted = { .words = { { .permitted = bits, .effective = bits } } };

	return syscall(SYS_capset, &header, wanted.words) != 0 ? -errno : 0;
}

static bool
has_only(unsigned bits)
{
	struct capabilities now;

	return get_capabilities(&now) == 0 && now.words[0].permitted == bits &&
	    now.words[0].effective == bits && now.words[0].inheritable == 0 &&
	    now.words[1].permitted == 0 && now.words[1].effective == 0 &&
	    now.words[1].inheritable == 0;
}

/* --- the drop ----------------------------------------------------------------------------- */

static bool
has_ids(const struct tg_identity *identity)
{
	uid_t uid[3];
	gid_t gid[3];

	if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
		return false;
	for (int i = 0; i < 3; i++)
		if (uid[i] != identity->uid || gid[i] != identity->gid)
			return false;
	return true;
}

static bool
is_member(gid_t gid, const gid_t *groups, int count)
{
	for (int i = 0; i < count; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* No group that was not asked for. */
static bool
has_groups(const struct tg_identity *identity)
{
	int count = getgroups(0, NULL);
	gid_t *now = count > 0 ? calloc((size_t)count, sizeof(*now)) : NULL;
	bool good = count >= 0 && (count == 0 || now != NULL);

	if (good && count > 0)
		good = getgroups(count, now) == count;
	for (int i = 0; good && i < count; i++)
		good = is_member(now[i], identity->groups, identity->group_count);
	for (int i = 0; good && i < identity->group_count; i++)
		good = is_member(identity->groups[i], now, count);
	free(now);
	return good;
}

/* Root must be out of reach, not only out of sight. */
static bool
is_final(const struct tg_identity *identity, unsigned kept)
{
	return has_ids(identity) &&
	    (identity->uid == 0 || (has_only(kept) && setresuid((uid_t)-1, 0, (uid_t)-1) != 0));
}

static unsigned
bits_to_keep(void)
{
	struct capabilities had;

	return get_capabilities(&had) == 0 ? had.words[0].permitted & BIND_BIT : 0;
}

static int
enter_root(const char *root, const char **step)
{
	struct stat wanted, now;

	*step = "chroot";
	if (stat(root, &wanted) != 0 || chroot(root) != 0 || chdir("/") != 0)
		return -errno;
	if (stat("/", &now) != 0 || now.st_dev != wanted.st_dev || now.st_ino != wanted.st_ino)
		return -EPERM;
	return 0;
}

static int
become(const struct tg_identity *identity, const char **step)
{
	unsigned keep = bits_to_keep();

	*step = "prctl(PR_SET_KEEPCAPS)";
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		return -errno;
	*step = "setgroups";
	if (setgroups((size_t)identity->group_count, identity->groups) != 0)
		return -errno;
	*step = "setgid";
	if (setresgid(identity->gid, identity->gid, identity->gid) != 0)
		return -errno;
	*step = "setuid";
	if (setresuid(identity->uid, identity->uid, identity->uid) != 0)
		return -errno;
	*step = "capset";
	if (identity->uid != 0 && set_capabilities(keep) != 0)
		return -errno;
	*step = "a look at the result";
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0 || !has_groups(identity) ||
	    !is_final(identity, keep))
		return -EPERM;
	return 0;
}

/* Who is that user already (systemd's User=) needs no right to become it, and keeps the groups that
 * it was given (SupplementaryGroups=). */
static int
stay(const struct tg_identity *identity, const char **step)
{
	unsigned keep = bits_to_keep();

	*step = "capset";
	if (set_capabilities(keep) != 0)
		return -errno;
	*step = "a look at the result";
	return is_final(identity, keep) ? 0 : -EPERM;
}

int
tg_privileges_drop(const struct tg_identity *identity, const char **step)
{
	int err = 0;

	if (identity->root != NULL)
		err = enter_root(identity->root, step);
	if (err == 0 && identity->wanted)
		err = geteuid() != 0 && has_ids(identity) ? stay(identity, step)
		                                          : become(identity, step);
	if (err != 0 || (!identity->wanted && identity->root == NULL))
		return err;
	*step = "prctl(PR_SET_NO_NEW_PRIVS)";
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ? -errno : 0;
}
