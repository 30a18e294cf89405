/* Time. */
#ifndef LEST_BASE_CLOCK_H
#define LEST_BASE_CLOCK_H

#include <stdint.h>

/** Milliseconds of the monotonic clock, for deadlines; the same in all processes of a machine. */
int64_t lest_clock_monotonic_ms(void);

/** Microseconds of the monotonic clock, for measuring. */
int64_t lest_clock_monotonic_us(void);

/** Microseconds since 1970, UTC. */
int64_t lest_clock_wall_us(void);

/** Microseconds of CPU that this process has used (user and system). */
int64_t lest_clock_cpu_us(void);

#endif
