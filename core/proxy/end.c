#include "proxy/end.h"

#include "base/assert.h"

static const struct tg_end_row rows[] = { { { "", 0 }, 0, { "", 0 }, { "", 0 } },
#define END_ROW(id, name, status, code, text)                                                      \
	{ { name, sizeof(name) - 1 }, status, { code, sizeof(code) - 1 },                          \
		{ text, sizeof(text) - 1 } },
	TG_END_ROWS(END_ROW)
#undef END_ROW
};

const struct tg_end_row *
tg_end_row(enum tg_end end)
{
	tg_assert(end < TG_END_COUNT);
	return &rows[end];
}
