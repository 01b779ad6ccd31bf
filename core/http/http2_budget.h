/* What a peer may cost without anything to show for it: an allowance that comes back with time and with
 * useful work. Who has spent it is cut off (RFC 9113 §10.5). Two of them a connection: for streams that
 * are given up (CVE-2023-44487), and for frames that carry nothing.
 */
#ifndef TG_HTTP_HTTP2_BUDGET_H
#define TG_HTTP_HTTP2_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct tg_http2_budget {
	uint32_t left, most;
	uint32_t a_second; /* come back */
	uint64_t since;    /* ms: what came back with time is counted until then */
};

static inline void
tg_http2_budget_init(struct tg_http2_budget *budget, uint32_t most, uint32_t a_second, uint64_t now)
{
	*budget = (struct tg_http2_budget){ most, most, a_second, now };
}

static inline void
tg_http2_budget_earn(struct tg_http2_budget *budget, uint64_t amount)
{
	uint32_t room = budget->most - budget->left;

	budget->left += amount < room ? (uint32_t)amount : room;
}

/* False: it is spent. */
static inline bool
tg_http2_budget_spend(struct tg_http2_budget *budget, uint64_t now)
{
	if (budget->left == 0) {
		uint64_t back = (now - budget->since) * budget->a_second / 1000;

		if (back == 0)
			return false;
		budget->since = now;
		tg_http2_budget_earn(budget, back);
	}
	budget->left--;
	return true;
}

#endif
