/* core.san: subject alternative names as lists of texts ("DNS:x", "IP:::1", "email:a@b", ...). */
#include "pki/asn1/san.h"
#include "lua/pki.h"

#include <string.h>

bool lestL_push_san(lua_State *L, struct pki_bytes der, enum lestL_san which, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "subjectAltName",
                               .malformed = LEST_E_SAN_MALFORMED,
                               .err = err,
                               .tolerated = which == LESTL_SAN_ALL ? 0 : PKI_FLAW_SAN };
    struct pki_san_reader reader;
    luaL_checkstack(L, 6, "names");
    if (!der.data) {
        lua_newtable(L);
        return true;
    }
    int top = lua_gettop(L);
    struct lest_buf *text = lestL_buf(L, PKI_SAN_MAX * 4);
    lua_newtable(L);
    pki_san_open(&reader, &doc, der.data, der.len);
    for (lua_Integer i = 1; pki_san_next(&reader, text);) {
        if (reader.unusable != (which == LESTL_SAN_UNUSABLE))
            continue;
        lua_pushlstring(L, (const char *)text->data, text->len);
        lua_seti(L, -2, i++);
    }
    if (doc.status) {
        lua_settop(L, top);
        return false;
    }
    lua_remove(L, top + 1);
    return true;
}

enum lest_status lestL_to_san(lua_State *L, int idx, struct lest_buf *out, struct lest_error *err)
{
    size_t count;
    luaL_checktype(L, idx, LUA_TTABLE);
    const struct pki_bytes *texts = lestL_to_strings(L, idx, "alternative name", &count);
    enum lest_status status = pki_san_encode(texts, count, out, err);
    lua_pop(L, 1);
    return status;
}

/* san.encode(list) -> DER */
static int encode(lua_State *L)
{
    struct lest_error err;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct lest_buf *out = lestL_buf(L, PKI_SAN_MAX);
    if (lestL_to_san(L, 1, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

/* san.decode(der) -> list */
static int decode(lua_State *L)
{
    struct pki_bytes der;
    struct lest_error err;
    der.data = (const uint8_t *)luaL_checklstring(L, 1, &der.len);
    return lestL_push_san(L, der, LESTL_SAN_ALL, &err) ? 1 : lestL_fail(L, &err);
}

static struct pki_bytes optional(lua_State *L, int idx)
{
    struct pki_bytes der = { NULL, 0 };
    if (!lua_isnoneornil(L, idx))
        der.data = (const uint8_t *)luaL_checklstring(L, idx, &der.len);
    return der;
}

/* san.equal(der | nil, der | nil) -> boolean */
static int equal(lua_State *L)
{
    lua_pushboolean(L, pki_san_equal(optional(L, 1), optional(L, 2)));
    return 1;
}

/* san.types() -> { "DNS", "IP", ... }: what a certificate can be given */
static int types(lua_State *L)
{
    const char *name;
    lua_newtable(L);
    for (size_t i = 0; (name = pki_san_type(i)); i++) {
        lua_pushlstring(L, name, strlen(name) - 1);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

int lestL_open_san(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "encode", encode }, { "decode", decode }, { "equal", equal }, { "types", types }, { NULL, NULL }
    };
    luaL_newlib(L, functions);
    return 1;
}
