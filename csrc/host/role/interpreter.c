#include "host/role/interpreter.h"

#include "host/role/clock.h"
#include "host/role/process.h"
#include "lua/binding.h"
#include "lua/limit.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Push Lua's own search path without its entries of the current folder. Another account may be able to write
 * there, and a server or a command that root starts must not run its modules. A script has them back
 * (lest.tool.command.support). */
static void push_installed(lua_State *L, const char *path)
{
    static const char *const here[] = { ";./?.lua;", ";./?/init.lua;", ";./?.so;", ";./loadall.so;" };
    size_t len;
    lua_pushfstring(L, ";%s;", path);
    for (size_t i = 0; i < sizeof here / sizeof *here; i++) {
        luaL_gsub(L, lua_tostring(L, -1), here[i], ";");
        lua_remove(L, -2);
    }
    const char *text = lua_tolstring(L, -1, &len);
    lua_pushlstring(L, text + 1, len > 2 ? len - 2 : 0);
    lua_remove(L, -2);
}

static int set_paths(lua_State *L)
{
    char exe[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (len < 0)
        return luaL_error(L, "/proc/self/exe cannot be read: %s", strerror(errno));
    exe[len] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(exe, '/');
        if (slash)
            *slash = '\0';
    }
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "path");
    push_installed(L, lua_tostring(L, -1));
    lua_pushfstring(L, "%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua;%s", exe, exe,
                    lua_tostring(L, -1));
    lua_setfield(L, -4, "path");
    lua_getfield(L, -3, "cpath");
    push_installed(L, lua_tostring(L, -1));
    lua_pushfstring(L, "%s/lib/lua/5.4/?.so;%s", exe, lua_tostring(L, -1));
    lua_setfield(L, -6, "cpath");
    lua_pushstring(L, exe);
    lua_setglobal(L, "LEST_PREFIX");
    return 0;
}

/* As luaL_newstate: an error outside of any protected call ends the process, saying why. */
static int panic(lua_State *L)
{
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, "lest: unprotected error: %s\n", message ? message : "(no message)");
    return 0;
}

/* lest.core of this binary: the fields that this process may have, and core.process */
static int open_core(lua_State *L)
{
    lestL_open_core(L, lua_touserdata(L, lua_upvalueindex(1)));
    host_open_process(L);
    lua_setfield(L, -2, "process");
    return 1;
}

static int open_all(lua_State *L)
{
    luaL_openlibs(L);
    host_clock_replace_os(L);
    set_paths(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, open_core, 1);
    lua_setfield(L, -2, "lest.core");
    const luaL_Reg *more = lua_touserdata(L, 1);
    for (; more && more->name; more++) {
        lua_pushcfunction(L, more->func);
        lua_setfield(L, -2, more->name);
    }
    return 0;
}

lua_State *host_interpreter_new(const luaL_Reg *more, const char *const fields[])
{
    static struct lestL_allocator allocator;
    lua_State *L = lua_newstate(lestL_limit_alloc, &allocator);
    if (!L) {
        fputs("lest: out of memory\n", stderr);
        return NULL;
    }
    lua_atpanic(L, panic);
    lua_pushcfunction(L, open_all);
    lua_pushlightuserdata(L, (void *)(uintptr_t)more);
    lua_pushlightuserdata(L, (void *)(uintptr_t)fields);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK)
        return L;
    fprintf(stderr, "lest: %s\n", lua_tostring(L, -1));
    lua_close(L);
    return NULL;
}

static int traceback(lua_State *L)
{
    const char *message = luaL_tolstring(L, 1, NULL);
    if (getenv("LEST_TRACEBACK"))
        luaL_traceback(L, L, message, 1);
    return 1;
}

static int run(lua_State *L)
{
    const char *module = lua_touserdata(L, 1);
    int argc = (int)lua_tointeger(L, 2);
    char **argv = lua_touserdata(L, 3);
    lua_createtable(L, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_pushvalue(L, -1);
    lua_setglobal(L, "arg");
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "main");
    lua_pushvalue(L, -3);
    lua_call(L, 1, 1);
    return 1;
}

int host_interpreter_main(lua_State *L, const char *module, int argc, char **argv)
{
    lua_pushcfunction(L, traceback);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, (void *)module);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    if (lua_pcall(L, 3, 1, -5) != LUA_OK) {
        fprintf(stderr, "lest: %s\n", lua_tostring(L, -1));
        return 1;
    }
    return lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : 1;
}
