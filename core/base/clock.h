/* The two clocks: one that never jumps, for durations, and one that people read, for logs and
 * headers. Never compute a timeout from the wall clock. Any thread.
 */
#ifndef TG_BASE_CLOCK_H
#define TG_BASE_CLOCK_H

#include <stdint.h>

/* Microseconds of CLOCK_MONOTONIC, the clock of uv_hrtime(): since some unspecified start, never
 * backwards, not counting the time that the machine was suspended. */
uint64_t tg_clock_us(void);

/* Milliseconds since 1970-01-01 00:00 UTC. May jump in both directions. */
uint64_t tg_clock_wall_ms(void);

#endif
