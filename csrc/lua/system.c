/* core.system: the few things a command asks the operating system that Lua's own libraries lack. */
#include "base/owner.h"
#include "lua/binding.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* system.is_terminal(descriptor) */
static int is_terminal(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* system.terminal_columns(descriptor): of the terminal there; nil where there is none, or it does not say */
static int terminal_columns(lua_State *L)
{
    struct winsize size;
    if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) || size.ws_col == 0)
        return 0;
    lua_pushinteger(L, size.ws_col);
    return 1;
}

/* system.host_name(): as the kernel has it, perhaps without a domain */
static int host_name(lua_State *L)
{
    char name[HOST_NAME_MAX + 1];
    if (gethostname(name, sizeof name))
        return luaL_error(L, "this system has no host name");
    name[sizeof name - 1] = '\0';
    lua_pushstring(L, name);
    return 1;
}

/* system.user_id(): the effective one; 0 is root */
static int user_id(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)geteuid());
    return 1;
}

static int push_account(lua_State *L, uid_t uid)
{
    struct passwd entry, *found = NULL;
    char text[4096];
    if (getpwuid_r(uid, &entry, text, sizeof text, &found) || !found)
        return 0;
    lua_pushstring(L, found->pw_name);
    return 1;
}

/* system.user_name(): of the real user, who runs this; nil for a number without a name */
static int user_name(lua_State *L)
{
    return push_account(L, getuid());
}

/* system.account_name(uid); nil for a number without a name */
static int account_name(lua_State *L)
{
    return push_account(L, (uid_t)luaL_checkinteger(L, 1));
}

/* system.group_id(group): of a name, or of a number as text; nil where there is none */
static int group_id(lua_State *L)
{
    struct group entry, *found = NULL;
    char text[16384];
    const char *name = luaL_checkstring(L, 1);
    int is_number;
    lua_Integer number = lua_tointegerx(L, 1, &is_number);
    if (!is_number && (getgrnam_r(name, &entry, text, sizeof text, &found) || !found))
        return 0;
    lua_pushinteger(L, is_number ? number : (lua_Integer)found->gr_gid);
    return 1;
}

/* system.has_account(name) */
static int has_account(lua_State *L)
{
    struct passwd entry, *found = NULL;
    char text[4096];
    const char *name = luaL_checkstring(L, 1);
    lua_pushboolean(L, getpwnam_r(name, &entry, text, sizeof text, &found) == 0 && found);
    return 1;
}

enum { ENTRIES_MAX = 1000 };

/* The names in a folder, each with a NUL behind; that of a folder has a slash first. */
static void read_entries(DIR *dir, struct lest_buf *names)
{
    struct dirent *entry;
    struct stat info;
    for (int count = 0; count < ENTRIES_MAX && (entry = readdir(dir));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        count++;
        lest_buf_append_str(names, name);
        if (fstatat(dirfd(dir), name, &info, 0) == 0 && S_ISDIR(info.st_mode))
            lest_buf_append_byte(names, '/');
        lest_buf_append_byte(names, '\0');
    }
}

/* system.entries(folder): at most 1000 of the names in it, in no order; a folder's ends with a slash */
static int entries(lua_State *L)
{
    struct lest_error err;
    const char *folder = luaL_checkstring(L, 1);
    struct lest_buf *names = lestL_buf(L, (size_t)ENTRIES_MAX * (NAME_MAX + 2));
    DIR *dir = opendir(folder);
    if (!dir) {
        enum lest_status status = errno == ENOENT ? LEST_E_NOT_FOUND : LEST_E_IO;
        lest_error_set_errno(&err, status, errno, "the folder %s cannot be read", folder);
        return lestL_fail(L, &err);
    }
    read_entries(dir, names);
    closedir(dir);
    if (lest_buf_status(names, &err))
        return lestL_fail(L, &err);
    lua_newtable(L);
    for (size_t at = 0, i = 1; at < names->len; i++) {
        const char *name = (const char *)names->data + at;
        at += strlen(name) + 1;
        lua_pushstring(L, name);
        lua_rawseti(L, -2, (lua_Integer)i);
    }
    return 1;
}

/* system.give(path, account): make a file or folder another account's, with that account's group */
static int give(lua_State *L)
{
    struct lest_error err;
    struct passwd entry, *found = NULL;
    char text[4096];
    const char *path = luaL_checkstring(L, 1), *account = luaL_checkstring(L, 2);
    int number = getpwnam_r(account, &entry, text, sizeof text, &found);
    if (number) {
        lest_error_set_errno(&err, LEST_E_IO, number, "the account %s cannot be looked up", account);
        return lestL_fail(L, &err);
    }
    if (!found) {
        lest_error_set(&err, LEST_E_NOT_FOUND, "there is no account %s", account);
        return lestL_fail(L, &err);
    }
    if (lchown(path, found->pw_uid, found->pw_gid)) {
        lest_error_set_errno(&err, LEST_E_IO, errno, "%s cannot be given to %s", path, account);
        return lestL_fail(L, &err);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* system.stamp(path): the size of a file and when it was changed, in seconds since
 * 1970; nil if there is none */
static int stamp(lua_State *L)
{
    struct stat info;
    if (stat(luaL_checkstring(L, 1), &info))
        return 0;
    lua_pushinteger(L, (lua_Integer)info.st_size);
    lua_pushinteger(L, (lua_Integer)info.st_mtime);
    return 2;
}

/* system.identity(path): which file that is, however it is written to: as a text, for a comparison. One that
 * was made later has another, even where it was given the same inode, if the file system knows when it was
 * made. */
static int identity(lua_State *L)
{
    struct statx info;
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1);
    if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_BTIME, &info)) {
        lest_error_set_errno(&err, errno == ENOENT ? LEST_E_NOT_FOUND : LEST_E_IO, errno,
                             "%s cannot be looked at", path);
        return lestL_fail(L, &err);
    }
    bool is_dated = info.stx_mask & STATX_BTIME;
    lua_pushfstring(L, "%I:%I %I %I.%I", (lua_Integer)info.stx_dev_major, (lua_Integer)info.stx_dev_minor,
                    (lua_Integer)info.stx_ino, is_dated ? (lua_Integer)info.stx_btime.tv_sec : 0,
                    is_dated ? (lua_Integer)info.stx_btime.tv_nsec : 0);
    return 1;
}

/* system.exists(path): whether anything has that name, a dangling link too, and its mode; nil and an error
 * where that cannot be seen */
static int exists(lua_State *L)
{
    struct stat info;
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1);
    if (lstat(path, &info) == 0) {
        lua_pushboolean(L, 1);
        lua_pushinteger(L, info.st_mode & 0777);
        return 2;
    }
    if (errno != ENOENT && errno != ENOTDIR) {
        lest_error_set_errno(&err, LEST_E_IO, errno, "%s: cannot be looked up", path);
        return lestL_fail(L, &err);
    }
    lua_pushboolean(L, 0);
    return 1;
}

/* system.enter(folder): make it the working folder */
static int enter(lua_State *L)
{
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1);
    if (chdir(path)) {
        enum lest_status status = errno == ENOENT ? LEST_E_NOT_FOUND : LEST_E_IO;
        lest_error_set_errno(&err, status, errno, "the folder %s cannot be entered", path);
        return lestL_fail(L, &err);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* system.become_owner(path): root becomes, for good, who owns the file, or its folder if there is none */
static int become_owner(lua_State *L)
{
    struct lest_error err;
    if (lest_become_owner(luaL_checkstring(L, 1), &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

int lestL_open_system(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "is_terminal", is_terminal },
        { "terminal_columns", terminal_columns },
        { "host_name", host_name },
        { "user_id", user_id },
        { "user_name", user_name },
        { "account_name", account_name },
        { "group_id", group_id },
        { "has_account", has_account },
        { "entries", entries },
        { "give", give },
        { "exists", exists },
        { "stamp", stamp },
        { "identity", identity },
        { "enter", enter },
        { "become_owner", become_owner },
        { NULL, NULL },
    };
    luaL_newlib(L, functions);
    return 1;
}
