#include "host/role/watchdog.h"

#include "base/clock.h"
#include "host/role/page.h"

#include <stdatomic.h>
#include <string.h>

enum { CLOCK_SLACK_MS = 1000 };

struct host_watchdog {
    atomic_llong beat_ms;
    atomic_int ready;
    atomic_char request[HOST_WATCHDOG_REQUEST_MAX];
    atomic_int is_kept; /* set after the text: a role that is killed between has kept nothing */
    atomic_char kept[HOST_WATCHDOG_KEPT_MAX];
};

enum lest_status host_watchdog_new(struct host_watchdog **out, int *fd, struct lest_error *err)
{
    void *page;
    enum lest_status status = host_page_new("lest-watchdog", sizeof **out, false, &page, fd, err);
    *out = page;
    return status;
}

enum lest_status host_watchdog_attach(int fd, struct host_watchdog **out, struct lest_error *err)
{
    void *page;
    size_t size;
    enum lest_status status = host_page_attach(fd, false, &page, &size, err);
    *out = page;
    return status;
}

void host_watchdog_free(struct host_watchdog *watchdog)
{
    host_page_free(watchdog, sizeof *watchdog);
}

void host_watchdog_beat(struct host_watchdog *watchdog)
{
    atomic_store_explicit(&watchdog->beat_ms, lest_clock_monotonic_ms(), memory_order_relaxed);
}

void host_watchdog_set_request(struct host_watchdog *watchdog, const char *request, size_t len)
{
    for (size_t i = 0; i < HOST_WATCHDOG_REQUEST_MAX; i++) {
        atomic_store_explicit(&watchdog->request[i], (char)(i < len ? request[i] : '\0'),
                              memory_order_relaxed);
        if (i >= len)
            break;
    }
}

void host_watchdog_set_ready(struct host_watchdog *watchdog)
{
    host_watchdog_beat(watchdog);
    atomic_store(&watchdog->ready, 1);
}

void host_watchdog_keep(struct host_watchdog *watchdog, const char *text)
{
    size_t len = strnlen(text, HOST_WATCHDOG_KEPT_MAX);
    for (size_t i = 0; i < HOST_WATCHDOG_KEPT_MAX; i++)
        atomic_store_explicit(&watchdog->kept[i], (char)(i < len ? text[i] : '\0'), memory_order_relaxed);
    atomic_store(&watchdog->is_kept, 1);
}

void host_watchdog_kept(const struct host_watchdog *watchdog, char out[HOST_WATCHDOG_KEPT_MAX + 1])
{
    size_t len = atomic_load(&watchdog->is_kept) ? HOST_WATCHDOG_KEPT_MAX : 0;
    for (size_t i = 0; i < len; i++)
        out[i] = atomic_load_explicit(&watchdog->kept[i], memory_order_relaxed);
    out[len] = '\0';
}

int64_t host_watchdog_age_ms(const struct host_watchdog *watchdog)
{
    /* Read before the clock, so that an honest beat is never ahead of it. */
    int64_t beat = atomic_load(&watchdog->beat_ms);
    int64_t now = lest_clock_monotonic_ms();
    if (beat < 0 || beat > now + CLOCK_SLACK_MS)
        return INT64_MAX;
    return beat > now ? 0 : now - beat;
}

bool host_watchdog_is_ready(const struct host_watchdog *watchdog)
{
    return atomic_load(&watchdog->ready) != 0;
}

void host_watchdog_request(const struct host_watchdog *watchdog, char out[HOST_WATCHDOG_REQUEST_MAX + 1])
{
    for (size_t i = 0; i < HOST_WATCHDOG_REQUEST_MAX; i++)
        out[i] = atomic_load_explicit(&watchdog->request[i], memory_order_relaxed);
    out[HOST_WATCHDOG_REQUEST_MAX] = '\0';
}
