/* Time: the one place where lest asks what time it is. */
#ifndef LEST_BASE_CLOCK_H
#define LEST_BASE_CLOCK_H

#include <stdint.h>

/** Milliseconds of the monotonic clock, for deadlines; the same in all processes of a machine. */
int64_t lest_clock_monotonic_ms(void);

/** Microseconds of the monotonic clock, for measuring. */
int64_t lest_clock_monotonic_us(void);

/** Microseconds since 1970, UTC: by this machine, or by an injected clock (base/clock_file.h). */
int64_t lest_clock_wall_us(void);

/** The same in whole seconds. */
int64_t lest_clock_wall_s(void);

/** From now on the wall clock is the monotonic one and so many microseconds, which others may change
 *  meanwhile; NULL is this machine's wall clock again. Before there are threads.
 *  ahead_us  borrowed for as long */
void lest_clock_inject(const _Atomic int64_t *ahead_us);

/** Microseconds of CPU that this process has used (user and system). */
int64_t lest_clock_cpu_us(void);

#endif
