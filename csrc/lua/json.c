/* core.json: JSON texts to values of Lua and back.
 *
 *   json.decode(text)            the value; or nil, problem
 *   json.encode(value [, indent])  one line, or indented for people
 *   json.object([table])         is written as {} also when it is empty
 *   json.null
 *
 * Neither follows the locale. */
#include "base/json.h"
#include "lua/binding.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 64 * 1024 * 1024, NUMBER_MAX = 100 };

#define OBJECT "lest.json.object"
#define NULL_VALUE "lest.json.null"

/* ---- reading ---- */

static void push_string(lua_State *L, const struct lest_json_token *token)
{
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, token->len);
    luaL_pushresultsize(&buffer, lest_json_unescape(token, out));
}

/* A whole number is an integer of Lua, however it is written: a name that is made of 42.0 is that of 42. One
 * that does not fit is refused, since its neighbours would become the same float. */
static bool push_number(lua_State *L, const struct lest_json_token *token)
{
    char text[NUMBER_MAX + 1];
    int64_t whole;
    if (token->is_whole) {
        if (!lest_json_integer(token, &whole))
            return false;
        lua_pushinteger(L, whole);
        return true;
    }
    if (token->len > NUMBER_MAX)
        return false;
    memcpy(text, token->text, token->len);
    text[token->len] = '\0';
    /* Lua reads a point in any locale. */
    if (!lua_stringtonumber(L, text) || !isfinite(lua_tonumber(L, -1)))
        return false;
    lua_Number limit = 9007199254740992.0, value = lua_tonumber(L, -1); /* 2^53: floats have gaps above */
    if (value > -limit && value < limit && value == (lua_Number)(lua_Integer)value) {
        lua_pop(L, 1);
        lua_pushinteger(L, (lua_Integer)value);
    }
    return true;
}

static const char *push_value(lua_State *L, struct lest_json_reader *reader, struct lest_json_token token);

static const char *push_list(lua_State *L, struct lest_json_reader *reader)
{
    struct lest_json_token token;
    lua_newtable(L);
    int list = lua_gettop(L);
    for (lua_Integer i = 1; (token = lest_json_next(reader)).kind != LEST_JSON_LIST_END; i++) {
        const char *problem = push_value(L, reader, token);
        if (problem)
            return problem;
        lua_rawseti(L, list, i);
    }
    return NULL;
}

static void push_null(lua_State *L)
{
    luaL_getmetatable(L, NULL_VALUE);
}

static bool is_null(lua_State *L, int idx)
{
    push_null(L);
    bool same = lua_rawequal(L, -1, idx);
    lua_pop(L, 1);
    return same;
}

/* A member that is null is absent. */
static void remove_nulls(lua_State *L, int object)
{
    for (lua_pushnil(L); lua_next(L, object); lua_pop(L, 1)) {
        if (!is_null(L, lua_gettop(L)))
            continue;
        lua_pushvalue(L, -2);
        lua_pushnil(L);
        lua_rawset(L, object);
    }
}

static const char *push_object(lua_State *L, struct lest_json_reader *reader)
{
    struct lest_json_token token;
    bool has_null = false;
    size_t count = 0;
    lua_newtable(L);
    int object = lua_gettop(L);
    for (; (token = lest_json_next(reader)).kind == LEST_JSON_NAME; count++) {
        push_string(L, &token);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, object) != LUA_TNIL) /* readers differ in which they take (RFC 8259 4) */
            return "a name comes twice in an object";
        lua_settop(L, object + 1);
        token = lest_json_next(reader);
        const char *problem = push_value(L, reader, token);
        if (problem)
            return problem;
        has_null = has_null || token.kind == LEST_JSON_NULL;
        lua_rawset(L, object);
    }
    if (token.kind == LEST_JSON_WRONG)
        return reader->problem;
    if (has_null)
        remove_nulls(L, object);
    if (!count) /* it stays an object when it is written again */
        luaL_setmetatable(L, OBJECT);
    return NULL;
}

/* Push one value; or give what is wrong, with anything on the stack. */
static const char *push_value(lua_State *L, struct lest_json_reader *reader, struct lest_json_token token)
{
    luaL_checkstack(L, 8, "JSON");
    switch (token.kind) {
    case LEST_JSON_OBJECT: return push_object(L, reader);
    case LEST_JSON_LIST: return push_list(L, reader);
    case LEST_JSON_STRING: push_string(L, &token); return NULL;
    case LEST_JSON_NUMBER: return push_number(L, &token) ? NULL : "a number does not fit";
    case LEST_JSON_TRUE:
    case LEST_JSON_FALSE: lua_pushboolean(L, token.kind == LEST_JSON_TRUE); return NULL;
    case LEST_JSON_NULL: push_null(L); return NULL;
    default: return reader->problem ? reader->problem : "a value is missing";
    }
}

static int decode(lua_State *L)
{
    size_t len;
    struct lest_json_reader reader;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_settop(L, 1);
    lest_json_read(&reader, text, len);
    struct lest_json_token token = lest_json_next(&reader);
    const char *problem = push_value(L, &reader, token);
    if (!problem && lest_json_next(&reader).kind == LEST_JSON_WRONG)
        problem = reader.problem;
    if (problem) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s (byte %I)", problem, (LUAI_UACINT)(reader.at - text + 1));
        return 2;
    }
    if (token.kind == LEST_JSON_NULL)
        lua_pushnil(L);
    return 1;
}

/* ---- writing ---- */

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

static bool is_object(lua_State *L, int idx)
{
    if (!lua_getmetatable(L, idx))
        return false;
    luaL_getmetatable(L, OBJECT);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* How many names the table at idx has, with a list of them on the stack; or 0 and it is a list. What is
 * neither would lose a part of it, and raises. */
static size_t push_names(lua_State *L, int idx)
{
    size_t names = 0, items = 0;
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            lua_pushvalue(L, -2);
            lua_rawseti(L, -4, (lua_Integer)++names);
        } else if (lua_isinteger(L, -2) && lua_tointeger(L, -2) > 0) {
            items++;
        } else {
            luaL_error(L, "no JSON for a table with a %s as a key", luaL_typename(L, -2));
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
};

/* By bytes: the same order in any locale. */
static int compare(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* The list of names at the top keeps them, whatever a __pairs within does to the table. */
static struct name *push_sorted(lua_State *L, size_t count)
{
    struct name *names = lua_newuserdatauv(L, count * sizeof *names, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -2, (lua_Integer)i + 1);
        names[i].text = lua_tolstring(L, -1, &names[i].len);
        lua_pop(L, 1);
    }
    qsort(names, count, sizeof *names, compare);
    return names;
}

static void put_object(struct writer *w, int idx, size_t count, int depth)
{
    const struct name *names = push_sorted(w->L, count);
    lest_buf_append_byte(w->out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            lest_buf_append_byte(w->out, ',');
        put_line(w, depth + 1);
        lest_json_append_string(w->out, names[i].text, names[i].len);
        lest_buf_append_str(w->out, w->indent ? ": " : ":");
        lua_pushlstring(w->L, names[i].text, names[i].len);
        lua_rawget(w->L, idx);
        put_value(w, lua_gettop(w->L), depth + 1);
        lua_pop(w->L, 1);
    }
    if (count)
        put_line(w, depth);
    lest_buf_append_byte(w->out, '}');
    lua_pop(w->L, 1);
}

static void put_table(struct writer *w, int idx, int depth)
{
    lua_State *L = w->L;
    if (depth == LEST_JSON_DEPTH_MAX)
        luaL_error(L, "no JSON for tables within each other more than %d times", LEST_JSON_DEPTH_MAX);
    luaL_checkstack(L, 16, "JSON");
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
            lest_buf_append_fmt(w->out, "%lld", (long long)lua_tointeger(w->L, idx));
        else
            put_float(w, lua_tonumber(w->L, idx));
        break;
    case LUA_TTABLE:
        if (is_null(w->L, idx))
            lest_buf_append_str(w->out, "null");
        else
            put_table(w, idx, depth);
        break;
    default: luaL_error(w->L, "no JSON for a %s", luaL_typename(w->L, idx));
    }
}

static int encode(lua_State *L)
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

static int object(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_setmetatable(L, OBJECT);
    return 1;
}

static int null_text(lua_State *L)
{
    lua_pushliteral(L, "null");
    return 1;
}

int lestL_open_json(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "decode", decode }, { "encode", encode }, { "object", object }, { NULL, NULL }
    };
    luaL_newlib(L, functions);
    luaL_newmetatable(L, OBJECT);
    lua_pop(L, 1);
    /* null is a metatable, its own, so that C finds it by its name. */
    luaL_newmetatable(L, NULL_VALUE);
    lua_pushcfunction(L, null_text);
    lua_setfield(L, -2, "__tostring");
    lua_pushvalue(L, -1);
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "null");
    return 1;
}
