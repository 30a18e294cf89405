#include "base/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static enum lest_status failed(struct lest_error *err)
{
    return lest_error_set_errno(err, LEST_E_IO, errno, "bytes cannot be kept for other processes");
}

static enum lest_status fill(int fd, const uint8_t *data, size_t len, struct lest_error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t put = write(fd, data + done, len - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return failed(err);
        done += (size_t)put;
    }
    return fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0 ? failed(err) : LEST_OK;
}

enum lest_status lest_sealed_file(const char *name, const void *data, size_t len, int *fd,
                                  struct lest_error *err)
{
    *fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    enum lest_status status = *fd < 0 ? failed(err) : fill(*fd, data, len, err);
    if (status && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    return status;
}

/* MAP_PRIVATE: older kernels take any shared mapping of a sealed file for one that could be written to. Both
 * share the pages, since nobody writes. */
static enum lest_status map(int fd, size_t len, struct lest_sealed **out, struct lest_error *err)
{
    void *address = len ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (address == MAP_FAILED)
        return failed(err);
    struct lest_sealed *sealed = calloc(1, sizeof *sealed);
    if (!sealed) {
        if (address)
            munmap(address, len);
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    *sealed = (struct lest_sealed){ .data = address, .len = len, .fd = -1, .refs = 1 };
    *out = sealed;
    return LEST_OK;
}

enum lest_status lest_sealed_new(const char *name, const void *data, size_t len, struct lest_sealed **out,
                                 struct lest_error *err)
{
    int fd;
    *out = NULL;
    enum lest_status status = lest_sealed_file(name, data, len, &fd, err);
    if (status)
        return status;
    status = map(fd, len, out, err);
    if (status)
        close(fd);
    else
        (*out)->fd = fd;
    return status;
}

static enum lest_status check(int fd, size_t max, size_t *len, struct lest_error *err)
{
    struct stat info;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return lest_error_set(err, LEST_E_PROTOCOL, "what another process gave is no sealed file");
    if (fstat(fd, &info) < 0)
        return failed(err);
    if (info.st_size < 0 || (uint64_t)info.st_size > max)
        return lest_error_set(err, LEST_E_TOO_LARGE, "what another process gave has more than %zu bytes",
                              max);
    *len = (size_t)info.st_size;
    return LEST_OK;
}

enum lest_status lest_sealed_adopt(int fd, size_t max, struct lest_sealed **out, struct lest_error *err)
{
    size_t len = 0;
    *out = NULL;
    enum lest_status status = check(fd, max, &len, err);
    if (!status)
        status = map(fd, len, out, err);
    close(fd);
    return status;
}

struct lest_sealed *lest_sealed_ref(struct lest_sealed *sealed)
{
    if (sealed)
        sealed->refs++;
    return sealed;
}

void lest_sealed_free(struct lest_sealed *sealed)
{
    if (!sealed || --sealed->refs > 0)
        return;
    if (sealed->data)
        munmap((void *)(uintptr_t)sealed->data, sealed->len);
    if (sealed->fd >= 0)
        close(sealed->fd);
    free(sealed);
}
