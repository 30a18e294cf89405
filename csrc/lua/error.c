/* lest.error: what a peer, a file, the network or OpenSSL caused, returned as `nil, err`.
 *
 * A plain table with a shared metatable, so that flows may add fields: code (stable, see base/error.h),
 * message, exit_code, and where they apply operation, reason (what the server said), status (HTTP),
 * retry_after (seconds), request_id, rfc, cause (another error), detail (the drained OpenSSL queue) and
 * was_sent (of a request without an answer: whether it may have reached the server). What a task raised has
 * its origin as traceback. */
#include "lua/error.h"

#include "lua/options.h"

#include <lauxlib.h>
#include <string.h>

static const char CLASS[] = "lest.error";

static const char *const fields[] = { "code",        "message",    "operation", "reason",    "status",
                                      "retry_after", "request_id", "exit_code", "rfc",       "cause",
                                      "detail",      "was_sent",   "unknown",   "traceback", NULL };

static int tostring(lua_State *L)
{
    luaL_Buffer b;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "operation");
    lua_getfield(L, 1, "message");
    lua_getfield(L, 1, "reason");
    lua_getfield(L, 1, "detail");
    lua_getfield(L, 1, "cause");
    luaL_tolstring(L, 6, NULL);
    luaL_buffinit(L, &b);
    const char *operation = lua_tostring(L, 2), *message = lua_tostring(L, 3), *reason = lua_tostring(L, 4);
    const char *detail = lua_tostring(L, 5);
    if (operation) {
        luaL_addstring(&b, operation);
        luaL_addstring(&b, ": ");
    }
    luaL_addstring(&b, message ? message : "error");
    if (reason && *reason) {
        luaL_addstring(&b, ": ");
        luaL_addstring(&b, reason);
    }
    if (detail && *detail) {
        luaL_addstring(&b, " (");
        luaL_addstring(&b, detail);
        luaL_addstring(&b, ")");
    }
    if (!lua_isnil(L, 6)) {
        luaL_addstring(&b, "; caused by: ");
        luaL_addstring(&b, lua_tostring(L, 7));
    }
    luaL_pushresult(&b);
    return 1;
}

static void set_class(lua_State *L)
{
    if (luaL_newmetatable(L, CLASS)) {
        lua_pushcfunction(L, tostring);
        lua_setfield(L, -2, "__tostring");
    }
    lua_setmetatable(L, -2);
}

void lestL_push_error(lua_State *L, const struct lest_error *err)
{
    lua_createtable(L, 0, 5);
    lua_pushstring(L, lest_status_name(err->status));
    lua_setfield(L, -2, "code");
    lua_pushstring(L, err->message);
    lua_setfield(L, -2, "message");
    if (err->detail[0]) {
        lua_pushstring(L, err->detail);
        lua_setfield(L, -2, "detail");
    }
    lua_pushinteger(L, lest_status_exit_code(err->status));
    lua_setfield(L, -2, "exit_code");
    set_class(L);
}

int lestL_fail(lua_State *L, const struct lest_error *err)
{
    lua_pushnil(L);
    lestL_push_error(L, err);
    return 2;
}

/* error.new{ code =, message =, ... } */
static int new (lua_State *L)
{
    lestL_check_options(L, 1, fields);
    lua_settop(L, 1);
    const char *code = lestL_opt_string(L, 1, "code", NULL);
    luaL_argcheck(L, code, 1, "an error has a code");
    enum lest_status status = lest_status_from_name(code);
    if (strcmp(lest_status_name(status), code) != 0)
        return luaL_error(L, "unknown error code '%s'", code);
    if (lua_getfield(L, 1, "message") == LUA_TNIL)
        return luaL_error(L, "an error has a message");
    lua_pop(L, 1);
    if (lua_getfield(L, 1, "exit_code") == LUA_TNIL) {
        lua_pushinteger(L, lest_status_exit_code(status));
        lua_setfield(L, 1, "exit_code");
    }
    lua_settop(L, 1);
    set_class(L);
    return 1;
}

/* error.is(value): whether value is a lest.error */
static int is(lua_State *L)
{
    bool same = false;
    if (lua_istable(L, 1) && lua_getmetatable(L, 1)) {
        luaL_getmetatable(L, CLASS);
        same = lua_rawequal(L, -1, -2);
    }
    lua_pushboolean(L, same);
    return 1;
}

/* error.codes(): every stable code with its exit code */
static int codes(lua_State *L)
{
    lua_newtable(L);
    for (int i = 1; i < LEST_E_COUNT; i++) {
        lua_pushinteger(L, lest_status_exit_code((enum lest_status)i));
        lua_setfield(L, -2, lest_status_name((enum lest_status)i));
    }
    return 1;
}

static int results(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return lua_gettop(L);
}

static int call(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, results);
    return results(L, LUA_OK, 0);
}

/* error.keep_caller(fn): fn as a function of C. Lua leaves the frame of a function that ends with
 * `return fn()` only where fn is one of C: an error then names the line on which it was called. */
static int keep_caller(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_pushcclosure(L, call, 1);
    return 1;
}

int lestL_open_error(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "new", new }, { "is", is }, { "codes", codes }, { "keep_caller", keep_caller }, { NULL, NULL }
    };
    luaL_newlib(L, functions);
    return 1;
}
