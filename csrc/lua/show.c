/* core.show: DER as short texts for people. */
#include "pki/asn1/show.h"
#include "lua/pki.h"
#include "pki/asn1/foreign.h"
#include "pki/asn1/oid.h"
#include "pki/key/public.h"

static struct pki_bytes check_bytes(lua_State *L, int idx)
{
    struct pki_bytes bytes;
    bytes.data = (const uint8_t *)luaL_checklstring(L, idx, &bytes.len);
    return bytes;
}

/* show.extension(oid, value) -> text | nil: dotted, DER */
static int extension(lua_State *L)
{
    struct lest_error err;
    struct pki_bytes text = check_bytes(L, 1), value = check_bytes(L, 2);
    struct lest_buf *oid = lestL_buf(L, PKI_OID_MAX), *out = lestL_buf(L, PKI_SHOW_MAX);
    if (pki_oid_parse((const char *)text.data, text.len, oid, &err) ||
        !pki_show_extension((struct pki_bytes){ oid->data, oid->len }, value, out))
        lua_pushnil(L);
    else
        lua_pushlstring(L, (const char *)out->data, out->len);
    return 1;
}

/* show.value(der) -> text */
static int value(lua_State *L)
{
    struct pki_bytes der = check_bytes(L, 1);
    struct lest_buf *out = lestL_buf(L, PKI_SHOW_MAX);
    pki_show_value(der, out);
    lua_pushlstring(L, out->len ? (const char *)out->data : "", out->len);
    return 1;
}

/* show.foreign(bytes) -> text | nil: what they are, of formats that are not read */
static int foreign(lua_State *L)
{
    struct pki_bytes bytes = check_bytes(L, 1);
    lua_pushstring(L, pki_foreign_name(bytes.data, bytes.len));
    return 1;
}

/* show.public_key(der) -> { type =, security_bits =, der = } | nil, err: a SubjectPublicKeyInfo */
static int public_key(lua_State *L)
{
    struct lest_error err;
    struct pki_bytes spki = check_bytes(L, 1);
    if (pki_public_check(spki, &err))
        return lestL_fail(L, &err);
    lestL_push_public_key(L, spki);
    return 1;
}

int lestL_open_show(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "extension", extension },   { "value", value }, { "foreign", foreign },
        { "public_key", public_key }, { NULL, NULL },
    };
    luaL_newlib(L, functions);
    return 1;
}
