#include "lua/options.h"

#include <lauxlib.h>
#include <string.h>

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

size_t lestL_count_entries(lua_State *L, int idx)
{
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1))
        count++;
    return count;
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
    int is_whole = 0; /* 1.0 is, "1" is no number */
    lua_Integer value = type == LUA_TNUMBER ? lua_tointegerx(L, -1, &is_whole) : absent;
    if (type != LUA_TNIL && !is_whole)
        luaL_error(L, "option '%s' is not an integer", key);
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
