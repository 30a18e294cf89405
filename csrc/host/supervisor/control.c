#include "host/supervisor/control.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64, GROUP_ROOM = 16384 };

/* Who this process is to the file system, for a while. */
struct guise {
    uid_t uid;
    gid_t gid;
    mode_t mask;
};

/* As root, become the owner of the folder there; what is made has this group and mode. */
static struct guise put_on(uid_t uid, gid_t gid, unsigned mode)
{
    struct guise before = { geteuid(), getegid(), umask(0777 & ~(mode_t)mode) };
    if (geteuid() == 0) {
        setfsgid(gid);
        setfsuid(uid);
    }
    return before;
}

static void take_off(const struct guise *before)
{
    if (geteuid() == 0) {
        setfsuid(before->uid);
        setfsgid(before->gid);
    }
    umask(before->mask);
}

/* A group by its name or number. */
static enum lest_status find_group(const char *text, gid_t *out, struct lest_error *err)
{
    struct group entry, *found = NULL;
    char room[GROUP_ROOM], *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && number < UINT_MAX) {
        *out = (gid_t)number;
        return LEST_OK;
    }
    if (getgrnam_r(text, &entry, room, sizeof room, &found) || !found)
        return lest_error_set(err, LEST_E_CONFIG, "control.group: there is no group %s", text);
    *out = found->gr_gid;
    return LEST_OK;
}

static void name_folder(const struct host_control_wish *wish, char out[HOST_CONTROL_PATH_MAX])
{
    const char *slash = strrchr(wish->path, '/');
    snprintf(out, HOST_CONTROL_PATH_MAX, "%.*s", slash == wish->path ? 1 : (int)(slash - wish->path),
             wish->path);
}

bool host_control_is_idle(const struct host_control_wish *wish)
{
    char folder[HOST_CONTROL_PATH_MAX];
    if (!*wish->path)
        return true;
    name_folder(wish, folder);
    return wish->is_beside_ledger && access(folder, F_OK) < 0 && errno == ENOENT;
}

static enum lest_status open_folder(const struct host_control_wish *wish, uid_t uid, int *out,
                                    struct stat *info, struct lest_error *err)
{
    char folder[HOST_CONTROL_PATH_MAX];
    name_folder(wish, folder);
    *out = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*out < 0 || fstat(*out, info) < 0)
        return lest_error_set_errno(err, LEST_E_CONFIG, errno, "control: the folder %s cannot be used",
                                    folder);
    if (info->st_uid != 0 && info->st_uid != uid)
        return lest_error_set(
            err, LEST_E_CONFIG,
            "control: the folder %s belongs to uid %lu, who could put another socket there; "
            "it must be root's or that of uid %lu",
            folder, (unsigned long)info->st_uid, (unsigned long)uid);
    if (info->st_mode & (S_IWGRP | S_IWOTH))
        return lest_error_set(err, LEST_E_CONFIG,
                              "control: others than its owner may write in the folder %s, and could put "
                              "another socket there (chmod go-w, another `control`, or `control = false`)",
                              folder);
    return LEST_OK;
}

/* An address below an open folder, however long the folder's name is. */
static struct sockaddr_un address_of(int folder, const char *name, const char *suffix)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s%s", folder, name, suffix);
    return address;
}

static const char NEW[] = ".new";

static enum lest_status is_free(const struct host_control *control, const struct host_control *current,
                                struct lest_error *err)
{
    struct stat there;
    const char *path = control->wish.path;
    if (fstatat(control->folder, control->name, &there, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? LEST_OK : lest_error_set_errno(err, LEST_E_IO, errno, "control: %s", path);
    if (!S_ISSOCK(there.st_mode))
        return lest_error_set(err, LEST_E_CONFIG, "control: %s is there, and is no socket", path);
    if (current && current->info.st_ino == there.st_ino && current->info.st_dev == there.st_dev)
        return LEST_OK;
    struct sockaddr_un address = address_of(control->folder, control->name, "");
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int failed = fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    if (failed == ECONNREFUSED || failed == ENOENT)
        return LEST_OK;
    return lest_error_set(err, LEST_E_CONFIG, "control: at %s another server listens", path);
}

static bool is_as_wished(const struct host_control *control, gid_t gid)
{
    return S_ISSOCK(control->info.st_mode) && (control->info.st_mode & 0777) == control->wish.mode &&
           (!*control->wish.group || control->info.st_gid == gid);
}

/* Mode and group are the socket's from its first moment, when it has no name that anybody looks for. */
static enum lest_status bind_to(struct host_control *control, gid_t gid, struct lest_error *err)
{
    struct sockaddr_un address = address_of(control->folder, control->name, NEW);
    const char *new_name = strrchr(address.sun_path, '/') + 1;
    control->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlinkat(control->folder, new_name, 0);
    bool bound = control->fd >= 0 && bind(control->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                 /* Not as root: the group must be one of our own. */
                 (geteuid() == 0 || !*control->wish.group ||
                  fchownat(control->folder, new_name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) == 0) &&
                 fstatat(control->folder, new_name, &control->info, AT_SYMLINK_NOFOLLOW) == 0 &&
                 listen(control->fd, BACKLOG) == 0;
    if (!bound)
        return lest_error_set_errno(err, LEST_E_IO, errno, "control: cannot listen at %s",
                                    control->wish.path);
    if (!is_as_wished(control, gid))
        return lest_error_set(err, LEST_E_IO,
                              "control: %s cannot have the mode and the group that are wanted (a folder with "
                              "a group or an ACL of its own?)",
                              control->wish.path);
    return LEST_OK;
}

/* Take the name of a socket away, where it is still this one's. */
static void remove_name(struct host_control *control)
{
    char name[HOST_CONTROL_PATH_MAX + sizeof NEW];
    struct stat there;
    struct guise before = put_on(control->info.st_uid, control->info.st_gid, 0);
    snprintf(name, sizeof name, "%s%s", control->name, control->is_published ? "" : NEW);
    if (fstatat(control->folder, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
        there.st_ino == control->info.st_ino && there.st_dev == control->info.st_dev)
        unlinkat(control->folder, name, 0);
    take_off(&before);
}

bool host_control_release(struct host_control *control)
{
    if (!control || --control->users)
        return false;
    if (control->info.st_ino)
        remove_name(control);
    if (control->fd >= 0)
        close(control->fd);
    if (control->folder >= 0)
        close(control->folder);
    free(control);
    return true;
}

/* The group and the folder that are wished for, and the folder's owner; without a group, its group. */
static enum lest_status look(struct host_control *control, uid_t uid, uid_t *owner, gid_t *gid,
                             struct lest_error *err)
{
    struct stat folder = { 0 };
    enum lest_status status = *control->wish.group ? find_group(control->wish.group, gid, err) : LEST_OK;
    if (!status)
        status = open_folder(&control->wish, uid, &control->folder, &folder, err);
    *owner = folder.st_uid;
    if (!*control->wish.group)
        *gid = folder.st_gid;
    return status;
}

static enum lest_status new_control(const struct host_control_wish *wish, struct host_control **out,
                                    struct lest_error *err)
{
    struct host_control *control = *out = calloc(1, sizeof *control);
    if (!control)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    *control = (struct host_control){ .wish = *wish, .fd = -1, .folder = -1, .users = 1 };
    control->name = strrchr(control->wish.path, '/') + 1;
    return LEST_OK;
}

enum lest_status host_control_check(const struct host_control_wish *wish, uid_t uid, struct lest_error *err)
{
    struct host_control *control;
    uid_t owner;
    gid_t gid;
    enum lest_status status = new_control(wish, &control, err);
    if (!status)
        status = look(control, uid, &owner, &gid, err);
    host_control_release(control);
    return status;
}

static bool is_same(const struct host_control_wish *a, const struct host_control_wish *b)
{
    return strcmp(a->path, b->path) == 0 && strcmp(a->group, b->group) == 0 && a->mode == b->mode &&
           a->is_beside_ledger == b->is_beside_ledger;
}

static bool is_still_there(const struct host_control *control)
{
    struct stat there;
    return fstatat(control->folder, control->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           there.st_ino == control->info.st_ino && there.st_dev == control->info.st_dev;
}

enum lest_status host_control_acquire(const struct host_control_wish *wish, uid_t uid,
                                      struct host_control *current, struct host_control **out,
                                      struct lest_error *err)
{
    *out = NULL;
    if (current && is_same(&current->wish, wish) && is_still_there(current)) {
        current->users++;
        *out = current;
        return LEST_OK;
    }
    struct host_control *control;
    uid_t owner = uid;
    gid_t gid = 0;
    enum lest_status status = new_control(wish, &control, err);
    if (!status)
        status = look(control, uid, &owner, &gid, err);
    if (!status)
        status = is_free(control, current, err);
    if (!status) {
        struct guise before = put_on(owner, gid, wish->mode);
        status = bind_to(control, gid, err);
        take_off(&before);
    }
    if (status) {
        host_control_release(control);
        return status;
    }
    *out = control;
    return LEST_OK;
}

enum lest_status host_control_publish(struct host_control *control, struct lest_error *err)
{
    char new_name[HOST_CONTROL_PATH_MAX + sizeof NEW];
    if (control->is_published)
        return LEST_OK;
    snprintf(new_name, sizeof new_name, "%s%s", control->name, NEW);
    struct guise before = put_on(control->info.st_uid, control->info.st_gid, 0);
    control->is_published = renameat(control->folder, new_name, control->folder, control->name) == 0;
    int failed = errno;
    take_off(&before);
    if (control->is_published)
        return LEST_OK;
    return lest_error_set_errno(err, LEST_E_IO, failed, "control: cannot listen at %s", control->wish.path);
}
