#include "host/role/page.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW };

static enum lest_status failed(struct lest_error *err)
{
    return lest_error_set_errno(err, LEST_E_IO, errno, "memory cannot be shared with other processes");
}

static enum lest_status map(int fd, size_t size, int protection, void **out, struct lest_error *err)
{
    void *address = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED)
        return failed(err);
    *out = address;
    return LEST_OK;
}

/* The mapping that is there already stays one for writing; no later one will be. */
enum lest_status host_page_new(const char *name, size_t size, bool read_only, void **out, int *fd,
                               struct lest_error *err)
{
    *out = NULL;
    *fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    enum lest_status status = *fd < 0 || ftruncate(*fd, (off_t)size) < 0
                                  ? failed(err)
                                  : map(*fd, size, PROT_READ | PROT_WRITE, out, err);
    if (!status && fcntl(*fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL | (read_only ? F_SEAL_FUTURE_WRITE : 0)) < 0) {
        status = failed(err);
        host_page_free(*out, size);
        *out = NULL;
    }
    if (status && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    return status;
}

enum lest_status host_page_attach(int fd, bool read_only, void **out, size_t *size, struct lest_error *err)
{
    struct stat info;
    *out = NULL;
    enum lest_status status = fstat(fd, &info) < 0 ? failed(err) : LEST_OK;
    *size = status ? 0 : (size_t)info.st_size;
    if (!status)
        status = map(fd, *size, read_only ? PROT_READ : PROT_READ | PROT_WRITE, out, err);
    close(fd);
    return status;
}

void host_page_free(void *page, size_t size)
{
    if (page)
        munmap(page, size);
}
