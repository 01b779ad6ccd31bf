/* Messages between threads: all arrive, in the order of their sender, on the receiver's thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "net/mailbox.h"

enum { SENDERS = 4, EACH = 2000 };

struct receiver {
	struct tg_mailbox mailbox;
	pthread_t thread;
	int seen[SENDERS]; /* how many came of each */
	int total;
	int stop_at; /* the loop, after so many */
	uv_loop_t *loop;
	bool in_order, on_thread;
};

struct number {
	struct tg_message message;
	int sender, n;
};

static void
take(struct tg_message *message, void *arg)
{
	struct number *number = (struct number *)(void *)message;
	struct receiver *receiver = arg;

	receiver->in_order &= number->n == receiver->seen[number->sender]++;
	receiver->on_thread &= pthread_equal(receiver->thread, pthread_self()) != 0;
	free(number);
	if (++receiver->total == receiver->stop_at)
		uv_stop(receiver->loop);
}

static void
send_number(struct receiver *receiver, int sender, int n)
{
	struct number *number = calloc(1, sizeof(*number));

	number->message.run = take;
	number->sender = sender;
	number->n = n;
	tg_mailbox_send(&receiver->mailbox, &number->message);
}

static void
open_on(struct receiver *receiver, uv_loop_t *loop, int stop_at)
{
	*receiver = (struct receiver){ .thread = pthread_self(),
		.stop_at = stop_at,
		.loop = loop,
		.in_order = true,
		.on_thread = true };
	assert_int_equal(uv_loop_init(loop), 0);
	assert_int_equal(tg_mailbox_open(&receiver->mailbox, loop, receiver), 0);
}

/* Run until all that is expected has come. */
static void
run(struct receiver *receiver)
{
	uv_run(receiver->loop, UV_RUN_DEFAULT);
	assert_true(receiver->in_order);
	assert_true(receiver->on_thread);
	assert_int_equal(receiver->total, receiver->stop_at);
}

static void
close_it(struct receiver *receiver)
{
	tg_mailbox_close(&receiver->mailbox);
	uv_run(receiver->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(receiver->loop), 0);
}

static void
messages_wait_until_the_loop_runs(void **state)
{
	struct receiver receiver;
	uv_loop_t loop;

	open_on(&receiver, &loop, 3);
	for (int i = 0; i < 3; i++)
		send_number(&receiver, 0, i);
	assert_int_equal(receiver.total, 0);
	run(&receiver);
	close_it(&receiver);
}

struct sender {
	struct receiver *receiver;
	int index;
};

static void *
send_all(void *arg)
{
	struct sender *sender = arg;

	for (int i = 0; i < EACH; i++)
		send_number(sender->receiver, sender->index, i);
	return NULL;
}

static void
all_threads_are_heard_each_in_its_order(void **state)
{
	struct sender senders[SENDERS];
	pthread_t threads[SENDERS];
	struct receiver receiver;
	uv_loop_t loop;

	open_on(&receiver, &loop, SENDERS * EACH);
	for (int i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ &receiver, i };
		assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
	}
	run(&receiver);
	for (int i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	close_it(&receiver);
}

static void
take_and_answer(struct tg_message *message, void *arg)
{
	struct receiver *receiver = arg;

	free(message);
	send_number(receiver, 0, 0); /* from within a message: it comes in its turn */
}

static void
a_message_may_send_another(void **state)
{
	struct tg_message *message = calloc(1, sizeof(*message));
	struct receiver receiver;
	uv_loop_t loop;

	open_on(&receiver, &loop, 1);
	message->run = take_and_answer;
	tg_mailbox_send(&receiver.mailbox, message);
	run(&receiver);
	close_it(&receiver);
}

static void
closing_takes_what_is_there_first(void **state)
{
	struct receiver receiver;
	uv_loop_t loop;

	open_on(&receiver, &loop, -1);
	for (int i = 0; i < 5; i++)
		send_number(&receiver, 0, i);
	close_it(&receiver);
	assert_int_equal(receiver.total, 5);
	assert_true(receiver.in_order);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_wait_until_the_loop_runs),
		cmocka_unit_test(all_threads_are_heard_each_in_its_order),
		cmocka_unit_test(a_message_may_send_another),
		cmocka_unit_test(closing_takes_what_is_there_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
