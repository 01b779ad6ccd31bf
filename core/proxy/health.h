/* What the checks of a server have found: it outlives reloads with its server. How many results in
 * a row take a server out or bring it back is policy (lua/tidegate/checker.lua); here they are
 * counted. Control thread only, but for what is atomic.
 */
#ifndef TG_PROXY_HEALTH_H
#define TG_PROXY_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/str.h"

struct tg_plan;
struct tg_server;

struct tg_health {
	bool begun;                  /* it has its initial state */
	bool wanted;                 /* the current plan checks it */
	bool running;                /* a check of it has not ended yet */
	bool failed;                 /* the last check did */
	int row;                     /* results of one kind in a row; negative: failures */
	int credit;                  /* what its first results in a row count more */
	uint32_t downs;              /* times it was taken out */
	uint64_t checks, failures;   /* results so far, and those that were bad */
	int64_t checked_ms;          /* when the last check ended; 0: none has */
	int64_t due_ms;              /* when the next one begins; 0: that was never planned */
	int64_t down_ms;             /* time it was down in all, before `since_ms` */
	char *reason;                /* of the last check, when it failed; may be NULL */
	_Atomic int64_t since_ms;    /* any thread: when its state last changed, or began */
	_Atomic int32_t duration_ms; /* any thread: of the last check; -1: none has ended */
};

/* A server that nobody knew: up or down, and with so many results in a row credited to it before
 * the first. Does nothing for one that has begun: what is known of it counts more. */
void tg_health_begin(struct tg_server *server, bool up, int credit);

/* The result of a check. How many of this kind came in a row, credit included, negative for
 * failures. */
int tg_health_record(
    struct tg_server *server, bool good, int64_t duration_ms, struct tg_str reason);

/* Take the server out, or bring it back; false: it was so already. */
TG_MUST_USE bool tg_health_turn(struct tg_server *server, bool up);

/* It was disabled, and who knows what has become of it: up or down as before, but the next check
 * decides, as if it were new. */
void tg_health_doubt(struct tg_server *server);

/* Something else about the server has changed: `since_ms` is now. How long it had not changed, in
 * ms. */
int64_t tg_health_touch(struct tg_server *server);

/* The plan is the current one: servers that it does not check must not stay down for ever, nor be
 * taken out by a check that the last one had begun. */
void tg_health_follow(struct tg_plan *plan);

#endif
