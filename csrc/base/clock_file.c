#include "base/clock_file.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "lest clock 1\n"

/* What the file holds. */
struct clock_page {
    char magic[16];
    _Atomic int64_t ahead_us; /* of the monotonic clock */
};
_Static_assert(sizeof(struct clock_page) == 24, "without padding, as it lies in the file");

static struct clock_page *made;
static bool is_followed;

static enum lest_status map(int fd, int protection, struct clock_page **out, struct lest_error *err)
{
    void *address = mmap(NULL, sizeof **out, protection, MAP_SHARED, fd, 0);
    *out = NULL;
    if (address == MAP_FAILED)
        return lest_error_set_errno(err, LEST_E_IO, errno, "the clock cannot be mapped");
    *out = address;
    return LEST_OK;
}

enum lest_status lest_clock_file_make(const char *path, int64_t wall_us, struct lest_error *err)
{
    struct clock_page page = { .magic = MAGIC, .ahead_us = wall_us - lest_clock_monotonic_us() };
    enum lest_status status = lest_file_write(path, &page, sizeof page, 0644, LEST_FILE_NEW, err);
    if (status)
        return status;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    status = fd < 0 ? lest_error_set_errno(err, LEST_E_IO, errno, "%s: the clock cannot be opened", path)
                    : map(fd, PROT_READ | PROT_WRITE, &made, err);
    if (!status) {
        lest_clock_inject(&made->ahead_us);
        is_followed = true;
    }
    if (fd >= 0)
        close(fd);
    return status;
}

static enum lest_status check(const char *path, int fd, struct lest_error *err)
{
    struct stat info;
    char magic[sizeof MAGIC - 1];
    if (fstat(fd, &info) < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be looked at", path);
    if (!S_ISREG(info.st_mode) || info.st_size != sizeof(struct clock_page) ||
        pread(fd, magic, sizeof magic, 0) != (ssize_t)sizeof magic || memcmp(magic, MAGIC, sizeof magic) != 0)
        return lest_error_set(err, LEST_E_USAGE, "%s: is no clock", path);
    if ((info.st_uid != geteuid() && info.st_uid != 0) || (info.st_mode & (S_IWGRP | S_IWOTH)))
        return lest_error_set(err, LEST_E_USAGE, "%s: others may set this clock", path);
    return LEST_OK;
}

enum lest_status lest_clock_file_open(const char *path, int *fd, struct lest_error *err)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd < 0)
        return lest_error_set_errno(err, errno == ENOENT ? LEST_E_NOT_FOUND : LEST_E_IO, errno,
                                    "%s: the clock cannot be opened", path);
    enum lest_status status = check(path, *fd, err);
    if (status) {
        close(*fd);
        *fd = -1;
    }
    return status;
}

enum lest_status lest_clock_file_follow(int fd, struct lest_error *err)
{
    struct clock_page *page;
    enum lest_status status = map(fd, PROT_READ, &page, err);
    if (status)
        return status;
    lest_clock_inject(&page->ahead_us);
    is_followed = true;
    return LEST_OK;
}

bool lest_clock_file_is_followed(void)
{
    return is_followed;
}

bool lest_clock_file_set(int64_t wall_us)
{
    if (made)
        atomic_store(&made->ahead_us, wall_us - lest_clock_monotonic_us());
    return made != NULL;
}
