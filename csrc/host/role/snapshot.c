#include "host/role/snapshot.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/sealed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The next string of a text that may end without its NUL: NULL then. */
static const char *next_string(const uint8_t *text, size_t len, size_t *at)
{
    const char *string = (const char *)text + *at;
    const char *end = *at < len ? memchr(string, '\0', len - *at) : NULL;
    if (!end)
        return NULL;
    *at += (size_t)(end - string) + 1;
    return string;
}

/* Whatever has a name may be named; opening a pipe would wait for who writes to it. */
static enum lest_status read_file(const char *path, struct lest_buf *out, struct lest_error *err)
{
    struct stat info;
    if (*path != '/' || (stat(path, &info) == 0 && !S_ISREG(info.st_mode)))
        return lest_error_set(err, LEST_E_CONFIG, "%s: is no file", path);
    return lest_file_read(path, out, err);
}

static enum lest_status add_file(const char *key, const char *path, struct lest_buf *out,
                                 struct lest_error *err)
{
    struct lest_error why;
    struct lest_buf file;
    lest_buf_init(&file, HOST_FILES_MAX);
    enum lest_status status = read_file(path, &file, &why);
    if (!status) {
        lest_buf_append(out, path, strlen(path) + 1);
        lest_buf_append_fmt(out, "%zu", file.len);
        lest_buf_append_byte(out, 0);
        lest_buf_append(out, file.data, file.len);
        status = lest_buf_status(out, &why);
    }
    lest_buf_free(&file);
    if (!status)
        return LEST_OK;
    lest_error_set(err, status == LEST_E_NOMEM ? status : LEST_E_CONFIG, "%s: %s", key, why.message);
    lest_error_add_detail(err, why.detail);
    return err->status;
}

static enum lest_status gather(const uint8_t *text, size_t len, struct lest_buf *out, struct lest_error *err)
{
    size_t at = 0;
    const char *json = next_string(text, len, &at);
    if (!json)
        return lest_error_set(err, LEST_E_CONFIG, "the configuration is cut off");
    lest_buf_append(out, json, at);
    while (at < len) {
        const char *key = next_string(text, len, &at);
        const char *path = key ? next_string(text, len, &at) : NULL;
        if (!path)
            return lest_error_set(err, LEST_E_CONFIG, "the configuration is cut off");
        enum lest_status status = add_file(key, path, out, err);
        if (status)
            return status;
    }
    return lest_buf_status(out, err);
}

enum lest_status host_snapshot_new(const uint8_t *text, size_t len, int *fd, struct lest_error *err)
{
    struct lest_buf content;
    *fd = -1;
    if (len > HOST_CONFIG_MAX)
        return lest_error_set(err, LEST_E_CONFIG, "the configuration is larger than 1 MiB");
    lest_buf_init(&content, HOST_CONFIG_MAX + HOST_FILES_MAX);
    enum lest_status status = gather(text, len, &content, err);
    if (!status)
        status = lest_sealed_file("lest-config", content.data, content.len, fd, err);
    lest_buf_free(&content);
    return status;
}

enum lest_status host_snapshot_attach(int fd, const char **data, size_t *size, struct lest_error *err)
{
    struct stat info = { 0 };
    void *mapped = MAP_FAILED;
    if (fstat(fd, &info) == 0 && info.st_size > 0)
        mapped = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED)
        return lest_error_set_errno(err, LEST_E_IO, errno, "the configuration cannot be read");
    close(fd);
    *data = mapped;
    *size = (size_t)info.st_size;
    return LEST_OK;
}

void host_snapshot_free(const char *data, size_t size)
{
    munmap((void *)(uintptr_t)data, size);
}

bool host_snapshot_next(const char *data, size_t size, const char **at, struct host_snapshot_file *out)
{
    const char *next = *at ? *at : data + strlen(data) + 1;
    if (next >= data + size)
        return false;
    out->path = next;
    next += strlen(next) + 1;
    out->size = strtoul(next, NULL, 10);
    out->bytes = next + strlen(next) + 1;
    *at = out->bytes + out->size;
    return true;
}
