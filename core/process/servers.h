/* What becomes of a server, seen by the control thread: its checks have found it up or down, an
 * operator or a script wants it drained or disabled, the configuration says so. All threads see the
 * change in struct tg_server; the workers are told where there is something to do.
 */
#ifndef TG_PROCESS_SERVERS_H
#define TG_PROCESS_SERVERS_H

#include "process/control.h"

/* A tg_server_health_fn; the argument is the struct tg_control. Control thread. */
void tg_servers_health(
    void *control, struct tg_backend_state *backend, struct tg_server *server, bool up);

/* A tg_server_admin_fn; the argument is the struct tg_control. Any thread. */
void tg_servers_admin(void *control, struct tg_backend_state *backend, struct tg_server *server,
    int admin, struct tg_str by);

/* Before the switch to a plan: servers get the limit that it declares, and the state, unless it has
 * declared the same before (what an operator has changed since then stays). */
void tg_servers_declare(struct tg_control *control, const struct tg_plan *plan);

/* "BACKEND/SERVER STATE", from the control socket: whether it was done, and the answer, static
 * memory. */
bool tg_servers_command(struct tg_control *control, struct tg_str words, const char **answer);

#endif
