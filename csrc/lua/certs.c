/* Lists of certificates between Lua and C. */
#include "lua/cert.h"

static int free_certs(lua_State *L)
{
    pki_certs_free(lua_touserdata(L, 1));
    return 0;
}

struct pki_certs *lestL_certs(lua_State *L)
{
    struct pki_certs *certs = lua_newuserdatauv(L, sizeof *certs, 0);
    *certs = (struct pki_certs){ NULL, 0 };
    if (luaL_newmetatable(L, "lest.certs")) {
        lua_pushcfunction(L, free_certs);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return certs;
}

void lestL_push_certs(lua_State *L, const struct pki_certs *certs, size_t first)
{
    lua_newtable(L);
    for (size_t i = first; i < certs->count; i++) {
        lestL_push_cert(L, certs->list[i]);
        lua_rawseti(L, -2, (lua_Integer)(i - first + 1));
    }
}

void lestL_to_certs(lua_State *L, int idx, const char *what, struct pki_certs *certs)
{
    if (lua_isnoneornil(L, idx))
        return;
    if (!lua_istable(L, idx))
        luaL_error(L, "%s is a %s, not a list of certificates", what, luaL_typename(L, idx));
    lua_Integer count = (lua_Integer)lua_rawlen(L, idx);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, idx, i);
        struct pki_cert *cert = lestL_test_cert(L, -1);
        if (!cert)
            luaL_error(L, "%s: entry %d is a %s, not an open lest.cert", what, (int)i, luaL_typename(L, -1));
        lua_pop(L, 1);
        if (!pki_certs_add(certs, pki_cert_ref(cert)))
            luaL_error(L, "out of memory");
    }
}
