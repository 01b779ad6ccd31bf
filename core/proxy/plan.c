#include "proxy/plan.h"

#include <stdlib.h>
#include <uv.h>

enum { PLAN_MAGIC = 0x91a4 };

/* Make room for one more element, zeroed; NULL: out of memory. Plans are small and built once:
 * growing by one keeps it simple. */
static void *
grow(void *list, unsigned count, size_t size)
{
	char *grown = realloc(list, (count + 1) * size);

	if (grown != NULL)
		memset(grown + count * size, 0, size);
	return grown;
}

static struct tg_str
copy_text(struct tg_str from)
{
	struct tg_str copy = { NULL, from.len };
	char *ptr = malloc(from.len + 1);

	if (ptr != NULL) {
		if (from.len > 0)
			memcpy(ptr, from.ptr, from.len);
		ptr[from.len] = '\0';
	}
	copy.ptr = ptr;
	return copy;
}

static void
free_texts(struct tg_str *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		free((char *)(uintptr_t)list[i].ptr);
	free(list);
}

struct tg_plan *
tg_plan_new(unsigned threads)
{
	struct tg_plan *plan = calloc(1, sizeof(*plan));

	if (plan == NULL)
		return NULL;
	plan->magic = PLAN_MAGIC;
	plan->threads = threads;
	atomic_init(&plan->refs, 1);
	return plan;
}

struct tg_plan *
tg_plan_get(struct tg_plan *plan)
{
	TG_CHECK(plan, PLAN_MAGIC);
	atomic_fetch_add(&plan->refs, 1);
	return plan;
}

static void
free_backend(struct tg_plan_backend *backend)
{
	for (unsigned i = 0; i < backend->count; i++) {
		tg_server_put(backend->servers[i].server);
		free(backend->servers[i].views);
	}
	free(backend->servers);
	tg_backend_state_put(backend->state);
}

enum { PROCESS_TEXTS = 6 };

static void
process_texts(struct tg_process_options *options, struct tg_str *texts[PROCESS_TEXTS])
{
	texts[0] = &options->where;
	texts[1] = &options->control;
	texts[2] = &options->user;
	texts[3] = &options->group;
	texts[4] = &options->chroot;
	texts[5] = &options->pid_file;
}

static void
free_process(struct tg_process_options *options)
{
	struct tg_str *texts[PROCESS_TEXTS];

	process_texts(options, texts);
	for (unsigned i = 0; i < PROCESS_TEXTS; i++)
		free((char *)(uintptr_t)texts[i]->ptr);
}

int
tg_plan_set_process(struct tg_plan *plan, const struct tg_process_options *options)
{
	struct tg_process_options copy = *options;
	struct tg_str *texts[PROCESS_TEXTS];
	bool copied = true;

	process_texts(&copy, texts);
	for (unsigned i = 0; i < PROCESS_TEXTS; i++) {
		*texts[i] = copy_text(*texts[i]);
		copied = copied && texts[i]->ptr != NULL;
	}
	if (!copied) {
		free_process(&copy);
		return UV_ENOMEM;
	}
	free_process(&plan->process);
	plan->process = copy;
	return 0;
}

static void
free_listener(struct tg_plan_listener *listener)
{
	for (unsigned i = 0; i < listener->capture_count; i++)
		free((char *)(uintptr_t)listener->captures[i].name.ptr);
	free(listener->captures);
	free(listener->networks);
	tg_listener_state_put(listener->state);
}

void
tg_plan_put(struct tg_plan *plan)
{
	TG_CHECK(plan, PLAN_MAGIC);
	if (atomic_fetch_sub(&plan->refs, 1) != 1)
		return;
	for (unsigned i = 0; i < plan->listener_count; i++)
		free_listener(&plan->listeners[i]);
	free(plan->listeners);
	for (unsigned i = 0; i < plan->backend_count; i++)
		free_backend(&plan->backends[i]);
	free(plan->backends);
	for (unsigned i = 0; i < plan->sink_count; i++)
		free((char *)(uintptr_t)plan->sinks[i].target.ptr);
	free(plan->sinks);
	for (unsigned i = 0; i < plan->tls_count; i++)
		tg_tls_context_put(plan->tls[i]);
	free(plan->tls);
	free_texts(plan->files, plan->file_count);
	free_texts(plan->errors, plan->error_count);
	free_texts(plan->warnings, plan->warning_count);
	free_process(&plan->process);
	plan->magic = 0;
	free(plan);
}

int
tg_plan_add_tls(struct tg_plan *plan, struct tg_tls_context *context)
{
	struct tg_tls_context **list =
	    grow(plan->tls, plan->tls_count, sizeof(struct tg_tls_context *));

	if (list == NULL) {
		tg_tls_context_put(context);
		return UV_ENOMEM;
	}
	plan->tls = list;
	list[plan->tls_count] = context;
	return (int)++plan->tls_count;
}

/* By its number; NULL for 0. */
static struct tg_tls_context *
find_tls(const struct tg_plan *plan, int32_t number)
{
	tg_assert(number >= 0 && (unsigned)number <= plan->tls_count);
	return number > 0 ? plan->tls[number - 1] : NULL;
}

int
tg_plan_add_listener(struct tg_plan *plan, struct tg_listener_state *state,
    const struct tg_addr *addr, const struct tg_listener_options *options)
{
	struct tg_plan_listener *list = grow(plan->listeners, plan->listener_count, sizeof(*list));
	struct tg_plan_listener *listener;

	if (list == NULL) {
		tg_listener_state_put(state);
		return UV_ENOMEM;
	}
	plan->listeners = list;
	listener = &list[plan->listener_count];
	listener->state = state;
	listener->address = state->address;
	listener->addr = *addr;
	listener->options = *options;
	listener->tls = find_tls(plan, options->tls);
	listener->limits = (struct tg_http1_limits){
		.head = (uint32_t)options->max_head,
		.uri = (uint32_t)options->max_uri,
		.fields = (uint32_t)options->max_fields,
	};
	return (int)plan->listener_count++;
}

int
tg_plan_add_capture(struct tg_plan *plan, unsigned index, const struct tg_capture *capture)
{
	struct tg_plan_listener *listener = &plan->listeners[index];
	struct tg_capture *list = grow(listener->captures, listener->capture_count, sizeof(*list));

	if (list == NULL)
		return UV_ENOMEM;
	listener->captures = list;
	list += listener->capture_count;
	*list = *capture;
	list->name = copy_text(capture->name);
	if (list->name.ptr == NULL)
		return UV_ENOMEM;
	return (int)listener->capture_count++;
}

int
tg_plan_add_network(struct tg_plan *plan, unsigned index, const struct tg_network *network)
{
	struct tg_plan_listener *listener = &plan->listeners[index];
	struct tg_network *list = grow(listener->networks, listener->network_count, sizeof(*list));

	if (list == NULL)
		return UV_ENOMEM;
	listener->networks = list;
	list[listener->network_count] = *network;
	return (int)listener->network_count++;
}

int
tg_plan_add_backend(
    struct tg_plan *plan, struct tg_backend_state *state, const struct tg_backend_options *options)
{
	struct tg_plan_backend *list = grow(plan->backends, plan->backend_count, sizeof(*list));

	if (list == NULL) {
		tg_backend_state_put(state);
		return UV_ENOMEM;
	}
	plan->backends = list;
	list[plan->backend_count].state = state;
	list[plan->backend_count].name = state->name;
	list[plan->backend_count].options = *options;
	list[plan->backend_count].tls = find_tls(plan, options->tls);
	return (int)plan->backend_count++;
}

int
tg_plan_add_server(struct tg_plan *plan, unsigned index, struct tg_server *server,
    const struct tg_server_options *options)
{
	struct tg_plan_backend *backend = &plan->backends[index];
	struct tg_plan_server *list = grow(backend->servers, backend->count, sizeof(*list));
	struct tg_server_view *views = calloc(plan->threads, sizeof(*views));

	if (list != NULL)
		backend->servers = list;
	if (list == NULL || views == NULL) {
		free(views);
		tg_server_put(server);
		return UV_ENOMEM;
	}
	list[backend->count].server = server;
	list[backend->count].options = *options;
	list[backend->count].views = views;
	return (int)backend->count++;
}

int
tg_plan_add_sink(struct tg_plan *plan, struct tg_str target, const struct tg_sink_options *options)
{
	struct tg_plan_sink *list = grow(plan->sinks, plan->sink_count, sizeof(*list));

	if (list == NULL)
		return UV_ENOMEM;
	plan->sinks = list;
	list[plan->sink_count].target = copy_text(target);
	list[plan->sink_count].options = *options;
	if (list[plan->sink_count].target.ptr == NULL)
		return UV_ENOMEM;
	return (int)plan->sink_count++;
}

int
tg_plan_add_text(struct tg_str **list, unsigned *count, struct tg_str text)
{
	struct tg_str *grown = grow(*list, *count, sizeof(*grown));

	if (grown == NULL)
		return UV_ENOMEM;
	*list = grown;
	grown[*count] = copy_text(text);
	if (grown[*count].ptr == NULL)
		return UV_ENOMEM;
	return (int)(*count)++;
}

/* --- servers ------------------------------------------------------------------------------ */

/* Is it a server, regular or backup, that any request may go to? `spoken`: and not silent? */
static bool
is_open(const struct tg_plan_server *entry, bool backup, bool spoken)
{
	return entry->options.backup == (int)backup && entry->options.weight > 0 &&
	    tg_server_open(entry->server) && !(spoken && tg_server_silent(entry->server));
}

/* The first of these; -1: none. */
static int
first_open(const struct tg_plan_backend *backend, bool backup, bool spoken)
{
	for (unsigned i = 0; i < backend->count; i++)
		if (is_open(&backend->servers[i], backup, spoken))
			return (int)i;
	return -1;
}

bool
tg_plan_candidate(const struct tg_plan_backend *backend, unsigned index)
{
	static const struct {
		bool backup, spoken;
	} orders[] = { { false, true }, { true, true }, { false, false }, { true, false } };

	for (unsigned i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		bool backup = orders[i].backup, spoken = orders[i].spoken;
		int first = first_open(backend, backup, spoken);

		if (first >= 0)
			return is_open(&backend->servers[index], backup, spoken) &&
			    (!backup || backend->options.all_backups || first == (int)index);
	}
	return false;
}

bool
tg_plan_has_candidate(const struct tg_plan_backend *backend)
{
	return first_open(backend, false, false) >= 0 || first_open(backend, true, false) >= 0;
}

/* --- what outlives a plan ----------------------------------------------------------------- */

struct tg_backend_state *
tg_backend_state_new(unsigned workers, struct tg_str name)
{
	size_t cells = sizeof(struct tg_backend_state) + workers * sizeof(struct tg_backend_cell);
	size_t size = (cells + name.len + 1 + 63) & ~(size_t)63;
	struct tg_backend_state *state = aligned_alloc(64, size);

	if (state == NULL)
		return NULL;
	memset(state, 0, size);
	atomic_init(&state->refs, 1);
	atomic_init(&state->epoch, 0);
	state->cells_len = workers;
	state->name =
	    (struct tg_str){ memcpy((char *)state + cells, name.ptr, name.len), name.len };
	if (tg_queue_init(&state->queue) != 0) {
		free(state);
		return NULL;
	}
	return state;
}

struct tg_backend_state *
tg_backend_state_get(struct tg_backend_state *state)
{
	atomic_fetch_add(&state->refs, 1);
	return state;
}

void
tg_backend_state_put(struct tg_backend_state *state)
{
	if (atomic_fetch_sub(&state->refs, 1) != 1)
		return;
	tg_queue_fini(&state->queue);
	free(state);
}

struct tg_listener_state *
tg_listener_state_new(struct tg_str address)
{
	struct tg_listener_state *state = calloc(1, sizeof(*state) + address.len + 1);
	char *text = (char *)(state + 1);

	if (state == NULL)
		return NULL;
	atomic_init(&state->refs, 1);
	state->address = (struct tg_str){ memcpy(text, address.ptr, address.len), address.len };
	return state;
}

struct tg_listener_state *
tg_listener_state_get(struct tg_listener_state *state)
{
	atomic_fetch_add(&state->refs, 1);
	return state;
}

void
tg_listener_state_put(struct tg_listener_state *state)
{
	if (atomic_fetch_sub(&state->refs, 1) == 1)
		free(state);
}
