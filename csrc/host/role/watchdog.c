#include "host/role/watchdog.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CLOCK_SLACK_MS = 1000 };

struct host_watchdog {
    atomic_llong beat_ms;
    atomic_int ready;
    atomic_char request[HOST_WATCHDOG_REQUEST_MAX];
    atomic_int is_kept; /* set after the text: a role that is killed between has kept nothing */
    atomic_char kept[HOST_WATCHDOG_KEPT_MAX];
};

static enum lest_status map(int fd, struct host_watchdog **out, struct lest_error *err)
{
    void *address = mmap(NULL, sizeof **out, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED)
        return lest_error_set_errno(err, LEST_E_IO, errno, "the watchdog's page cannot be mapped");
    *out = address;
    return LEST_OK;
}

enum lest_status host_watchdog_new(struct host_watchdog **out, int *fd, struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    *out = NULL;
    *fd = memfd_create("lest-watchdog", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0 || ftruncate(*fd, sizeof **out) < 0 ||
        fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        status = lest_error_set_errno(err, LEST_E_IO, errno, "the watchdog's page cannot be made");
    else
        status = map(*fd, out, err);
    if (status && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    return status;
}

enum lest_status host_watchdog_attach(int fd, struct host_watchdog **out, struct lest_error *err)
{
    *out = NULL;
    enum lest_status status = map(fd, out, err);
    close(fd);
    return status;
}

void host_watchdog_free(struct host_watchdog *watchdog)
{
    if (watchdog)
        munmap(watchdog, sizeof *watchdog);
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
