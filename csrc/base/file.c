#include "base/file.h"

#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Most files are small: as much again as was read, from a page to 64 KiB. */
static size_t next_len(const struct lest_buf *out)
{
    enum { LEAST = 4096, MOST = 65536 };
    size_t left = out->max - out->len;
    size_t want = out->len < LEAST ? LEAST - out->len : out->len < MOST ? out->len : MOST;
    return left < want ? left : want;
}

static enum lest_status read_all(int fd, const char *path, struct lest_buf *out, struct lest_error *err)
{
    for (;;) {
        uint8_t extra = 0;
        size_t want = next_len(out);
        uint8_t *room = want ? lest_buf_reserve(out, want) : &extra;
        if (!room)
            return lest_buf_status(out, err);
        ssize_t got = read(fd, room, want ? want : 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be read", path);
        if (got == 0)
            return LEST_OK;
        if (!want)
            return lest_error_set(err, LEST_E_TOO_LARGE, "%s: more than the %zu bytes allowed", path,
                                  out->max);
        out->len += (size_t)got;
    }
}

enum lest_status lest_file_read(const char *path, struct lest_buf *out, struct lest_error *err)
{
    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, "standard input", out, err);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return lest_error_set_errno(err, errno == ENOENT ? LEST_E_NOT_FOUND : LEST_E_IO, errno,
                                    "%s: cannot be opened", path);
    enum lest_status status = read_all(fd, path, out, err);
    close(fd);
    return status;
}

/* It waits for nobody: neither for the writer of a pipe, nor for a terminal. */
static enum lest_status open_plain(const char *path, int flags, int *fd, struct stat *info,
                                   struct lest_error *err)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
    if (*fd < 0 && errno == ELOOP && (flags & O_NOFOLLOW))
        return lest_error_set(err, LEST_E_USAGE, "%s: is a link, and is not followed", path);
    if (*fd < 0)
        return lest_error_set_errno(err, errno == ENOENT ? LEST_E_NOT_FOUND : LEST_E_IO, errno,
                                    "%s: cannot be opened", path);
    if (fstat(*fd, info) < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be looked at", path);
    if (!S_ISREG(info->st_mode))
        return lest_error_set(err, LEST_E_USAGE, "%s: is no plain file", path);
    return LEST_OK;
}

enum lest_status lest_file_read_plain(const char *path, struct lest_buf *out, struct lest_error *err)
{
    int fd;
    struct stat info;
    enum lest_status status = open_plain(path, 0, &fd, &info, err);
    if (!status)
        status = read_all(fd, path, out, err);
    if (fd >= 0)
        close(fd);
    return status;
}

enum lest_status lest_file_read_own(const char *path, struct lest_buf *out, struct lest_error *err)
{
    int fd;
    struct stat info;
    enum lest_status status = open_plain(path, O_NOFOLLOW, &fd, &info, err);
    if (!status && info.st_uid != geteuid() && info.st_uid != 0)
        status = lest_error_set(err, LEST_E_USAGE, "%s: belongs to another user", path);
    else if (!status && (info.st_mode & (S_IWGRP | S_IWOTH)))
        status = lest_error_set(err, LEST_E_USAGE, "%s: others may write to it", path);
    if (!status)
        status = read_all(fd, path, out, err);
    if (fd >= 0)
        close(fd);
    return status;
}

enum lest_status lest_file_resolve(const char *path, char out[PATH_MAX], struct lest_error *err)
{
    char folder[PATH_MAX], real[PATH_MAX];
    if (strcmp(path, "-") == 0) {
        snprintf(out, PATH_MAX, "-");
        return LEST_OK;
    }
    if (lest_path_follow(path, out))
        return LEST_OK;
    /* It is not there yet: its folder must be. */
    if (!lest_path_folder(path, folder))
        return lest_error_set(err, LEST_E_IO, "the path of the file is too long");
    if (!realpath(folder, real))
        return lest_error_set_errno(err, errno == ENOENT ? LEST_E_NOT_FOUND : LEST_E_IO, errno,
                                    "%s: its folder cannot be found", path);
    const char *slash = strrchr(path, '/');
    int size = snprintf(out, PATH_MAX, "%s/%s", strcmp(real, "/") == 0 ? "" : real, slash ? slash + 1 : path);
    if (size < 0 || size >= PATH_MAX)
        return lest_error_set(err, LEST_E_IO, "the path of the file is too long");
    return LEST_OK;
}

static int sync_folder(const char *path)
{
    char folder[PATH_MAX];
    if (!lest_path_folder(path, folder))
        return -1;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    /* Some file systems cannot sync a folder and say EINVAL: nothing more can be done there. */
    int result = fsync(fd) < 0 && errno != EINVAL ? -1 : 0;
    close(fd);
    return result;
}

enum lest_status lest_file_sync_folder(const char *path, struct lest_error *err)
{
    if (sync_folder(path) < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "%s: its folder cannot be synced", path);
    return LEST_OK;
}
