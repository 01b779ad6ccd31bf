/* Sockets of scripts (tide.tcp): a connection and a buffer that belong to one task. Operations
 * are waits of the task; one at a time.
 */
#ifndef TG_POLICY_SOCK_H
#define TG_POLICY_SOCK_H

#include "policy/task.h"

enum { TG_SOCK_BUFFER_MAX = 16 * 1024 * 1024 };

/* Begin the wait in vm->call (CONNECT, SECURE, SEND, BYTES, LINE, ALL). 1: done at once, the result is
 * in *code and *received; 0: the task will be woken. */
TG_MUST_USE int tg_sock_wait(struct tg_task *task, int *code, struct tg_str *received);

/* The task waits no longer (its time is over). */
void tg_sock_abandon(struct tg_sock *sock);

/* The bytes received so far, for the error case. */
struct tg_str tg_sock_partial(struct tg_sock *sock);

/* Close all sockets of a task. */
void tg_socks_close(struct tg_task *task);

#endif
