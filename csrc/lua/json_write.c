/* json.encode: values of Lua as JSON. */
#include "lua/json_write.h"

#include "base/json.h"
#include "lua/binding.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FEW   names of an object that are sorted without memory from the heap
   ROOM  on the stack, for one value */
enum { TEXT_MAX = 64 * 1024 * 1024, FEW = 16, ROOM = 16 };

bool lestL_json_is_null(lua_State *L, int idx)
{
    luaL_getmetatable(L, LESTL_JSON_NULL);
    bool same = lua_rawequal(L, -1, idx);
    lua_pop(L, 1);
    return same;
}

static bool is_object(lua_State *L, int idx)
{
    if (!lua_getmetatable(L, idx))
        return false;
    luaL_getmetatable(L, LESTL_JSON_OBJECT);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

struct writer {
    lua_State *L;
    struct lest_buf *out;
    bool indent;
};

static void put_value(struct writer *w, int idx, int depth);

static void put_line(const struct writer *w, int depth)
{
    if (!w->indent)
        return;
    lest_buf_append_byte(w->out, '\n');
    for (int i = 0; i < depth; i++)
        lest_buf_append_str(w->out, "  ");
}

/* The shortest of three forms that is read as the same number, with a point in any locale. */
static void put_float(struct writer *w, lua_Number number)
{
    char text[64];
    if (!isfinite(number))
        luaL_error(w->L, "no JSON for a number that is not finite");
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    bool in_point = false;
    for (const char *at = text; *at; at++) {
        bool is_point = !strchr("0123456789+-e", *at);
        if (!is_point || !in_point)
            lest_buf_append_byte(w->out, is_point ? '.' : (uint8_t)*at);
        in_point = is_point;
    }
}

/* A copy of what pairs() gives of the value at the top, in its place, where it says so itself: as a view of a
 * request does, which is empty. */
static void unfold(lua_State *L)
{
    if (luaL_getmetafield(L, -1, "__pairs") == LUA_TNIL)
        return;
    lua_pushvalue(L, -2);
    lua_call(L, 1, 3); /* iterator, state, key */
    lua_newtable(L);
    lua_insert(L, -4);
    for (;;) {
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -3);
        lua_call(L, 2, 2); /* key, value */
        if (lua_isnil(L, -2))
            break;
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -7);
        lua_remove(L, -2); /* the key before */
    }
    lua_pop(L, 5);
    lua_replace(L, -2);
}

/* How many names the table at idx has, which are put on the stack; or 0 and it is a list. What is neither
 * would lose a part of it, and raises. */
static size_t push_names(lua_State *L, int idx)
{
    size_t names = 0, items = 0;
    for (lua_pushnil(L); lua_next(L, idx);) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) {
            luaL_checkstack(L, ROOM, "JSON");
            lua_pushvalue(L, -1);
            names++;
        } else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) > 0) {
            items++;
        } else {
            luaL_error(L, "no JSON for a table with a %s as a key", luaL_typename(L, -1));
        }
    }
    if (items && names)
        luaL_error(L, "no JSON for a table with both names and items");
    for (size_t i = 1; i <= items; i++) {
        if (lua_rawgeti(L, idx, (lua_Integer)i) == LUA_TNIL)
            luaL_error(L, "no JSON for a list without its item %I", (LUAI_UACINT)i);
        lua_pop(L, 1);
    }
    if (items && is_object(L, idx))
        luaL_error(L, "no JSON for an object with items");
    return names;
}

static void put_list(struct writer *w, int idx, int depth)
{
    lua_Integer count = (lua_Integer)lua_rawlen(w->L, idx);
    lest_buf_append_byte(w->out, '[');
    for (lua_Integer i = 1; i <= count; i++) {
        if (i > 1)
            lest_buf_append_byte(w->out, ',');
        put_line(w, depth + 1);
        lua_rawgeti(w->L, idx, i);
        put_value(w, lua_gettop(w->L), depth + 1);
        lua_pop(w->L, 1);
    }
    if (count)
        put_line(w, depth);
    lest_buf_append_byte(w->out, ']');
}

struct name {
    const char *text;
    size_t len;
    int idx; /* on the stack, which keeps it, whatever a __pairs within does to the table */
};

/* By bytes: the same order in any locale. */
static int compare(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* The names at the top of the stack, in `few` where they fit. */
static const struct name *sort(lua_State *L, size_t count, struct name *few)
{
    int first = lua_gettop(L) - (int)count + 1;
    struct name *names = count > FEW ? lua_newuserdatauv(L, count * sizeof *names, 0) : few;
    for (size_t i = 0; i < count; i++) {
        names[i].idx = first + (int)i;
        names[i].text = lua_tolstring(L, names[i].idx, &names[i].len);
    }
    qsort(names, count, sizeof *names, compare);
    return names;
}

static void put_object(struct writer *w, int idx, size_t count, int depth)
{
    struct name few[FEW];
    const struct name *names = sort(w->L, count, few);
    lest_buf_append_byte(w->out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            lest_buf_append_byte(w->out, ',');
        put_line(w, depth + 1);
        lest_json_append_string(w->out, names[i].text, names[i].len);
        lest_buf_append_str(w->out, w->indent ? ": " : ":");
        lua_pushvalue(w->L, names[i].idx);
        lua_rawget(w->L, idx);
        put_value(w, lua_gettop(w->L), depth + 1);
        lua_pop(w->L, 1);
    }
    if (count)
        put_line(w, depth);
    lest_buf_append_byte(w->out, '}');
}

static void put_table(struct writer *w, int idx, int depth)
{
    lua_State *L = w->L;
    if (depth == LEST_JSON_DEPTH_MAX)
        luaL_error(L, "no JSON for tables within each other more than %d times", LEST_JSON_DEPTH_MAX);
    luaL_checkstack(L, ROOM, "JSON");
    lua_pushvalue(L, idx);
    unfold(L);
    int table = lua_gettop(L);
    size_t names = push_names(L, table);
    if (names || is_object(L, table))
        put_object(w, table, names, depth);
    else
        put_list(w, table, depth);
    lua_settop(L, table - 1);
}

static void put_value(struct writer *w, int idx, int depth)
{
    size_t len;
    const char *text;
    switch (lua_type(w->L, idx)) {
    case LUA_TNIL: lest_buf_append_str(w->out, "null"); break;
    case LUA_TBOOLEAN: lest_buf_append_str(w->out, lua_toboolean(w->L, idx) ? "true" : "false"); break;
    case LUA_TSTRING:
        text = lua_tolstring(w->L, idx, &len);
        lest_json_append_string(w->out, text, len);
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(w->L, idx))
            lest_buf_append_number(w->out, lua_tointeger(w->L, idx));
        else
            put_float(w, lua_tonumber(w->L, idx));
        break;
    case LUA_TTABLE:
        if (lestL_json_is_null(w->L, idx))
            lest_buf_append_str(w->out, "null");
        else
            put_table(w, idx, depth);
        break;
    default: luaL_error(w->L, "no JSON for a %s", luaL_typename(w->L, idx));
    }
}

int lestL_json_encode(lua_State *L)
{
    struct writer writer = { .L = L, .indent = lua_toboolean(L, 2) };
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    writer.out = lestL_buf(L, TEXT_MAX);
    put_value(&writer, 1, 0);
    struct lest_error err;
    if (lest_buf_status(writer.out, &err))
        return luaL_error(L, "no JSON: %s", err.message);
    return lestL_push_buf(L, writer.out);
}
