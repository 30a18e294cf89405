#include "base/folder.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum lest_status lest_folder_make(const char *path, mode_t mode, struct lest_error *err)
{
    if (mkdir(path, mode) < 0) {
        enum lest_status status = errno == EEXIST ? LEST_E_EXISTS : LEST_E_IO;
        return lest_error_set_errno(err, status, errno, "the folder %s cannot be made", path);
    }
    return lest_file_sync_folder(path, err);
}

enum lest_status lest_folder_ensure(const char *path, mode_t mode, struct lest_error *err)
{
    struct stat info;
    enum lest_status status = lest_folder_make(path, mode, err);
    if (status == LEST_E_EXISTS && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return LEST_OK;
    return status;
}

enum lest_status lest_folder_is_own(const char *path, struct lest_error *err)
{
    struct stat info;
    if (stat(path, &info) < 0)
        return lest_error_set_errno(err, errno == ENOENT ? LEST_E_NOT_FOUND : LEST_E_IO, errno,
                                    "the folder %s cannot be looked at", path);
    if (info.st_uid != geteuid())
        return lest_error_set(err, LEST_E_USAGE, "the folder %s belongs to another account", path);
    if (info.st_mode & (S_IWGRP | S_IWOTH))
        return lest_error_set(err, LEST_E_USAGE, "others may write in the folder %s: chmod go-w", path);
    return LEST_OK;
}

enum lest_status lest_folder_target(const char *path, char out[PATH_MAX], struct lest_error *err)
{
    ssize_t len = readlink(path, out, PATH_MAX - 1);
    if (len < 0) {
        enum lest_status status = errno == ENOENT ? LEST_E_NOT_FOUND : LEST_E_IO;
        return lest_error_set_errno(err, status, errno, "the link %s cannot be read", path);
    }
    out[len] = '\0';
    return LEST_OK;
}

enum lest_status lest_folder_move(const char *from, const char *to, struct lest_error *err)
{
    if (rename(from, to) < 0) {
        enum lest_status status = errno == EEXIST || errno == ENOTEMPTY ? LEST_E_EXISTS : LEST_E_IO;
        return lest_error_set_errno(err, status, errno, "%s cannot be moved to %s", from, to);
    }
    enum lest_status status = lest_file_sync_folder(to, err);
    return status ? status : lest_file_sync_folder(from, err);
}

enum lest_status lest_folder_remove(const char *path, struct lest_error *err)
{
    if (remove(path) < 0 && errno != ENOENT)
        return lest_error_set_errno(err, LEST_E_IO, errno, "%s cannot be removed", path);
    return LEST_OK;
}

enum lest_status lest_folder_lock(const char *path, int *fd, struct lest_error *err)
{
    struct stat info;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (*fd < 0 || fstat(*fd, &info) < 0)
        lest_error_set_errno(err, LEST_E_IO, errno, "the lock %s cannot be opened", path);
    else if (!S_ISREG(info.st_mode))
        lest_error_set(err, LEST_E_IO, "%s is no plain file, and no lock", path);
    else if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return LEST_OK;
    else if (errno == EWOULDBLOCK)
        lest_error_set(err, LEST_E_UNAVAILABLE, "another process has the lock %s", path);
    else
        lest_error_set_errno(err, LEST_E_IO, errno, "%s cannot be locked", path);
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return err ? err->status : LEST_E_IO;
}
