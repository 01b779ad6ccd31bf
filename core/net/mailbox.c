#include "net/mailbox.h"

enum { MAILBOX_MAGIC = 0x3a11b0c5 };

static void
on_async(uv_async_t *async)
{
	struct tg_mailbox *mailbox = async->data;
	struct tg_link *link;

	for (;;) {
		uv_mutex_lock(&mailbox->lock);
		link = tg_list_pop_front(&mailbox->messages);
		uv_mutex_unlock(&mailbox->lock);
		if (link == NULL)
			return;
		struct tg_message *message = tg_container_of(link, struct tg_message, link);
		message->run(message, mailbox->receiver);
	}
}

int
tg_mailbox_open(struct tg_mailbox *mailbox, uv_loop_t *loop, void *receiver)
{
	int err = uv_mutex_init(&mailbox->lock);

	if (err != 0)
		return err;
	tg_link_init(&mailbox->messages);
	mailbox->receiver = receiver;
	err = uv_async_init(loop, &mailbox->async, on_async);
	if (err != 0) {
		uv_mutex_destroy(&mailbox->lock);
		return err;
	}
	mailbox->async.data = mailbox;
	mailbox->magic = MAILBOX_MAGIC;
	return 0;
}

void
tg_mailbox_send(struct tg_mailbox *mailbox, struct tg_message *message)
{
	TG_CHECK(mailbox, MAILBOX_MAGIC);
	uv_mutex_lock(&mailbox->lock);
	tg_link_init(&message->link);
	tg_list_push_back(&mailbox->messages, &message->link);
	uv_mutex_unlock(&mailbox->lock);
	uv_async_send(&mailbox->async);
}

static void
on_closed(uv_handle_t *handle)
{
	struct tg_mailbox *mailbox = handle->data;

	tg_assert(tg_list_empty(&mailbox->messages));
	uv_mutex_destroy(&mailbox->lock);
	mailbox->magic = 0;
}

void
tg_mailbox_close(struct tg_mailbox *mailbox)
{
	TG_CHECK(mailbox, MAILBOX_MAGIC);
	on_async(&mailbox->async);
	uv_close((uv_handle_t *)&mailbox->async, on_closed);
}
