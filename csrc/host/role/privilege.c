#include "host/role/privilege.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PASSWD_MAX = 16384 };

static bool parse_number(const char *text, unsigned long *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *out = strtoul(text, &end, 10);
    /* (uid_t)-1 means "leave it as it is" to the kernel. */
    return !errno && !*end && *out < UINT_MAX;
}

enum lest_status host_user_find(const char *text, struct host_user *out, struct lest_error *err)
{
    struct passwd entry, *found = NULL;
    char room[PASSWD_MAX];
    unsigned long number = 0;
    bool is_number = parse_number(text, &number);
    memset(out, 0, sizeof *out);
    int result = is_number ? getpwuid_r((uid_t)number, &entry, room, sizeof room, &found)
                           : getpwnam_r(text, &entry, room, sizeof room, &found);
    if (found && strlen(entry.pw_name) < sizeof out->name) {
        out->uid = entry.pw_uid;
        out->gid = entry.pw_gid;
        snprintf(out->name, sizeof out->name, "%s", entry.pw_name);
        return LEST_OK;
    }
    if (is_number) {
        out->uid = (uid_t)number;
        out->gid = (gid_t)number;
        return LEST_OK;
    }
    if (result)
        return lest_error_set_errno(err, LEST_E_NOT_FOUND, result, "the user %s cannot be looked up", text);
    return lest_error_set(err, LEST_E_NOT_FOUND, "there is no user %s", text);
}

static bool has_capabilities(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
    if (syscall(SYS_capget, &header, data) < 0)
        return true;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        if (data[i].effective || data[i].permitted)
            return true;
    return false;
}

static bool is_only(const struct host_user *user)
{
    uid_t uid[3];
    gid_t gid[3];
    if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
        return false;
    for (int i = 0; i < 3; i++)
        if (uid[i] != user->uid || gid[i] != user->gid)
            return false;
    return true;
}

enum lest_status host_privilege_drop(const struct host_user *user, struct lest_error *err)
{
    if (user->uid == 0 || user->gid == 0)
        return lest_error_set(err, LEST_E_REFUSED, "uid %u, gid %u: one of them is root's",
                              (unsigned)user->uid, (unsigned)user->gid);
    if (geteuid() != 0) {
        if (is_only(user))
            return LEST_OK;
        return lest_error_set(err, LEST_E_REFUSED, "only root can become uid %u", (unsigned)user->uid);
    }
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 ||
        (user->name[0] ? initgroups(user->name, user->gid) : setgroups(0, NULL)) < 0 ||
        setresgid(user->gid, user->gid, user->gid) < 0 || setresuid(user->uid, user->uid, user->uid) < 0)
        return lest_error_set_errno(err, LEST_E_REFUSED, errno, "cannot become uid %u", (unsigned)user->uid);
    if (!is_only(user) || has_capabilities() || setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0)
        return lest_error_set(err, LEST_E_REFUSED, "root's rights are left after becoming uid %u",
                              (unsigned)user->uid);
    return LEST_OK;
}

enum lest_status host_privilege_harden(struct lest_error *err)
{
    struct rlimit none = { 0, 0 };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0)
        return lest_error_set_errno(err, LEST_E_REFUSED, errno, "the process cannot be closed off");
    return LEST_OK;
}

static bool is_empty(int folder)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    if (!entries)
        return false;
    int count = 0;
    while (count < 3 && readdir(entries))
        count++;
    closedir(entries);
    return count == 2; /* "." and ".." */
}

enum lest_status host_privilege_own_folder(const char *path, const struct host_user *user, bool look_only,
                                           struct lest_error *err)
{
    struct stat info;
    if (look_only && lstat(path, &info) < 0 && errno == ENOENT)
        return lest_error_set(err, LEST_E_NOT_FOUND, "the folder %s is not there yet", path);
    if (!look_only && mkdir(path, 0700) < 0 && errno != EEXIST)
        return lest_error_set_errno(err, LEST_E_IO, errno, "the folder %s cannot be made", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    enum lest_status status = LEST_OK;
    if (fd < 0 || fstat(fd, &info) < 0)
        status = lest_error_set_errno(err, LEST_E_IO, errno, "the folder %s cannot be used", path);
    else if (info.st_uid == user->uid)
        status = LEST_OK;
    else if (info.st_uid != 0 || !is_empty(fd))
        status = lest_error_set(err, LEST_E_CONFIG,
                                "the folder %s must be there for the ledger alone and belong to %s (uid %u); "
                                "one that does not exist is made",
                                path, user->name[0] ? user->name : "the authority", (unsigned)user->uid);
    else if (!look_only && (fchown(fd, user->uid, user->gid) < 0 || fchmod(fd, 0700) < 0))
        status = lest_error_set_errno(err, LEST_E_IO, errno, "the folder %s cannot be given away", path);
    if (fd >= 0)
        close(fd);
    return status;
}
