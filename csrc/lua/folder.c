/* core.folder: folders whose changes last, and the lock of who works in one (class lest.lock).
 *
 *   folder.make(path [, mode = 0777])   a folder
 *   folder.ensure(path [, mode = 0777]) a folder, unless one is there
 *   folder.is_own(path)                 whether this account alone may write there
 *   folder.target(path) -> string       what a symbolic link says
 *   folder.move(from, to)               another name
 *   folder.remove(path)                 a file, a link or an empty folder
 *   folder.remove_whole(path)           a folder with files, in a folder that a stranger may have
 *   folder.lock(path) -> lock           until it is closed, or the process ends */
#include "lua/folder.h"

#include "base/folder.h"
#include "base/install.h"
#include "lua/binding.h"

#include <stdlib.h>
#include <unistd.h>

struct handle {
    int fd;
};

static void close_handle(void *h)
{
    struct handle *handle = h;
    if (handle->fd >= 0)
        close(handle->fd);
    free(handle);
}

static const struct lestL_class class = { .name = "lest.lock", .close = close_handle };

int lestL_lock_fd(lua_State *L, int idx)
{
    const struct handle *handle = lestL_check_object(L, idx, &class);
    return handle->fd;
}

static int done(lua_State *L, enum lest_status status, const struct lest_error *err)
{
    if (status)
        return lestL_fail(L, err);
    lua_pushboolean(L, 1);
    return 1;
}

static mode_t check_mode(lua_State *L, int arg)
{
    lua_Integer mode = luaL_optinteger(L, arg, 0777);
    luaL_argcheck(L, mode >= 0 && mode <= 0777, arg, "mode is between 0 and 0777");
    return (mode_t)mode;
}

static int make(lua_State *L)
{
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1);
    return done(L, lest_folder_make(path, check_mode(L, 2), &err), &err);
}

static int ensure(lua_State *L)
{
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1);
    return done(L, lest_folder_ensure(path, check_mode(L, 2), &err), &err);
}

static int is_own(lua_State *L)
{
    struct lest_error err;
    return done(L, lest_folder_is_own(luaL_checkstring(L, 1), &err), &err);
}

static int read_target(lua_State *L)
{
    char target[PATH_MAX];
    struct lest_error err;
    if (lest_folder_target(luaL_checkstring(L, 1), target, &err))
        return lestL_fail(L, &err);
    lua_pushstring(L, target);
    return 1;
}

static int move(lua_State *L)
{
    struct lest_error err;
    const char *from = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);
    return done(L, lest_folder_move(from, to, &err), &err);
}

static int remove_path(lua_State *L)
{
    struct lest_error err;
    return done(L, lest_folder_remove(luaL_checkstring(L, 1), &err), &err);
}

static int remove_whole(lua_State *L)
{
    struct lest_error err;
    return done(L, lest_install_remove_folder(luaL_checkstring(L, 1), &err), &err);
}

static int take_lock(lua_State *L)
{
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1);
    struct lestL_object *object = lestL_new_object(L, &class);
    struct handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        return lestL_no_memory(L);
    handle->fd = -1;
    object->h = handle;
    if (lest_folder_lock(path, &handle->fd, &err))
        return lestL_fail(L, &err);
    return 1;
}

int lestL_open_folder(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "make", make },
        { "ensure", ensure },
        { "is_own", is_own },
        { "move", move },
        { "target", read_target },
        { "remove", remove_path },
        { "lock", take_lock },
        { "remove_whole", remove_whole },
        { NULL, NULL },
    };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
