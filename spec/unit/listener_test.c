/* What a listener's sockets are set to before anybody connects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/listener.h"

/* Nobody sets it again for each connection: a response in two writes must not wait for the client's ACK. */
static void
test_accepted_sockets_do_not_delay(void **state)
{
	static const char *const addresses[] = { "127.0.0.1:0", "[::1]:0" };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct tg_addr address, at;
		struct tg_str host;
		uint16_t port;
		int on = 0, listener, client, accepted;
		socklen_t len = sizeof(on);

		assert_int_equal(
		    tg_addr_parse(tg_str_of(addresses[i]), true, &address, &host, &port),
		    TG_ADDR_OK);
		listener = tg_listener_bind(&address, &at);
		assert_true(listener >= 0);
		client = socket(at.sa.sa_family, SOCK_STREAM, 0);
		assert_int_equal(connect(client, &at.sa, at.len), 0);
		accepted = accept(listener, NULL, NULL);
		assert_true(accepted >= 0);
		assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
		assert_int_equal(on, 1);
		close(accepted);
		close(client);
		close(listener);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted_sockets_do_not_delay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
