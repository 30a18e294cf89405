/* core.pkcs7: certs-only bags (RFC 5272 4.1). */
#include "pki/cms/pkcs7.h"
#include "lua/cert.h"

#include <string.h>

/* A userdata, so that the collector frees it. */
static int free_message(lua_State *L)
{
    pki_pkcs7_free(lua_touserdata(L, 1));
    return 0;
}

static struct pki_pkcs7 *new_message(lua_State *L)
{
    struct pki_pkcs7 *message = lua_newuserdatauv(L, sizeof *message, 0);
    memset(message, 0, sizeof *message);
    if (luaL_newmetatable(L, "lest.pkcs7.message")) {
        lua_pushcfunction(L, free_message);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return message;
}

/* The DER of entry i of the list at idx: a certificate, a CRL or a string. It stays alive in the list. */
static struct pki_bytes entry(lua_State *L, int idx, lua_Integer i, bool is_crl)
{
    struct pki_bytes der;
    lua_rawgeti(L, idx, i);
    struct pki_cert *cert = is_crl ? NULL : lestL_test_cert(L, -1);
    struct pki_crl *crl = is_crl ? lestL_test_crl(L, -1) : NULL;
    if (cert) {
        der = cert->der;
    } else if (crl) {
        der = crl->der;
    } else {
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "entry %d is a %s, neither an open lest.%s nor DER", (int)i, luaL_typename(L, -1),
                       is_crl ? "crl" : "cert");
        der.data = (const uint8_t *)lua_tolstring(L, -1, &der.len);
    }
    lua_pop(L, 1);
    return der;
}

static size_t entries(lua_State *L, int idx, bool is_crl, struct pki_bytes *list, size_t max)
{
    if (lua_isnoneornil(L, idx))
        return 0;
    luaL_checktype(L, idx, LUA_TTABLE);
    size_t count = lua_rawlen(L, idx);
    luaL_argcheck(L, count <= max, idx, "too many for one bag");
    for (size_t i = 0; i < count; i++)
        list[i] = entry(L, idx, (lua_Integer)i + 1, is_crl);
    return count;
}

/* pkcs7.encode({ cert | DER, ... } [, { crl | DER, ... }]) -> DER */
static int encode(lua_State *L)
{
    struct lest_error err;
    struct pki_bytes certs[PKI_PKCS7_CERTS_MAX], crls[PKI_PKCS7_CRLS_MAX];
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    size_t cert_count = entries(L, 1, false, certs, PKI_PKCS7_CERTS_MAX);
    size_t crl_count = entries(L, 2, true, crls, PKI_PKCS7_CRLS_MAX);
    struct lest_buf *out = lestL_buf(L, PKI_PKCS7_MAX);
    if (pki_pkcs7_encode(certs, cert_count, crls, crl_count, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

static void push_crls(lua_State *L, const struct pki_pkcs7 *message)
{
    lua_createtable(L, (int)message->crl_count, 0);
    for (size_t i = 0; i < message->crl_count; i++) {
        lestL_push_crl(L, message->crls[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* pkcs7.decode(bytes) -> { cert, ... }, { crl, ... } | nil, err */
static int decode(lua_State *L)
{
    size_t len;
    struct lest_error err;
    const char *data = luaL_checklstring(L, 1, &len);
    struct pki_pkcs7 *message = new_message(L);
    if (pki_pkcs7_decode(data, len, message, &err))
        return lestL_fail(L, &err);
    lestL_push_certs(L, &message->certs, 0);
    push_crls(L, message);
    return 2;
}

/* pkcs7.describe(bytes) -> { type =, content_type =, version =, content_len =, signers =, skipped =,
 * certificates =, crls = } for any CMS message; only type for what is no SignedData */
static int describe(lua_State *L)
{
    size_t len;
    struct lest_error err;
    const char *data = luaL_checklstring(L, 1, &len);
    struct pki_pkcs7 *message = new_message(L);
    if (pki_pkcs7_read(data, len, message, &err))
        return lestL_fail(L, &err);
    lua_newtable(L);
    lua_pushstring(L, message->type);
    lua_setfield(L, -2, "type");
    if (!message->is_signed_data)
        return 1;
    lua_pushstring(L, message->content_type);
    lua_setfield(L, -2, "content_type");
    lua_pushinteger(L, message->version);
    lua_setfield(L, -2, "version");
    lua_pushinteger(L, (lua_Integer)message->content.len);
    lua_setfield(L, -2, "content_len");
    lua_pushinteger(L, (lua_Integer)message->signers);
    lua_setfield(L, -2, "signers");
    lua_pushinteger(L, (lua_Integer)message->skipped);
    lua_setfield(L, -2, "skipped");
    lestL_push_certs(L, &message->certs, 0);
    lua_setfield(L, -2, "certificates");
    push_crls(L, message);
    lua_setfield(L, -2, "crls");
    return 1;
}

int lestL_open_pkcs7(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "encode", encode }, { "decode", decode }, { "describe", describe }, { NULL, NULL }
    };
    luaL_newlib(L, functions);
    return 1;
}
