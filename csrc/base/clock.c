#include "base/clock.h"

#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

static const _Atomic int64_t *injected;

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
    return injected ? now_us(CLOCK_MONOTONIC) + atomic_load_explicit(injected, memory_order_relaxed)
                    : now_us(CLOCK_REALTIME);
}

int64_t lest_clock_wall_s(void)
{
    return lest_clock_wall_us() / 1000000;
}

void lest_clock_inject(const _Atomic int64_t *ahead_us)
{
    injected = ahead_us;
}

int64_t lest_clock_cpu_us(void)
{
    return now_us(CLOCK_PROCESS_CPUTIME_ID);
}
