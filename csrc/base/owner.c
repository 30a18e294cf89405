#include "base/owner.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int stat_folder(const char *path, struct stat *found)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len = !slash ? 1 : slash == path ? 1 : (int)(slash - path);
    int size = snprintf(folder, sizeof folder, "%.*s", len, slash ? path : ".");
    if (size < 0 || (size_t)size >= sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return stat(folder, found);
}

enum lest_status lest_become_owner(const char *path, struct lest_error *err)
{
    struct stat found;
    if (geteuid() != 0)
        return LEST_OK;
    if (stat(path, &found) < 0 && (errno != ENOENT || stat_folder(path, &found) < 0))
        return lest_error_set_errno(err, errno == ENOENT ? LEST_E_NOT_FOUND : LEST_E_IO, errno,
                                    "%s: its owner is unknown", path);
    if (found.st_uid == 0)
        return LEST_OK;
    if (setgroups(0, NULL) < 0 || setresgid(found.st_gid, found.st_gid, found.st_gid) < 0 ||
        setresuid(found.st_uid, found.st_uid, found.st_uid) < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot become its owner, user %lu", path,
                                    (unsigned long)found.st_uid);
    return LEST_OK;
}
