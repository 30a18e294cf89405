#include "lua/binding.h"

#include "base/log.h"

#include <string.h>

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

int lestL_push_buf(lua_State *L, const struct lest_buf *buf)
{
    struct lest_error err;
    if (lest_buf_status(buf, &err))
        return lestL_fail(L, &err);
    lua_pushlstring(L, (const char *)buf->data, buf->len);
    return 1;
}

static unsigned distance(const char *a, const char *b)
{
    enum { LONGEST = 40 };
    unsigned row[LONGEST + 1];
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > LONGEST || b_len > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
        }
    }
    return row[b_len];
}

const char *lestL_nearest(const char *name, const char *const known[])
{
    const char *nearest = NULL;
    unsigned best = (unsigned)strlen(name) / 3 + 2;
    for (; *known; known++) {
        unsigned d = distance(name, *known);
        if (d < best) {
            best = d;
            nearest = *known;
        }
    }
    return nearest;
}

void lestL_check_options(lua_State *L, int idx, const char *const known[])
{
    if (lua_isnoneornil(L, idx))
        return;
    luaL_checktype(L, idx, LUA_TTABLE);
    idx = lua_absindex(L, idx);
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "options are named, not numbered");
        const char *key = lua_tostring(L, -2);
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (known[i])
            continue;
        const char *nearest = lestL_nearest(key, known);
        if (nearest)
            luaL_error(L, "unknown option '%s', did you mean '%s'?", key, nearest);
        luaL_error(L, "unknown option '%s'", key);
    }
}

const char *lestL_opt_string(lua_State *L, int idx, const char *key, const char *absent)
{
    if (lua_isnoneornil(L, idx))
        return absent;
    int type = lua_getfield(L, idx, key);
    if (type != LUA_TNIL && type != LUA_TSTRING)
        luaL_error(L, "option '%s' is a %s, not a string", key, lua_typename(L, type));
    /* The table keeps the string alive. */
    const char *value = type == LUA_TNIL ? absent : lua_tostring(L, -1);
    lua_pop(L, 1);
    return value;
}

lua_Integer lestL_opt_integer(lua_State *L, int idx, const char *key, lua_Integer absent)
{
    if (lua_isnoneornil(L, idx))
        return absent;
    int type = lua_getfield(L, idx, key);
    if (type != LUA_TNIL && !lua_isinteger(L, -1))
        luaL_error(L, "option '%s' is not an integer", key);
    lua_Integer value = type == LUA_TNIL ? absent : lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

bool lestL_opt_boolean(lua_State *L, int idx, const char *key, bool absent)
{
    if (lua_isnoneornil(L, idx))
        return absent;
    int type = lua_getfield(L, idx, key);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
        luaL_error(L, "option '%s' is a %s, not a boolean", key, lua_typename(L, type));
    bool value = type == LUA_TNIL ? absent : (bool)lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static int traceback(lua_State *L)
{
    const char *message = luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, message, 1);
    return 1;
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
    lua_settop(L, top);
    return false;
}
