#include "net/tls_sessions.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MAX = 1024 }; /* more servers (or addresses of them) than that begin anew each time */

struct slot {
	struct tg_tls_sessions *owner; /* constant */
	struct slot *next;             /* constant */
	SSL_SESSION *session;          /* under the owner's lock; NULL: none yet */
	const char *name;              /* constant: in the same memory, behind: */
	char server[];                 /* constant */
};

struct tg_tls_sessions {
	pthread_mutex_t lock; /* of: */
	struct slot *list;    /* freed with this only: SSLs point to them */
	unsigned count;
};

static int slot_index; /* of SSL's extra data; constant after: */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
make_index(void)
{
	slot_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	tg_assert(slot_index >= 0);
}

struct tg_tls_sessions *
tg_tls_sessions_new(void)
{
	struct tg_tls_sessions *sessions = calloc(1, sizeof(*sessions));

	pthread_once(&once, make_index);
	if (sessions != NULL && pthread_mutex_init(&sessions->lock, NULL) != 0) {
		free(sessions);
		return NULL;
	}
	return sessions;
}

void
tg_tls_sessions_free(struct tg_tls_sessions *sessions)
{
	struct slot *next;

	for (struct slot *slot = sessions->list; slot != NULL; slot = next) {
		next = slot->next;
		SSL_SESSION_free(slot->session);
		free(slot);
	}
	pthread_mutex_destroy(&sessions->lock);
	free(sessions);
}

/* Under the lock. NULL: there are too many, or no memory. */
static struct slot *
find_or_add(struct tg_tls_sessions *sessions, const char *server, const char *name)
{
	size_t server_size = strlen(server) + 1, name_size = strlen(name) + 1;
	struct slot *slot;

	for (slot = sessions->list; slot != NULL; slot = slot->next)
		if (strcmp(slot->server, server) == 0 && strcmp(slot->name, name) == 0)
			return slot;
	if (sessions->count == SLOTS_MAX)
		return NULL;
	slot = calloc(1, sizeof(*slot) + server_size + name_size);
	if (slot == NULL)
		return NULL;
	memcpy(slot->server, server, server_size);
	slot->name = memcpy(slot->server + server_size, name, name_size);
	slot->owner = sessions;
	slot->next = sessions->list;
	sessions->list = slot;
	sessions->count++;
	return slot;
}

bool
tg_tls_sessions_join(
    struct tg_tls_sessions *sessions, SSL *ssl, const char *server, const char *name)
{
	SSL_SESSION *copy = NULL;
	struct slot *slot;
	bool good;

	pthread_mutex_lock(&sessions->lock);
	slot = find_or_add(sessions, server, name);
	if (slot != NULL && slot->session != NULL)
		copy = SSL_SESSION_dup(slot->session);
	pthread_mutex_unlock(&sessions->lock);
	good = SSL_set_ex_data(ssl, slot_index, slot) == 1 &&
	    (copy == NULL || SSL_set_session(ssl, copy) == 1);
	SSL_SESSION_free(copy);
	return good;
}

int
tg_tls_sessions_on_new(SSL *ssl, SSL_SESSION *session)
{
	struct slot *slot = SSL_get_ex_data(ssl, slot_index);
	SSL_SESSION *copy, *old;

	if (slot == NULL || !SSL_SESSION_is_resumable(session))
		return 0;
	copy = SSL_SESSION_dup(session);
	if (copy == NULL)
		return 0;
	pthread_mutex_lock(&slot->owner->lock);
	old = slot->session;
	slot->session = copy;
	pthread_mutex_unlock(&slot->owner->lock);
	SSL_SESSION_free(old);
	return 0; /* we have not kept a reference to what was given */
}
