/* core.json: JSON texts to values of Lua and back.
 *
 *   json.decode(text)              the value; or nil, problem
 *   json.encode(value [, indent])  one line, or indented for people (json_write.c)
 *   json.object([table])           is written as {} also when it is empty
 *   json.null
 *
 * Neither follows the locale. */
#include "base/json.h"

#include "lua/binding.h"
#include "lua/json_write.h"

#include <math.h>
#include <string.h>

enum { NUMBER_MAX = 100 };

static void push_null(lua_State *L)
{
    luaL_getmetatable(L, LESTL_JSON_NULL);
}

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

/* A member that is null is absent. */
static void remove_nulls(lua_State *L, int object)
{
    for (lua_pushnil(L); lua_next(L, object); lua_pop(L, 1)) {
        if (!lestL_json_is_null(L, lua_gettop(L)))
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
        luaL_setmetatable(L, LESTL_JSON_OBJECT);
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

static int object(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_setmetatable(L, LESTL_JSON_OBJECT);
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
        { "decode", decode }, { "encode", lestL_json_encode }, { "object", object }, { NULL, NULL }
    };
    luaL_newlib(L, functions);
    luaL_newmetatable(L, LESTL_JSON_OBJECT);
    lua_pop(L, 1);
    /* null is a metatable, its own, so that C finds it by its name. */
    luaL_newmetatable(L, LESTL_JSON_NULL);
    lua_pushcfunction(L, null_text);
    lua_setfield(L, -2, "__tostring");
    lua_pushvalue(L, -1);
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "null");
    return 1;
}
