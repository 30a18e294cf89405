#include "host/page.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CLOCK_SLACK_MS = 1000 };

struct host_page {
    atomic_llong beat_ms;
    atomic_int ready;
    atomic_char request[HOST_PAGE_REQUEST_MAX];
};

static enum lest_status map(int fd, struct host_page **out, struct lest_error *err)
{
    void *address = mmap(NULL, sizeof **out, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED)
        return lest_error_set_errno(err, LEST_E_IO, errno, "the watchdog's page cannot be mapped");
    *out = address;
    return LEST_OK;
}

enum lest_status host_page_new(struct host_page **out, int *fd, struct lest_error *err)
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

enum lest_status host_page_attach(int fd, struct host_page **out, struct lest_error *err)
{
    *out = NULL;
    enum lest_status status = map(fd, out, err);
    close(fd);
    return status;
}

void host_page_free(struct host_page *page)
{
    if (page)
        munmap(page, sizeof *page);
}

void host_page_beat(struct host_page *page)
{
    atomic_store_explicit(&page->beat_ms, lest_clock_monotonic_ms(), memory_order_relaxed);
}

void host_page_set_request(struct host_page *page, const char *request, size_t len)
{
    for (size_t i = 0; i < HOST_PAGE_REQUEST_MAX; i++) {
        atomic_store_explicit(&page->request[i], (char)(i < len ? request[i] : '\0'), memory_order_relaxed);
        if (i >= len)
            break;
    }
}

void host_page_set_ready(struct host_page *page)
{
    host_page_beat(page);
    atomic_store(&page->ready, 1);
}

int64_t host_page_age_ms(const struct host_page *page)
{
    /* Read before the clock, so that an honest beat is never ahead of it. */
    int64_t beat = atomic_load(&page->beat_ms);
    int64_t now = lest_clock_monotonic_ms();
    if (beat < 0 || beat > now + CLOCK_SLACK_MS)
        return INT64_MAX;
    return beat > now ? 0 : now - beat;
}

bool host_page_is_ready(const struct host_page *page)
{
    return atomic_load(&page->ready) != 0;
}

void host_page_request(const struct host_page *page, char out[HOST_PAGE_REQUEST_MAX + 1])
{
    for (size_t i = 0; i < HOST_PAGE_REQUEST_MAX; i++)
        out[i] = atomic_load_explicit(&page->request[i], memory_order_relaxed);
    out[HOST_PAGE_REQUEST_MAX] = '\0';
}
