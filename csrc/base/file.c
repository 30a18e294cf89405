#include "base/file.h"

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

static int write_all(int fd, const void *data, size_t len)
{
    const char *from = data;
    while (len) {
        ssize_t put = write(fd, from, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        from += put;
        len -= (size_t)put;
    }
    return 0;
}

/* False: it is too long. */
static bool folder_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    int len = slash ? (int)(slash - path) + 1 : 1;
    int size = snprintf(out, PATH_MAX, "%.*s", len, slash ? path : ".");
    return size >= 0 && size < PATH_MAX;
}

static int sync_folder(const char *path)
{
    char folder[PATH_MAX];
    if (!folder_of(path, folder))
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

/* A device or a pipe: renaming over it would put a plain file in its place. */
static bool is_special(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

static enum lest_status write_special(const char *path, const void *data, size_t len, struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || write_all(fd, data, len) < 0)
        status = lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be written", path);
    if (fd >= 0)
        close(fd);
    return status;
}

/* Whether a link was left by a stranger in a folder for all, as /tmp is: it could lead to any file of ours. (The
 * kernel follows none such where fs.protected_symlinks is set; realpath() does all the same.) */
static bool is_trap(const char *path)
{
    enum { FOR_ALL = S_ISVTX | S_IWOTH };
    char folder[PATH_MAX];
    struct stat link, place;
    return lstat(path, &link) == 0 && S_ISLNK(link.st_mode) && folder_of(path, folder) &&
           stat(folder, &place) == 0 && (place.st_mode & FOR_ALL) == FOR_ALL && link.st_uid != geteuid() &&
           link.st_uid != place.st_uid;
}

/* Where a link leads; false: it leads nowhere, or is not to be followed. */
static bool follow(const char *path, char out[PATH_MAX])
{
    return !is_trap(path) && realpath(path, out);
}

/* A file that is written beside the one it will be. */
struct draft {
    char target[PATH_MAX]; /* where a link leads, not the link */
    char path[PATH_MAX];
    int fd;
};

static enum lest_status draft_make(const char *path, enum lest_file_how how, struct draft *out,
                                   struct lest_error *err)
{
    struct stat info;
    out->fd = -1;
    if (how == LEST_FILE_NEW || !follow(path, out->target))
        snprintf(out->target, sizeof out->target, "%s", path);
    int size = snprintf(out->path, sizeof out->path, "%s.XXXXXX", out->target);
    if (size < 0 || (size_t)size >= sizeof out->path || strlen(path) >= sizeof out->target)
        return lest_error_set(err, LEST_E_IO, "the path of the file is too long");
    if (how == LEST_FILE_REPLACE && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return lest_error_set_errno(err, LEST_E_IO, EISDIR, "%s: cannot be written", path);
    /* mkostemp makes the file 0600; fchmod widens it only after it is ours. */
    out->fd = mkostemp(out->path, O_CLOEXEC);
    if (out->fd < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be written", path);
    return LEST_OK;
}

enum lest_status lest_file_check(const char *path, struct lest_error *err)
{
    struct draft draft;
    if (strcmp(path, "-") == 0)
        return LEST_OK;
    if (is_special(path))
        return access(path, W_OK) < 0
                   ? lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be written", path)
                   : LEST_OK;
    enum lest_status status = draft_make(path, LEST_FILE_REPLACE, &draft, err);
    if (status)
        return status;
    close(draft.fd);
    unlink(draft.path);
    return LEST_OK;
}

enum lest_status lest_file_write(const char *path, const void *data, size_t len, mode_t mode,
                                 enum lest_file_how how, struct lest_error *err)
{
    if (strcmp(path, "-") == 0) {
        if (write_all(STDOUT_FILENO, data, len) < 0)
            return lest_error_set_errno(err, LEST_E_IO, errno, "standard output: cannot be written");
        return LEST_OK;
    }
    if (how == LEST_FILE_REPLACE && is_special(path))
        return write_special(path, data, len, err);
    struct draft draft;
    enum lest_status status = draft_make(path, how, &draft, err);
    if (status)
        return status;
    bool made = true;
    if (fchmod(draft.fd, mode) < 0 || write_all(draft.fd, data, len) < 0 || fsync(draft.fd) < 0) {
        status = lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be written", path);
        goto out;
    }
    int closed = close(draft.fd);
    draft.fd = -1;
    if (closed < 0) {
        status = lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be written", path);
        goto out;
    }
    if (how == LEST_FILE_NEW) {
        if (link(draft.path, draft.target) < 0) {
            status =
                errno == EEXIST
                    ? lest_error_set(err, LEST_E_EXISTS, "%s exists already and is not overwritten", path)
                    : lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be written", path);
            goto out;
        }
    } else if (rename(draft.path, draft.target) < 0) {
        status = lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be written", path);
        goto out;
    } else {
        made = false;
    }
    status = lest_file_sync_folder(draft.target, err);
out:
    if (draft.fd >= 0)
        close(draft.fd);
    if (made)
        unlink(draft.path);
    return status;
}

enum lest_status lest_file_resolve(const char *path, char out[PATH_MAX], struct lest_error *err)
{
    char folder[PATH_MAX], real[PATH_MAX];
    if (strcmp(path, "-") == 0) {
        snprintf(out, PATH_MAX, "-");
        return LEST_OK;
    }
    if (follow(path, out))
        return LEST_OK;
    /* It is not there yet: its folder must be. */
    if (!folder_of(path, folder))
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
