#include "base/install.h"

#include "base/draft.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 40 };

/* A path's last component in its folder, which is open.
 *  draft  its name while it is written */
struct place {
    const char *path;
    int folder;
    char name[NAME_MAX + 1];
    char draft[NAME_MAX + 1];
};

static enum lest_status fail(const struct place *place, struct lest_error *err)
{
    enum lest_status status = errno == ENOENT || errno == ENOTDIR ? LEST_E_NOT_FOUND : LEST_E_IO;
    return lest_error_set_errno(err, status, errno, "%s: cannot be written", place->path);
}

/* Go on with where a link leads: `rest` is what remains of the way. */
static enum lest_status follow(const struct place *place, int link, char rest[PATH_MAX], int *folder,
                               struct lest_error *err)
{
    char target[PATH_MAX], way[PATH_MAX];
    ssize_t len = readlinkat(link, "", target, sizeof target - 1);
    if (len <= 0)
        return fail(place, err);
    target[len] = '\0';
    int size = snprintf(way, sizeof way, "%s/%s", target, rest);
    if (size < 0 || (size_t)size >= sizeof way) {
        errno = ENAMETOOLONG;
        return fail(place, err);
    }
    memcpy(rest, way, (size_t)size + 1);
    if (*target != '/')
        return LEST_OK;
    close(*folder);
    *folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *folder < 0 ? fail(place, err) : LEST_OK;
}

/* One component further; a link is replaced by where it leads. */
static enum lest_status enter(const struct place *place, const char *name, char rest[PATH_MAX], int *links,
                              int *folder, struct lest_error *err)
{
    struct stat info;
    enum lest_status status = LEST_OK;
    int next = openat(*folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0 || fstat(next, &info) < 0) {
        status = fail(place, err);
    } else if (!S_ISLNK(info.st_mode)) {
        close(*folder);
        *folder = next;
        return LEST_OK;
    } else if (info.st_uid != 0 && info.st_uid != geteuid()) {
        status = lest_error_set(err, LEST_E_USAGE, "%s: %s on the way is another account's link", place->path,
                                name);
    } else if (++*links > LINKS_MAX) {
        errno = ELOOP;
        status = fail(place, err);
    } else {
        status = follow(place, next, rest, folder, err);
    }
    if (next >= 0)
        close(next);
    return status;
}

/* Open the folder of the path as a place to write in; close place->folder in any case. */
static enum lest_status find(const char *path, struct place *place, struct lest_error *err)
{
    char rest[PATH_MAX];
    int links = 0;
    enum lest_status status = LEST_OK;
    *place = (struct place){ .path = path, .folder = -1 };
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (strlen(path) >= sizeof rest || !*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        snprintf(place->draft, sizeof place->draft, "%s.lest-new", name) >= (int)sizeof place->draft)
        return lest_error_set(err, LEST_E_USAGE, "%.200s: is no path of a file", path);
    snprintf(place->name, sizeof place->name, "%s", name);
    snprintf(rest, sizeof rest, "%.*s", (int)(name - path), path);
    int folder = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return fail(place, err);
    while (!status) {
        char component[NAME_MAX + 1];
        char *at = rest + strspn(rest, "/");
        size_t len = strcspn(at, "/");
        if (!len)
            break;
        if (len >= sizeof component) {
            errno = ENAMETOOLONG;
            status = fail(place, err);
            break;
        }
        memcpy(component, at, len);
        component[len] = '\0';
        memmove(rest, at + len, strlen(at + len) + 1);
        status = enter(place, component, rest, &links, &folder, err);
    }
    if (!status && (place->folder = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        status = fail(place, err);
    if (folder >= 0)
        close(folder);
    return status;
}

/* Whether nothing is there, or what may be replaced; and make way for the draft. */
static enum lest_status clear(const struct place *place, mode_t kind, struct lest_error *err)
{
    struct stat info;
    if (fstatat(place->folder, place->name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        (info.st_mode & S_IFMT) != kind)
        return lest_error_set(err, LEST_E_USAGE, "%s is %s, which is not replaced", place->path,
                              S_ISLNK(info.st_mode)   ? "a link"
                              : S_ISDIR(info.st_mode) ? "a folder"
                              : kind == S_IFLNK       ? "no link"
                                                      : "no plain file");
    if (unlinkat(place->folder, place->draft, 0) < 0 && errno != ENOENT)
        return fail(place, err);
    return LEST_OK;
}

static enum lest_status settle(const struct place *place, struct lest_error *err)
{
    if (renameat(place->folder, place->draft, place->folder, place->name) == 0)
        return fsync(place->folder) < 0 ? fail(place, err) : LEST_OK;
    enum lest_status status = fail(place, err);
    unlinkat(place->folder, place->draft, 0);
    return status;
}

static enum lest_status write_draft(const struct place *place, const void *data, size_t len,
                                    const struct lest_install_as *as, struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    int fd = openat(place->folder, place->draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ours = as->uid == (uid_t)-1 && as->gid == (gid_t)-1;
    if (fd < 0)
        return fail(place, err);
    if ((!ours && fchown(fd, as->uid, as->gid) < 0) || fchmod(fd, as->mode) < 0 ||
        lest_draft_write_all(fd, data, len) < 0 || fsync(fd) < 0)
        status = fail(place, err);
    if (close(fd) < 0 && !status)
        status = fail(place, err);
    if (status)
        unlinkat(place->folder, place->draft, 0);
    return status;
}

enum lest_status lest_install_file(const char *path, const void *data, size_t len,
                                   const struct lest_install_as *as, struct lest_error *err)
{
    struct place place;
    enum lest_status status = find(path, &place, err);
    if (!status)
        status = clear(&place, S_IFREG, err);
    if (!status)
        status = write_draft(&place, data, len, as, err);
    if (!status)
        status = settle(&place, err);
    if (place.folder >= 0)
        close(place.folder);
    return status;
}

enum lest_status lest_install_link(const char *target, const char *path, struct lest_error *err)
{
    struct place place;
    enum lest_status status = find(path, &place, err);
    if (!status)
        status = clear(&place, S_IFLNK, err);
    if (!status && symlinkat(target, place.folder, place.draft) < 0)
        status = fail(&place, err);
    if (!status)
        status = settle(&place, err);
    if (place.folder >= 0)
        close(place.folder);
    return status;
}

/* The names that a stranger may make meanwhile have no end. */
static enum lest_status empty(const struct place *place, DIR *dir, struct lest_error *err)
{
    enum { NAMES_MAX = 1000 };
    const struct dirent *entry;
    for (int count = 0; count < NAMES_MAX && (entry = readdir(dir)); count++) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && unlinkat(dirfd(dir), name, 0) < 0 &&
            errno != ENOENT)
            return fail(place, err);
    }
    return LEST_OK;
}

enum lest_status lest_install_remove_folder(const char *path, struct lest_error *err)
{
    struct place place;
    DIR *dir = NULL;
    int fd = -1;
    enum lest_status status = find(path, &place, err);
    if (!status) {
        fd = openat(place.folder, place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        dir = fd >= 0 ? fdopendir(fd) : NULL;
        status = dir ? empty(&place, dir, err) : fail(&place, err);
    }
    if (!status && unlinkat(place.folder, place.name, AT_REMOVEDIR) < 0)
        status = fail(&place, err);
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
    if (place.folder >= 0)
        close(place.folder);
    return status;
}
