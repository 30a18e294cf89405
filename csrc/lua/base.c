/* The small tables over base: core.base64, core.utf8, core.clock, core.file, core.log. */
#include "base/base64.h"
#include "base/clock.h"
#include "base/clock_file.h"
#include "base/file.h"
#include "base/install.h"
#include "base/log.h"
#include "base/utf8.h"
#include "lua/binding.h"
#include "lua/limit.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BASE64_MAX = 64 * 1024 * 1024, FILE_MAX = 16 * 1024 * 1024, LOG_FIELDS_MAX = 40 };

static int base64_encode(lua_State *L)
{
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    lua_Integer wrap = luaL_optinteger(L, 2, 0);
    luaL_argcheck(L, wrap >= 0 && wrap % 4 == 0, 2, "a multiple of 4, or 0 for one line");
    struct lest_buf *out = lestL_buf(L, BASE64_MAX);
    lest_base64_encode(data, len, (size_t)wrap, out);
    return lestL_push_buf(L, out);
}

static int base64_decode(lua_State *L)
{
    size_t len;
    struct lest_error err;
    const char *text = luaL_checklstring(L, 1, &len);
    struct lest_buf *out = lestL_buf(L, BASE64_MAX);
    if (lest_base64_decode(text, len, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

int lestL_open_base64(lua_State *L)
{
    static const luaL_Reg functions[] = { { "encode", base64_encode },
                                          { "decode", base64_decode },
                                          { NULL, NULL } };
    luaL_newlib(L, functions);
    return 1;
}

/* utf8.is_text(bytes): whether they are UTF-8 without NUL, as the ledger and a message take a text */
static int utf8_is_text(lua_State *L)
{
    size_t len;
    const char *bytes = luaL_checklstring(L, 1, &len);
    lua_pushboolean(L, lest_utf8_is_text(bytes, len));
    return 1;
}

/* utf8.is_unseen(code): see lest_utf8_is_unseen */
static int utf8_is_unseen(lua_State *L)
{
    lua_Integer code = luaL_checkinteger(L, 1);
    lua_pushboolean(L, code >= 0 && code <= 0x10ffff && lest_utf8_is_unseen((uint32_t)code));
    return 1;
}

int lestL_open_utf8(lua_State *L)
{
    static const luaL_Reg functions[] = { { "is_text", utf8_is_text },
                                          { "is_unseen", utf8_is_unseen },
                                          { NULL, NULL } };
    luaL_newlib(L, functions);
    return 1;
}

static int monotonic_ms(lua_State *L)
{
    lua_pushinteger(L, lest_clock_monotonic_ms());
    return 1;
}

static int monotonic_us(lua_State *L)
{
    lua_pushinteger(L, lest_clock_monotonic_us());
    return 1;
}

static int wall_us(lua_State *L)
{
    lua_pushinteger(L, lest_clock_wall_us());
    return 1;
}

static int cpu_us(lua_State *L)
{
    lua_pushinteger(L, lest_clock_cpu_us());
    return 1;
}

/* clock.is_injected(): whether the wall clock is one that was injected (base/clock_file.h) */
static int is_injected(lua_State *L)
{
    lua_pushboolean(L, lest_clock_file_is_followed());
    return 1;
}

int lestL_open_clock(lua_State *L)
{
    static const luaL_Reg functions[] = { { "monotonic_ms", monotonic_ms }, { "monotonic_us", monotonic_us },
                                          { "wall_us", wall_us },           { "cpu_us", cpu_us },
                                          { "is_injected", is_injected },   { NULL, NULL } };
    luaL_newlib(L, functions);
    return 1;
}

struct lest_buf *lestL_read_file(lua_State *L, const char *path, size_t max, struct lest_error *err)
{
    struct lest_buf *data = lestL_buf(L, max);
    return lest_file_read(path, data, err) ? NULL : data;
}

void lestL_name_file(const char *path, struct lest_error *err)
{
    char message[sizeof err->message], detail[sizeof err->detail];
    memcpy(message, err->message, sizeof message);
    memcpy(detail, err->detail, sizeof detail);
    lest_error_set(err, err->status, "%s: %s", path, message);
    memcpy(err->detail, detail, sizeof detail);
}

typedef enum lest_status (*read_fn)(const char *path, struct lest_buf *out, struct lest_error *err);

static int read_by(lua_State *L, read_fn read)
{
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1);
    lua_Integer max = luaL_optinteger(L, 2, FILE_MAX);
    luaL_argcheck(L, max > 0, 2, "a number of bytes");
    struct lest_buf *data = lestL_buf(L, (size_t)max);
    return read(path, data, &err) ? lestL_fail(L, &err) : lestL_push_buf(L, data);
}

/* file.read(path [, max_bytes]) */
static int file_read(lua_State *L)
{
    return read_by(L, lest_file_read);
}

/* file.read_plain(path [, max_bytes]): see lest_file_read_plain */
static int file_read_plain(lua_State *L)
{
    return read_by(L, lest_file_read_plain);
}

/* file.write(path, data [, { mode = 0644, new = false }]) */
static int file_write(lua_State *L)
{
    static const char *const known[] = { "mode", "new", NULL };
    size_t len;
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1);
    const char *data = luaL_checklstring(L, 2, &len);
    lestL_check_options(L, 3, known);
    lua_Integer mode = lestL_opt_integer(L, 3, "mode", 0644);
    luaL_argcheck(L, mode >= 0 && mode <= 0777, 3, "mode is between 0 and 0777");
    enum lest_file_how how = lestL_opt_boolean(L, 3, "new", false) ? LEST_FILE_NEW : LEST_FILE_REPLACE;
    if (lest_file_write(path, data, len, (mode_t)mode, how, &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* The account of a name; its group too, unless another is named. */
static enum lest_status find_owner(const char *owner, const char *group, struct lest_install_as *as,
                                   struct lest_error *err)
{
    struct passwd user, *found_user = NULL;
    struct group entry, *found_group = NULL;
    char text[16384];
    if (owner && (getpwnam_r(owner, &user, text, sizeof text, &found_user) || !found_user))
        return lest_error_set(err, LEST_E_NOT_FOUND, "there is no account %s", owner);
    if (found_user) {
        as->uid = user.pw_uid;
        as->gid = user.pw_gid;
    }
    if (group && (getgrnam_r(group, &entry, text, sizeof text, &found_group) || !found_group))
        return lest_error_set(err, LEST_E_NOT_FOUND, "there is no group %s", group);
    if (found_group)
        as->gid = entry.gr_gid;
    return LEST_OK;
}

/* file.install(path, data [, { mode = 0600, owner =, group = }]): see lest_install_file */
static int file_install(lua_State *L)
{
    static const char *const known[] = { "mode", "owner", "group", NULL };
    size_t len;
    struct lest_error err;
    struct lest_install_as as = { .uid = (uid_t)-1, .gid = (gid_t)-1 };
    const char *path = luaL_checkstring(L, 1);
    const char *data = luaL_checklstring(L, 2, &len);
    lestL_check_options(L, 3, known);
    lua_Integer mode = lestL_opt_integer(L, 3, "mode", 0600);
    luaL_argcheck(L, mode >= 0 && mode <= 0777, 3, "mode is between 0 and 0777");
    as.mode = (mode_t)mode;
    if (find_owner(lestL_opt_string(L, 3, "owner", NULL), lestL_opt_string(L, 3, "group", NULL), &as, &err) ||
        lest_install_file(path, data, len, &as, &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* file.link(target, path): see lest_install_link */
static int file_link(lua_State *L)
{
    struct lest_error err;
    if (lest_install_link(luaL_checkstring(L, 1), luaL_checkstring(L, 2), &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* file.check(path): whether write could begin to replace it */
static int file_check(lua_State *L)
{
    struct lest_error err;
    if (lest_file_check(luaL_checkstring(L, 1), &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* file.resolve(path): absolute and without links; the file itself need not be there */
static int file_resolve(lua_State *L)
{
    char path[PATH_MAX];
    struct lest_error err;
    if (lest_file_resolve(luaL_checkstring(L, 1), path, &err))
        return lestL_fail(L, &err);
    lua_pushstring(L, path);
    return 1;
}

/* file.absolute(path): from the root, by the working folder; links are not followed */
static int file_absolute(lua_State *L)
{
    char folder[PATH_MAX];
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1);
    if (*path == '/') {
        lua_settop(L, 1);
        return 1;
    }
    if (!getcwd(folder, sizeof folder)) {
        lest_error_set_errno(&err, LEST_E_IO, errno, "the working folder is unknown");
        return lestL_fail(L, &err);
    }
    lua_pushfstring(L, strcmp(path, ".") == 0 ? "%s" : "%s/%s", folder, path);
    return 1;
}

/* file.version(path): a text that is another one when the file was written or replaced. Nothing is read. */
static int file_version(lua_State *L)
{
    struct stat info;
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1);
    if (stat(path, &info)) {
        enum lest_status status = errno == ENOENT ? LEST_E_NOT_FOUND : LEST_E_IO;
        lest_error_set_errno(&err, status, errno, "%s cannot be found", path);
        return lestL_fail(L, &err);
    }
    if (!S_ISREG(info.st_mode)) {
        lest_error_set(&err, LEST_E_IO, "%s is no plain file", path);
        return lestL_fail(L, &err);
    }
    char text[256];
    snprintf(text, sizeof text, "%jx-%jx-%jx-%jx.%lx-%jx.%lx", (uintmax_t)info.st_dev, (uintmax_t)info.st_ino,
             (uintmax_t)info.st_size, (uintmax_t)info.st_mtim.tv_sec, (unsigned long)info.st_mtim.tv_nsec,
             (uintmax_t)info.st_ctim.tv_sec, (unsigned long)info.st_ctim.tv_nsec);
    lua_pushstring(L, text);
    return 1;
}

int lestL_open_file(lua_State *L)
{
    static const luaL_Reg functions[] = { { "absolute", file_absolute }, { "check", file_check },
                                          { "install", file_install },   { "link", file_link },
                                          { "read", file_read },         { "read_plain", file_read_plain },
                                          { "resolve", file_resolve },   { "version", file_version },
                                          { "write", file_write },       { NULL, NULL } };
    luaL_newlib(L, functions);
    return 1;
}

static const char *const levels[] = { "debug", "info", "warning", "error", NULL };

/* log.write(level, event [, { key, value, key, value, ... }]): a list keeps the order; a nil value cannot
 * stand in a list, so false leaves its key out and true is a boolean. */
static int log_write(lua_State *L)
{
    struct lest_log_field list[LOG_FIELDS_MAX];
    size_t count = 0;
    enum lest_log_level level = (enum lest_log_level)luaL_checkoption(L, 1, NULL, levels);
    const char *event = luaL_checkstring(L, 2);
    lua_settop(L, 3);
    lua_Integer length = lua_isnil(L, 3) ? 0 : luaL_len(L, 3);
    luaL_checkstack(L, (int)length + 4, "too many fields");
    for (lua_Integer i = 1; i < length && count < LOG_FIELDS_MAX; i += 2) {
        lua_geti(L, 3, i);
        lua_geti(L, 3, i + 1);
        struct lest_log_field *field = &list[count];
        *field = (struct lest_log_field){ .key = luaL_checkstring(L, -2) };
        if (lua_isboolean(L, -1)) {
            if (!lua_toboolean(L, -1))
                continue;
            field->kind = LEST_LOG_BOOLEAN;
            field->integer = 1;
        } else if (lua_isinteger(L, -1)) {
            field->kind = LEST_LOG_INTEGER;
            field->integer = lua_tointeger(L, -1);
        } else {
            field->kind = LEST_LOG_TEXT;
            field->text = luaL_tolstring(L, -1, &field->text_len);
            lua_replace(L, -2);
        }
        count++;
    }
    lest_log_write(level, event, list, count);
    /* What a policy says may be the last of it. */
    if (lestL_limit_is_running(L))
        lest_log_flush();
    return 0;
}

static int log_set_level(lua_State *L)
{
    lest_log_set_level((enum lest_log_level)luaL_checkoption(L, 1, NULL, levels));
    return 0;
}

static int log_shows(lua_State *L)
{
    lua_pushboolean(L, lest_log_shows((enum lest_log_level)luaL_checkoption(L, 1, NULL, levels)));
    return 1;
}

int lestL_open_log(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "write", log_write }, { "set_level", log_set_level }, { "shows", log_shows }, { NULL, NULL }
    };
    luaL_newlib(L, functions);
    return 1;
}
