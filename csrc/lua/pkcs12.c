/* core.pkcs12: a key and its certificates in one file (RFC 7292).
 *
 *   pkcs12.build { key = lest.key, cert = lest.cert, chain = { lest.cert, ... }, password = text,
 *     name = text, legacy = false } -> DER | nil, err */
#include "pki/cms/pkcs12.h"

#include "lua/cert.h"
#include "lua/pki.h"

#include <string.h>

/* A text without a NUL, which C would cut there. The table keeps it alive. */
static const char *text_option(lua_State *L, const char *key)
{
    struct pki_bytes text = lestL_opt_bytes(L, 1, key);
    if (text.data && memchr(text.data, '\0', text.len))
        luaL_error(L, "option '%s' cannot hold a NUL", key);
    return (const char *)text.data;
}

static int build(lua_State *L)
{
    static const char *const known[] = { "key", "cert", "chain", "password", "name", "legacy", NULL };
    struct lest_error err;
    struct pki_bytes chain[PKI_PKCS12_CHAIN_MAX];
    luaL_checktype(L, 1, LUA_TTABLE);
    lestL_check_options(L, 1, known);
    struct pki_pkcs12_plan plan = { .password = text_option(L, "password"),
                                    .name = text_option(L, "name"),
                                    .is_legacy = lestL_opt_boolean(L, 1, "legacy", false) };
    luaL_argcheck(L, plan.password && *plan.password, 1, "a password is needed");
    lua_getfield(L, 1, "key");
    plan.key = lestL_check_key(L, -1);
    lua_getfield(L, 1, "cert");
    plan.cert = lestL_check_cert(L, -1)->der;
    lua_getfield(L, 1, "chain");
    struct pki_certs *certs = lestL_certs(L);
    lestL_to_certs(L, -2, "chain", certs);
    luaL_argcheck(L, certs->count <= PKI_PKCS12_CHAIN_MAX, 1, "too many certificates in 'chain'");
    for (; plan.chain_count < certs->count; plan.chain_count++)
        chain[plan.chain_count] = certs->list[plan.chain_count]->der;
    plan.chain = chain;
    struct lest_buf *out = lestL_buf(L, PKI_PKCS12_MAX);
    if (pki_pkcs12_build(&plan, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

int lestL_open_pkcs12(lua_State *L)
{
    static const luaL_Reg functions[] = { { "build", build }, { NULL, NULL } };
    luaL_newlib(L, functions);
    return 1;
}
