#include "lua/binding.h"

#include "base/log.h"

#include <string.h>
#include <unistd.h>

static int close_object(lua_State *L)
{
    const struct lestL_class *class = lua_touserdata(L, lua_upvalueindex(1));
    struct lestL_object *object = luaL_checkudata(L, 1, class->name);
    void *h = object->h;
    object->h = NULL;
    if (h && class->close)
        class->close(h);
    return 0;
}

/* upvalues: methods, getters, class */
static int index_object(lua_State *L)
{
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    lua_pop(L, 1);
    lua_pushvalue(L, 2);
    lua_CFunction getter = lua_rawget(L, lua_upvalueindex(2)) == LUA_TNIL ? NULL : lua_tocfunction(L, -1);
    lua_pop(L, 1);
    if (getter)
        return getter(L);
    const struct lestL_class *class = lua_touserdata(L, lua_upvalueindex(3));
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "%s has named fields only, not a %s", class->name, luaL_typename(L, 2));
    return luaL_error(L, "%s has no field '%s'", class->name, lua_tostring(L, 2));
}

static int default_tostring(lua_State *L)
{
    const struct lestL_class *class = lua_touserdata(L, lua_upvalueindex(1));
    struct lestL_object *object = luaL_checkudata(L, 1, class->name);
    lua_pushfstring(L, object->h ? "%s" : "%s (closed)", class->name);
    return 1;
}

void lestL_class_register(lua_State *L, const struct lestL_class *class)
{
    static const luaL_Reg none[] = { { NULL, NULL } };
    if (!luaL_newmetatable(L, class->name)) {
        lua_pop(L, 1);
        return;
    }
    lua_pushlightuserdata(L, (void *)class);
    lua_pushcclosure(L, default_tostring, 1);
    lua_setfield(L, -2, "__tostring");
    luaL_setfuncs(L, class->meta ? class->meta : none, 0);
    lua_newtable(L);
    luaL_setfuncs(L, class->methods ? class->methods : none, 0);
    if (class->close) {
        lua_pushlightuserdata(L, (void *)class);
        lua_pushcclosure(L, close_object, 1);
        lua_pushvalue(L, -1);
        lua_setfield(L, -4, "__gc");
        lua_pushvalue(L, -1);
        lua_setfield(L, -4, "__close");
        lua_pushliteral(L, "close");
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
        lua_pop(L, 1);
    }
    lua_newtable(L);
    luaL_setfuncs(L, class->getters ? class->getters : none, 0);
    lua_pushlightuserdata(L, (void *)class);
    lua_pushcclosure(L, index_object, 3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

struct lestL_object *lestL_new_object(lua_State *L, const struct lestL_class *class)
{
    struct lestL_object *object = lua_newuserdatauv(L, sizeof *object, 1);
    object->h = NULL;
    luaL_setmetatable(L, class->name);
    return object;
}

void *lestL_check_object(lua_State *L, int idx, const struct lestL_class *class)
{
    struct lestL_object *object = luaL_checkudata(L, idx, class->name);
    if (!object->h)
        luaL_error(L, "attempt to use a closed %s", class->name);
    return object->h;
}

void *lestL_test_object(lua_State *L, int idx, const struct lestL_class *class)
{
    struct lestL_object *object = luaL_testudata(L, idx, class->name);
    return object ? object->h : NULL;
}

static int free_buf(lua_State *L)
{
    lest_buf_wipe(lua_touserdata(L, 1));
    return 0;
}

struct lest_buf *lestL_buf(lua_State *L, size_t max)
{
    struct lest_buf *buf = lua_newuserdatauv(L, sizeof *buf, 0);
    lest_buf_init(buf, max);
    if (luaL_newmetatable(L, "lest.buf")) {
        lua_pushcfunction(L, free_buf);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return buf;
}

int lestL_push_buf(lua_State *L, struct lest_buf *buf)
{
    struct lest_error err;
    if (lest_buf_status(buf, &err))
        return lestL_fail(L, &err);
    lua_pushlstring(L, (const char *)buf->data, buf->len);
    lest_buf_wipe(buf);
    return 1;
}

static int traceback(lua_State *L)
{
    const char *message = luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, message, 1);
    return 1;
}

static const char NO_MEMORY[] = "not enough memory";

static void (*no_memory)(void);

int lestL_no_memory(lua_State *L)
{
    lua_pushstring(L, NO_MEMORY);
    lua_error(L);
    __builtin_unreachable();
}

void lestL_on_no_memory(void (*fn)(void))
{
    no_memory = fn;
}

bool lestL_call(lua_State *L, int nargs, int nresults, const char *what)
{
    int top = lua_gettop(L) - nargs - 1;
    if (!lua_checkstack(L, LUA_MINSTACK)) {
        lest_log(LEST_LOG_ERROR, "lua error", "%s: stack overflow", what);
        lua_settop(L, top);
        return false;
    }
    lua_pushcfunction(L, traceback);
    lua_insert(L, top + 1);
    int result = lua_pcall(L, nargs, nresults, top + 1);
    if (result == LUA_OK) {
        lua_remove(L, top + 1);
        return true;
    }
    const char *message = lua_tostring(L, -1);
    lest_log(LEST_LOG_ERROR, "lua error", "%s: %s", what, message ? message : "(no message)");
    bool was_short =
        result == LUA_ERRMEM || (message && strncmp(message, NO_MEMORY, sizeof NO_MEMORY - 1) == 0);
    lua_settop(L, top);
    if (was_short && no_memory)
        no_memory();
    return false;
}

static int close_stream(lua_State *L)
{
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

luaL_Stream *lestL_push_stream(lua_State *L)
{
    luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
    stream->closef = NULL;
    luaL_setmetatable(L, LUA_FILEHANDLE);
    return stream;
}

bool lestL_open_stream(luaL_Stream *stream, int fd, const char *mode)
{
    stream->f = fdopen(fd, mode);
    if (stream->f)
        stream->closef = close_stream;
    else
        close(fd);
    return stream->f != NULL;
}
