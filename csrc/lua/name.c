/* core.name: distinguished names as Lua tables (class lest.name), { {TYPE, VALUE [, plus = true] [, der =
 * true]}, ... } in the order of the DER; name.CN is the first value of a type; tostring is RFC 4514. */
#include "pki/asn1/name.h"
#include "lua/pki.h"

#include <string.h>

/* PARTS_USUAL  of a name: room for as many is made at once, and for more when they come */
enum { PARTS_USUAL = 4 };

static const char CLASS[] = "lest.name";

static void set_class(lua_State *L);

bool lestL_push_name(lua_State *L, struct pki_bytes der, unsigned tolerated, struct lest_error *err)
{
    struct pki_der_doc doc = {
        .noun = "name", .malformed = LEST_E_NAME_MALFORMED, .err = err, .tolerated = tolerated
    };
    struct pki_name_reader reader;
    struct pki_name_part part;
    luaL_checkstack(L, 8, "name");
    int top = lua_gettop(L);
    struct lest_buf *text = lestL_buf(L, PKI_NAME_MAX * 3);
    lua_createtable(L, PARTS_USUAL, 0);
    pki_name_open(&reader, &doc, der.data, der.len);
    for (lua_Integer i = 1; pki_name_next(&reader, text, &part); i++) {
        lua_createtable(L, 2, part.plus + part.der);
        lua_pushlstring(L, part.type, part.type_len);
        lua_seti(L, -2, 1);
        lua_pushlstring(L, part.value, part.value_len);
        lua_seti(L, -2, 2);
        if (part.plus) {
            lua_pushboolean(L, 1);
            lua_setfield(L, -2, "plus");
        }
        if (part.der) {
            lua_pushboolean(L, 1);
            lua_setfield(L, -2, "der");
        }
        lua_seti(L, -2, i);
    }
    if (doc.status) {
        lua_settop(L, top);
        return false;
    }
    set_class(L);
    lua_remove(L, top + 1);
    return true;
}

/* Fills parts from the list at idx; their strings are kept alive by a table that is left on the stack. */
static size_t to_parts(lua_State *L, int idx, struct pki_name_part parts[PKI_NAME_PARTS_MAX])
{
    idx = lua_absindex(L, idx);
    lua_Integer count = (lua_Integer)lua_rawlen(L, idx);
    if (count > PKI_NAME_PARTS_MAX)
        luaL_error(L, "a name has at most %d parts", PKI_NAME_PARTS_MAX);
    lua_createtable(L, 2 * (int)count, 0);
    int kept = lua_gettop(L);
    for (lua_Integer i = 1; i <= count; i++) {
        struct pki_name_part *part = &parts[i - 1];
        if (lua_rawgeti(L, idx, i) != LUA_TTABLE)
            luaL_error(L, "part %d of a name is a %s, not a pair {TYPE, VALUE}", (int)i,
                       luaL_typename(L, -1));
        if (lua_rawgeti(L, -1, 1) != LUA_TSTRING)
            luaL_error(L, "part %d of a name has no type", (int)i);
        part->type = lua_tolstring(L, -1, &part->type_len);
        lua_rawseti(L, kept, 2 * i - 1);
        if (lua_rawgeti(L, -1, 2) != LUA_TSTRING)
            luaL_error(L, "the value of part %d of a name is a %s, not a string", (int)i,
                       luaL_typename(L, -1));
        part->value = lua_tolstring(L, -1, &part->value_len);
        lua_rawseti(L, kept, 2 * i);
        lua_getfield(L, -1, "plus");
        part->plus = lua_toboolean(L, -1);
        lua_getfield(L, -2, "der");
        part->der = lua_toboolean(L, -1);
        lua_pop(L, 3);
    }
    return (size_t)count;
}

enum lest_status lestL_to_name(lua_State *L, int idx, struct lest_buf *out, struct lest_error *err)
{
    size_t len;
    if (lua_type(L, idx) == LUA_TSTRING) {
        const char *text = lua_tolstring(L, idx, &len);
        return pki_name_parse(text, len, out, err);
    }
    if (!lua_istable(L, idx))
        luaL_error(L, "a name is a list of {TYPE, VALUE} pairs or a text, not a %s", luaL_typename(L, idx));
    struct pki_name_part parts[PKI_NAME_PARTS_MAX];
    luaL_checkstack(L, 8, "name");
    size_t count = to_parts(L, idx, parts);
    enum lest_status status = pki_name_encode(parts, count, out, err);
    lua_pop(L, 1);
    return status;
}

/* upvalue-free __index: the first value of a type */
static int index_name(lua_State *L)
{
    lua_Integer count = lua_istable(L, 1) ? (lua_Integer)lua_rawlen(L, 1) : 0;
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    for (lua_Integer i = 1; i <= count; i++) {
        if (lua_rawgeti(L, 1, i) == LUA_TTABLE) {
            lua_rawgeti(L, -1, 1);
            if (lua_rawequal(L, -1, 2)) {
                lua_rawgeti(L, -2, 2);
                return 1;
            }
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    return 0;
}

static int tostring(lua_State *L)
{
    struct pki_name_part parts[PKI_NAME_PARTS_MAX];
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct lest_buf *out = lestL_buf(L, PKI_NAME_MAX * 8);
    size_t count = to_parts(L, 1, parts);
    pki_name_print_parts(parts, count, PKI_NAME_RFC4514, out);
    lua_pushlstring(L, out->data ? (const char *)out->data : "", out->len);
    return 1;
}

static int equal_names(lua_State *L)
{
    struct lest_error err;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    struct lest_buf *a = lestL_buf(L, PKI_NAME_MAX), *b = lestL_buf(L, PKI_NAME_MAX);
    bool equal = lestL_to_name(L, 1, a, &err) == LEST_OK && lestL_to_name(L, 2, b, &err) == LEST_OK &&
                 pki_name_equal((struct pki_bytes){ a->data, a->len }, (struct pki_bytes){ b->data, b->len });
    lua_pushboolean(L, equal);
    return 1;
}

static void set_class(lua_State *L)
{
    if (luaL_newmetatable(L, CLASS)) {
        static const luaL_Reg meta[] = {
            { "__index", index_name }, { "__tostring", tostring }, { "__eq", equal_names }, { NULL, NULL }
        };
        luaL_setfuncs(L, meta, 0);
    }
    lua_setmetatable(L, -2);
}

/* name.encode(name | pairs | text) -> DER */
static int encode(lua_State *L)
{
    struct lest_error err;
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    struct lest_buf *out = lestL_buf(L, PKI_NAME_MAX);
    if (lestL_to_name(L, 1, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

/* name.decode(der) -> name */
static int decode(lua_State *L)
{
    struct pki_bytes der;
    struct lest_error err;
    der.data = (const uint8_t *)luaL_checklstring(L, 1, &der.len);
    return lestL_push_name(L, der, 0, &err) ? 1 : lestL_fail(L, &err);
}

/* name.parse(text) -> name */
static int parse(lua_State *L)
{
    struct lest_error err;
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_settop(L, 1);
    struct lest_buf *out = lestL_buf(L, PKI_NAME_MAX);
    if (lestL_to_name(L, 1, out, &err) || lest_buf_status(out, &err))
        return lestL_fail(L, &err);
    return lestL_push_name(L, (struct pki_bytes){ out->data, out->len }, 0, &err) ? 1 : lestL_fail(L, &err);
}

/* name.equal(der, der) -> boolean */
static int equal(lua_State *L)
{
    struct pki_bytes a, b;
    a.data = (const uint8_t *)luaL_checklstring(L, 1, &a.len);
    b.data = (const uint8_t *)luaL_checklstring(L, 2, &b.len);
    lua_pushboolean(L, pki_name_equal(a, b));
    return 1;
}

int lestL_open_name(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "encode", encode }, { "decode", decode }, { "parse", parse }, { "equal", equal }, { NULL, NULL }
    };
    luaL_newlib(L, functions);
    return 1;
}
