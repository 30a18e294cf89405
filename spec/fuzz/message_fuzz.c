/* A packet on the authority's socket: what a worker in an attacker's hands may send. It is refused or it is
 * a table of the schema; either way no Lua error escapes, and what is taken can be written again and is taken
 * again, unless it grows too large by that. */
#include "fuzz.h"

#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <string.h>
#include <unistd.h>

int luaopen_lest_core(lua_State *L);

static const char script[] = "local cjson, message = require 'cjson', require 'lest.server.wire.message'\n"
                             "local all = { begin = true, finish = true, answer = true }\n"
                             "return function(packet)\n"
                             "  local value, problem = message.decode(packet, all)\n"
                             "  if not value then return type(problem) == 'string' end\n"
                             "  if type(value.id) ~= 'string' or #value.id > 64 then return false end\n"
                             "  local again, why = message.encode(cjson.decode(packet))\n"
                             "  if not again then return why == 'the packet is too large' end\n"
                             "  local second = message.decode(again, all)\n"
                             "  return second ~= nil and second.type == value.type\n"
                             "end\n";

static lua_State *start(void)
{
    char exe[PATH_MAX];
    lua_State *L = luaL_newstate();
    FUZZ_CHECK(L);
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_lest_core);
    lua_setfield(L, -2, "lest.core");
    ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
    FUZZ_CHECK(len > 0);
    exe[len] = '\0';
    for (int up = 0; up < 2; up++)
        *strrchr(exe, '/') = '\0';
    lua_getglobal(L, "package");
    lua_pushfstring(L, "%s/share/lua/5.4/?.lua;/usr/share/lua/5.4/?.lua", exe);
    lua_setfield(L, -2, "path");
    FUZZ_CHECK(luaL_dostring(L, script) == LUA_OK);
    return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *L;
    if (!L)
        L = start();
    lua_pushvalue(L, -1);
    lua_pushlstring(L, (const char *)data, size);
    FUZZ_CHECK(lua_pcall(L, 1, 1, 0) == LUA_OK);
    FUZZ_CHECK(lua_toboolean(L, -1));
    lua_pop(L, 1);
    return 0;
}
