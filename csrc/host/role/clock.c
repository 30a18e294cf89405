#include "host/role/clock.h"

#include "base/clock.h"
#include "base/clock_file.h"
#include "lua/binding.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* A time that a certificate can have: to the end of the year 9999. */
#define WALL_MAX_US ((lua_Integer)253402300799 * 1000000)

static char followed[PATH_MAX];

enum lest_status host_clock_follow(const char *path, struct lest_error *err)
{
    int fd;
    enum lest_status status = lest_clock_file_open(path, &fd, err);
    if (status)
        return status;
    status = lest_clock_file_follow(fd, err);
    close(fd);
    if (!status)
        snprintf(followed, sizeof followed, "%s", path);
    return status;
}

/* os.time([table]) */
static int os_time(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_pushinteger(L, lest_clock_wall_s());
        return 1;
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

/* os.date([format [, time]]) */
static int os_date(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_isnil(L, 1)) {
        lua_pushliteral(L, "%c");
        lua_replace(L, 1);
    }
    if (lua_isnil(L, 2)) {
        lua_pushinteger(L, lest_clock_wall_s());
        lua_replace(L, 2);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 2, 1);
    return 1;
}

static void replace(lua_State *L, const char *name, lua_CFunction function)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

void host_clock_replace_os(lua_State *L)
{
    lua_getglobal(L, "os");
    replace(L, "time", os_time);
    replace(L, "date", os_date);
    lua_pop(L, 1);
}

static lua_Integer check_wall_us(lua_State *L, int idx)
{
    lua_Integer wall_us = luaL_checkinteger(L, idx);
    luaL_argcheck(L, wall_us >= 0 && wall_us <= WALL_MAX_US, idx, "no time between 1970 and 9999");
    return wall_us;
}

int host_clock_make(lua_State *L)
{
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1);
    if (lest_clock_file_is_followed())
        return luaL_error(L, "this process goes by an injected clock already");
    if (lest_clock_file_make(path, check_wall_us(L, 2), &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

int host_clock_set(lua_State *L)
{
    if (!lest_clock_file_set(check_wall_us(L, 1)))
        return luaL_error(L, "this process has made no clock");
    return 0;
}

int host_clock_get(lua_State *L)
{
    lua_pushstring(L, *followed ? followed : NULL);
    return 1;
}
