/* What the fields of certificates, CRLs and requests have in common. */
#include "lua/pki.h"

#include "base/hex.h"
#include "pki/asn1/oid.h"
#include "pki/key/public.h"
#include "pki/x509/cert.h"

void lestL_push_bytes(lua_State *L, struct pki_bytes bytes)
{
    if (bytes.data)
        lua_pushlstring(L, (const char *)bytes.data, bytes.len);
    else
        lua_pushnil(L);
}

void lestL_push_hex(lua_State *L, struct pki_bytes bytes)
{
    luaL_Buffer b;
    if (!bytes.data) {
        lua_pushnil(L);
        return;
    }
    lest_hex_encode(bytes.data, bytes.len, luaL_buffinitsize(L, &b, bytes.len * 2 + 1));
    luaL_pushresultsize(&b, bytes.len * 2);
}

void lestL_push_serial(lua_State *L, struct pki_bytes contents)
{
    struct lest_buf *text = lestL_buf(L, contents.len * 2 + 2);
    pki_serial_text(contents, text);
    lua_pushlstring(L, text->len ? (const char *)text->data : "", text->len);
    lua_remove(L, -2);
}

void lestL_push_extension(lua_State *L, const struct pki_ext *ext)
{
    char oid[PKI_OID_TEXT_MAX];
    lua_createtable(L, 0, 4);
    pki_oid_text(ext->oid, oid);
    lua_pushstring(L, oid);
    lua_setfield(L, -2, "oid");
    lua_pushstring(L, pki_oid_name(ext->oid));
    lua_setfield(L, -2, "name");
    lua_pushboolean(L, ext->critical);
    lua_setfield(L, -2, "critical");
    lestL_push_bytes(L, ext->value);
    lua_setfield(L, -2, "value");
}

void lestL_push_extensions(lua_State *L, struct pki_bytes extensions)
{
    struct pki_der_doc doc = { .noun = "extensions",
                               .malformed = LEST_E_MALFORMED,
                               .tolerated = PKI_FLAW_BOOLEAN };
    struct pki_der in;
    struct pki_ext ext;
    lua_newtable(L);
    pki_der_open(&in, &doc, extensions.data, extensions.data ? extensions.len : 0);
    for (lua_Integer i = 1; in.left && pki_ext_next(&in, &ext); i++) {
        lestL_push_extension(L, &ext);
        lua_rawseti(L, -2, i);
    }
}

void lestL_push_flaws(lua_State *L, unsigned flaws)
{
    lua_newtable(L);
    for (unsigned i = 0; pki_flaw_text(i); i++)
        if (flaws >> i & 1) {
            lua_pushstring(L, pki_flaw_text(i));
            lua_seti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        }
}

void lestL_push_values(lua_State *L, struct pki_bytes values)
{
    struct pki_der_doc doc = { .noun = "values", .malformed = LEST_E_MALFORMED };
    struct pki_der in;
    struct pki_der_item item;
    lua_newtable(L);
    pki_der_open(&in, &doc, values.data, values.data ? values.len : 0);
    for (lua_Integer i = 1; in.left && pki_der_item(&in, PKI_DER_ANY, "a value", &item); i++) {
        lestL_push_bytes(L, item.whole);
        lua_rawseti(L, -2, i);
    }
}

void lestL_push_attr(lua_State *L, const struct pki_attr *attr)
{
    char oid[PKI_OID_TEXT_MAX];
    lua_createtable(L, 0, 3);
    pki_oid_text(attr->oid, oid);
    lua_pushstring(L, oid);
    lua_setfield(L, -2, "oid");
    lua_pushstring(L, pki_oid_name(attr->oid));
    lua_setfield(L, -2, "name");
    if (attr->values.data) {
        lestL_push_values(L, attr->values);
        lua_setfield(L, -2, "values");
    }
}

void lestL_push_described_key(lua_State *L, struct pki_bytes spki, const char *type, int security_bits)
{
    lua_createtable(L, 0, 3);
    lua_pushstring(L, type);
    lua_setfield(L, -2, "type");
    lua_pushinteger(L, security_bits);
    lua_setfield(L, -2, "security_bits");
    lestL_push_bytes(L, spki);
    lua_setfield(L, -2, "der");
}

void lestL_push_public_key(lua_State *L, struct pki_bytes spki)
{
    char type[PKI_KEY_TYPE_MAX];
    int security_bits;
    struct lest_buf *storage = lestL_buf(L, PKI_PUBLIC_MAX);
    pki_public_describe(spki, type, &security_bits);
    lestL_push_described_key(L, pki_public_canonical(spki, storage), type, security_bits);
    lua_remove(L, -2);
}

void lestL_push_key_hash(lua_State *L, struct pki_bytes spki)
{
    struct lest_error err;
    uint8_t hash[PKI_SECRET_HASH_LEN];
    if (pki_public_hash(spki, hash, &err))
        luaL_error(L, "%s", err.message);
    lestL_push_hex(L, (struct pki_bytes){ hash, sizeof hash });
}

void lestL_push_key_usage(lua_State *L, int bits)
{
    lua_newtable(L);
    for (unsigned bit = 0; bits > 0 && pki_ext_key_usage_name(bit); bit++)
        if (bits >> bit & 1) {
            lua_pushstring(L, pki_ext_key_usage_name(bit));
            lua_seti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        }
}

void lestL_push_eku(lua_State *L, struct pki_bytes eku)
{
    struct pki_der_doc doc = { .noun = "extendedKeyUsage", .malformed = LEST_E_MALFORMED };
    struct pki_der in;
    struct pki_bytes oid;
    char text[PKI_OID_TEXT_MAX];
    lua_newtable(L);
    if (!eku.data)
        return;
    pki_der_open(&in, &doc, eku.data, eku.len);
    for (lua_Integer i = 1; in.left && pki_der_oid(&in, "a purpose", &oid); i++) {
        pki_oid_describe(oid, text);
        lua_pushstring(L, text);
        lua_seti(L, -2, i);
    }
}

struct pki_bytes *lestL_to_strings(lua_State *L, int idx, const char *noun, size_t *count)
{
    idx = lua_absindex(L, idx);
    if (!lua_istable(L, idx))
        luaL_error(L, "%s: a %s is no list", noun, luaL_typename(L, idx));
    *count = lua_rawlen(L, idx);
    /* A list has its entries in memory already, each larger than this. */
    struct pki_bytes *strings = lua_newuserdatauv(L, (*count + 1) * sizeof *strings, 0);
    for (size_t i = 0; i < *count; i++) {
        if (lua_rawgeti(L, idx, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "%s %d is a %s, not a string", noun, (int)i + 1, luaL_typename(L, -1));
        strings[i].data = (const uint8_t *)lua_tolstring(L, -1, &strings[i].len);
        lua_pop(L, 1);
    }
    return strings;
}
