#include "base/clock.h"

#include <time.h>

static int64_t now_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t lest_clock_monotonic_ms(void)
{
    return now_us(CLOCK_MONOTONIC) / 1000;
}

int64_t lest_clock_monotonic_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

int64_t lest_clock_wall_us(void)
{
    return now_us(CLOCK_REALTIME);
}

int64_t lest_clock_cpu_us(void)
{
    return now_us(CLOCK_PROCESS_CPUTIME_ID);
}
