/* Networks: what they are called, and who is in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/network.h"

static const struct {
	const char *network, *address;
	int has; /* -1: it is no network */
} rows[] = {
	{ "10.0.0.0/8", "10.255.0.1:1", 1 },
	{ "10.0.0.0/8", "11.0.0.1:1", 0 },
	{ "10.0.0.0/8", "[::ffff:10.1.2.3]:1", 1 },
	{ "10.0.0.128/25", "10.0.0.127:1", 0 },
	{ "10.0.0.128/25", "10.0.0.128:1", 1 },
	{ "192.0.2.1", "192.0.2.1:1", 1 },
	{ "192.0.2.1", "192.0.2.2:1", 0 },
	{ "192.0.2.1/32", "192.0.2.1:1", 1 },
	{ "0.0.0.0/0", "192.0.2.1:1", 1 },
	{ "0.0.0.0/0", "[2001:db8::1]:1", 0 },
	{ "::/0", "[2001:db8::1]:1", 1 },
	{ "2001:db8::/32", "[2001:db8:1::1]:1", 1 },
	{ "2001:db8::/32", "[2001:db9::1]:1", 0 },
	{ "::1", "[::1]:1", 1 },
	{ "all", "192.0.2.1:1", 1 },
	{ "all", "[2001:db8::1]:1", 1 },
	{ "all", "unix:/a", 1 },
	{ "unix", "unix:/a", 1 },
	{ "unix", "192.0.2.1:1", 0 },
	{ "10.0.0.0/8", "unix:/a", 0 },
	{ "10.0.0.1/8", "", -1 },
	{ "10.0.0.0/33", "", -1 },
	{ "10.0.0.0/", "", -1 },
	{ "10.0.0.0/08", "", -1 },
	{ "10.0.0.0/-1", "", -1 },
	{ "10.0.0/8", "", -1 },
	{ "::/129", "", -1 },
	{ "example.com", "", -1 },
	{ "", "", -1 },
	{ "/8", "", -1 },
};

static void
a_network_has_its_addresses(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tg_network network;
		struct tg_addr addr;
		struct tg_str host;
		uint16_t port;

		if (rows[i].has < 0) {
			if (tg_network_parse(tg_str_of(rows[i].network), &network))
				fail_msg("%s is taken for a network", rows[i].network);
			continue;
		}
		assert_true(tg_network_parse(tg_str_of(rows[i].network), &network));
		assert_int_equal(
		    tg_addr_parse(tg_str_of(rows[i].address), false, &addr, &host, &port), 0);
		if (tg_network_has(&network, &addr) != (rows[i].has == 1))
			fail_msg("%s in %s", rows[i].address, rows[i].network);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_network_has_its_addresses) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
