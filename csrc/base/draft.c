#include "base/draft.h"

#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int lest_draft_write_all(int fd, const void *data, size_t len)
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

/* What is between the target's name and six characters at random. */
#define DRAFT_MARK ".lest-"

static enum lest_status draft_fail(const char *path, struct lest_error *err)
{
    return lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be written", path);
}

static enum lest_status draft_aim(const char *path, enum lest_file_how how, struct lest_draft *out,
                                  struct lest_error *err)
{
    struct stat info;
    if (how == LEST_FILE_NEW || !lest_path_follow(path, out->target))
        snprintf(out->target, sizeof out->target, "%s", path);
    if (strlen(path) >= sizeof out->target)
        return lest_error_set(err, LEST_E_IO, "the path of the file is too long");
    if (how == LEST_FILE_REPLACE && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        return draft_fail(path, err);
    }
    return LEST_OK;
}

static enum lest_status draft_make_named(const char *path, struct lest_draft *out, struct lest_error *err)
{
    char name[PATH_MAX];
    int len = snprintf(name, sizeof name, "%s" DRAFT_MARK "XXXXXX", out->target);
    if (len < 0 || (size_t)len >= sizeof name)
        return lest_error_set(err, LEST_E_IO, "the path of the file is too long");
    /* mkostemp makes the file 0600; fchmod widens it only after it is ours. */
    out->fd = mkostemp(name, O_CLOEXEC);
    if (out->fd < 0)
        return draft_fail(path, err);
    memcpy(out->name, name, sizeof out->name);
    flock(out->fd, LOCK_EX | LOCK_NB);
    return LEST_OK;
}

/* Nobody can find it, and it is gone when we are. Not every file system has such files, nor every process
 * /proc, from where it gets its name. */
static enum lest_status draft_make_nameless(const char *path, struct lest_draft *out, struct lest_error *err)
{
    char folder[PATH_MAX];
    if (lest_path_folder(out->target, folder) && access("/proc/self/fd", X_OK) == 0)
        out->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return out->fd < 0 ? draft_make_named(path, out, err) : LEST_OK;
}

static int draft_link(const struct lest_draft *draft)
{
    char self[64];
    if (draft->name[0])
        return link(draft->name, draft->target);
    snprintf(self, sizeof self, "/proc/self/fd/%d", draft->fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, draft->target, AT_SYMLINK_FOLLOW);
}

/* A draft that was renamed has no other name any more. */
static enum lest_status put(struct lest_draft *draft, const char *path, enum lest_file_how how,
                            struct lest_error *err)
{
    int result = how == LEST_FILE_NEW ? draft_link(draft) : rename(draft->name, draft->target);
    if (result < 0 && errno == EEXIST)
        return lest_error_set(err, LEST_E_EXISTS, "%s exists already and is not overwritten", path);
    if (result < 0)
        return draft_fail(path, err);
    if (how == LEST_FILE_REPLACE)
        draft->name[0] = '\0';
    return LEST_OK;
}

static int draft_close(struct lest_draft *draft)
{
    int result = draft->fd >= 0 ? close(draft->fd) : 0;
    draft->fd = -1;
    return result;
}

void lest_draft_end(struct lest_draft *draft)
{
    draft_close(draft);
    if (draft->name[0])
        unlink(draft->name);
    draft->name[0] = '\0';
}

/* Whether a writer left it: it is ours, and nobody holds its lock. */
static bool is_left(int folder, const char *name)
{
    struct stat info;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool left = fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() &&
                flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return left;
}

void lest_draft_remove_left(const char *target)
{
    char folder[PATH_MAX];
    struct dirent *entry;
    const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
    size_t len = strlen(name), mark = sizeof DRAFT_MARK - 1;
    DIR *dir = lest_path_folder(target, folder) ? opendir(folder) : NULL;
    while (dir && (entry = readdir(dir)))
        if (strncmp(entry->d_name, name, len) == 0 && strncmp(entry->d_name + len, DRAFT_MARK, mark) == 0 &&
            strlen(entry->d_name) == len + mark + 6 && is_left(dirfd(dir), entry->d_name))
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}

enum lest_status lest_draft_begin(struct lest_draft *draft, const char *path, enum lest_file_how how,
                                  struct lest_error *err)
{
    *draft = (struct lest_draft){ .fd = -1 };
    enum lest_status status = draft_aim(path, how, draft, err);
    if (status)
        return status;
    return how == LEST_FILE_NEW ? draft_make_nameless(path, draft, err) : draft_make_named(path, draft, err);
}

enum lest_status lest_draft_write(struct lest_draft *draft, const char *path, const void *data, size_t len,
                                  struct lest_error *err)
{
    return lest_draft_write_all(draft->fd, data, len) < 0 ? draft_fail(path, err) : LEST_OK;
}

enum lest_status lest_draft_place(struct lest_draft *draft, const char *path, enum lest_file_how how,
                                  struct lest_error *err)
{
    enum lest_status status = fsync(draft->fd) < 0 ? draft_fail(path, err) : LEST_OK;
    if (!status)
        status = put(draft, path, how, err);
    if (!status && draft_close(draft) < 0)
        status = draft_fail(path, err);
    return status ? status : lest_file_sync_folder(draft->target, err);
}
