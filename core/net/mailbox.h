/* The one way by which threads speak to each other: a message is a struct of the sender's that
 * the receiver runs on its own loop and then owns. Sending never blocks for long (one short
 * mutex) and never fails.
 */
#ifndef TG_NET_MAILBOX_H
#define TG_NET_MAILBOX_H

#include <uv.h>

#include "base/assert.h"
#include "base/list.h"

struct tg_message {
	struct tg_link link;
	/* Runs on the receiver's thread, which owns the message from then on. */
	void (*run)(struct tg_message *message, void *receiver);
};

struct tg_mailbox {
	uint32_t magic;
	uv_async_t async;
	uv_mutex_t lock;
	struct tg_link messages; /* under lock */
	void *receiver;
};

/* On the receiver's loop. 0 or a negative libuv code. */
TG_MUST_USE int tg_mailbox_open(struct tg_mailbox *mailbox, uv_loop_t *loop, void *receiver);

/* Any thread, between open and close. Messages of one sender arrive in order. */
void tg_mailbox_send(struct tg_mailbox *mailbox, struct tg_message *message);

/* Receiver's thread; nobody may send any more. The memory must live until the loop has run. */
void tg_mailbox_close(struct tg_mailbox *mailbox);

#endif
