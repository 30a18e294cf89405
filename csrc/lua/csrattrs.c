/* core.csrattrs: CSR attributes as lists (RFC 7030 4.5.2). */
#include "pki/x509/csrattrs.h"
#include "lua/pki.h"
#include "lua/template.h"

#include <stdio.h>
#include <string.h>

enum { VALUES_MAX = 64 };

/* csrattrs.decode(der) -> { { oid =, name =, values = }, ... } | nil, err */
static int decode(lua_State *L)
{
    struct lest_error err;
    struct pki_bytes der;
    struct pki_der_doc doc;
    struct pki_der in;
    struct pki_attr attr;
    der.data = (const uint8_t *)luaL_checklstring(L, 1, &der.len);
    if (pki_csrattrs_open(der, &doc, &in, &err))
        return lestL_fail(L, &err);
    lua_newtable(L);
    for (lua_Integer i = 1; pki_csrattrs_next(&in, &attr); i++) {
        lestL_push_attr(L, &attr);
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* The entry on the top: { oid =, values = { DER, ... } }. */
static enum lest_status put_attribute(lua_State *L, struct lest_buf *out, struct lest_error *err)
{
    size_t oid_len, count;
    int entry = lua_gettop(L);
    if (lua_getfield(L, entry, "oid") != LUA_TSTRING)
        luaL_error(L, "an attribute's oid is a %s, not a string", luaL_typename(L, -1));
    const char *oid = lua_tolstring(L, -1, &oid_len);
    if (lua_getfield(L, entry, "values") == LUA_TNIL)
        return pki_oid_put_text(out, oid, oid_len, err);
    const struct pki_bytes *values = lestL_to_strings(L, -1, "value", &count);
    if (count > VALUES_MAX)
        luaL_error(L, "an attribute's values are a list of at most %d", VALUES_MAX);
    return pki_attr_put_text(out, oid, oid_len, values, count, LEST_E_CSRATTRS_MALFORMED, err);
}

/* The kind of key that a list asks for, borrowed from it, or NULL. */
static const char *find_key(lua_State *L, int list)
{
    const char *key = NULL;
    int top = lua_gettop(L);
    lua_Integer count = (lua_Integer)lua_rawlen(L, list);
    for (lua_Integer i = 1; !key && i <= count; i++) {
        if (lua_rawgeti(L, list, i) == LUA_TTABLE) {
            key = lestL_opt_string(L, -1, "key", NULL);
            if (!key && lua_getfield(L, -1, "template") == LUA_TTABLE)
                key = lestL_opt_string(L, -1, "key", NULL);
        }
        lua_settop(L, top);
    }
    return key;
}

/* The entry on the top, a table. */
static enum lest_status put_table(lua_State *L, int list, struct lest_buf *out, struct lest_error *err)
{
    static const char *const known[] = { "oid",    "name",       "values",   "key",
                                         "digest", "extensions", "template", NULL };
    enum lest_status status = LEST_OK;
    struct pki_bytes extensions = { NULL, 0 };
    int entry = lua_gettop(L);
    lestL_check_options(L, entry, known);
    const char *key = lestL_opt_string(L, entry, "key", NULL);
    const char *digest = lestL_opt_string(L, entry, "digest", NULL);
    bool used = key || digest;
    if (key)
        status = pki_csrattrs_put_key(out, key, err);
    if (!status && digest) {
        const char *of = find_key(L, list);
        if (!of)
            luaL_error(L, "a digest needs a key in the same list to make a signature algorithm");
        status = pki_csrattrs_put_digest(out, of, digest, err);
    }
    if (!status)
        status = lestL_to_extensions(L, entry, &extensions, err);
    if (!status && extensions.data) {
        used = true;
        pki_csrattrs_put_extensions(out, extensions);
    }
    lua_settop(L, entry);
    if (!status && lua_getfield(L, entry, "template") != LUA_TNIL) {
        used = true;
        status = lestL_put_template(L, out, err);
    }
    lua_settop(L, entry);
    if (!status && lua_getfield(L, entry, "oid") != LUA_TNIL) {
        used = true;
        lua_settop(L, entry);
        status = put_attribute(L, out, err);
    }
    if (!used && !status)
        luaL_error(L, "an entry has one of oid, key, digest, extensions, template");
    return status;
}

/* The list at idx as DER, without the rules for what is sent. */
static enum lest_status put_list(lua_State *L, int idx, struct lest_buf *out, struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    lua_Integer count = (lua_Integer)lua_rawlen(L, idx);
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    for (lua_Integer i = 1; !status && i <= count; i++) {
        size_t len;
        int top = lua_gettop(L);
        int type = lua_rawgeti(L, idx, i);
        if (type == LUA_TSTRING) {
            const char *oid = lua_tolstring(L, -1, &len);
            status = pki_oid_put_text(out, oid, len, err);
        } else if (type == LUA_TTABLE) {
            status = put_table(L, idx, out, err);
        } else {
            luaL_error(L, "entry %d is a %s, neither an OID nor a table", (int)i, luaL_typename(L, -1));
        }
        lua_settop(L, top);
    }
    pki_der_put_close(out, mark);
    return status ? status : lest_buf_status(out, err);
}

/* csrattrs.encode(list) -> DER | nil, err */
static int encode(lua_State *L)
{
    struct lest_error err;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct lest_buf *out = lestL_buf(L, PKI_CSRATTRS_MAX);
    if (put_list(L, 1, out, &err) || pki_csrattrs_check_ours((struct pki_bytes){ out->data, out->len }, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

static void set_text(lua_State *L, const char *name, const char *text)
{
    if (!*text)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/* The DER at index 1, given so or as a list; a buffer may be left on the stack. */
static enum lest_status to_der(lua_State *L, struct pki_bytes *der, struct lest_error *err)
{
    lua_settop(L, 1);
    if (lua_type(L, 1) == LUA_TSTRING) {
        der->data = (const uint8_t *)lua_tolstring(L, 1, &der->len);
        return LEST_OK;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    struct lest_buf *out = lestL_buf(L, PKI_CSRATTRS_MAX);
    enum lest_status status = put_list(L, 1, out, err);
    *der = (struct pki_bytes){ out->data, out->len };
    return status;
}

/* Push the list of what is not understood, and add all else to found. With a template, that is not looked
 * for. */
static void push_unknown(lua_State *L, struct pki_der in, bool has_template,
                         struct pki_csr_requirements *found)
{
    struct pki_attr attr;
    lua_newtable(L);
    for (lua_Integer i = 1; pki_csrattrs_next(&in, &attr);) {
        const char *problem;
        if (pki_csr_requirements_add(found, &attr, &problem) != PKI_CSR_REQUIRES_UNKNOWN || has_template)
            continue;
        lestL_push_attr(L, &attr);
        lua_pushstring(L, problem);
        lua_setfield(L, -2, "problem");
        lua_rawseti(L, -2, i++);
    }
}

/* The challenges among the attributes of a template are wishes as those beside it. */
static void add_attributes(struct pki_der in, struct pki_csr_requirements *found)
{
    struct pki_attr attr;
    const char *problem;
    while (in.left && pki_attr_next(&in, &attr))
        pki_csr_requirements_add(found, &attr, &problem);
}

/* csrattrs.wishes(list | DER) -> { key =, signatures = { { name =, digest =, key = }, ... },
 * challenge_password =, otp_challenge =, revocation_challenge =, identity_linking =, extensions =,
 * unknown =, template = }
 * | nil, err */
static int wishes(lua_State *L)
{
    struct lest_error err;
    struct pki_bytes der;
    struct pki_der_doc doc;
    struct pki_der in;
    struct pki_csr_requirements found = { .key = "" };
    struct pki_template template;
    bool has_template;
    if (to_der(L, &der, &err) || pki_csrattrs_open(der, &doc, &in, &err) ||
        pki_template_find(in, &template, &has_template, &err))
        return lestL_fail(L, &err);
    lua_createtable(L, 0, 11);
    push_unknown(L, in, has_template, &found);
    lua_setfield(L, -2, "unknown");
    if (has_template) {
        pki_der_open(&in, &doc, template.attributes.data, template.attributes.len);
        add_attributes(in, &found);
        found.extensions = (struct pki_bytes){ NULL, 0 };
        snprintf(found.key, sizeof found.key, "%s", template.key);
        lestL_push_template(L, &template);
        lua_setfield(L, -2, "template");
    }
    set_text(L, "key", found.key);
    lua_createtable(L, (int)found.signature_count, 0);
    for (size_t i = 0; i < found.signature_count; i++) {
        lua_createtable(L, 0, 3);
        set_text(L, "name", found.signatures[i].name);
        set_text(L, "digest", found.signatures[i].digest);
        set_text(L, "key", found.signatures[i].key);
        lua_seti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "signatures");
    for (int i = 0; i < PKI_CHALLENGE_COUNT; i++) {
        lua_pushboolean(L, found.challenges[i]);
        lua_setfield(L, -2, lestL_challenge_fields[i]);
    }
    lestL_push_extensions(L, found.extensions);
    lua_setfield(L, -2, "extensions");
    return 1;
}

int lestL_open_csrattrs(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "encode", encode },           { "decode", decode },
        { "wishes", wishes },           { "fill_subject", lestL_fill_subject },
        { "fill_san", lestL_fill_san }, { NULL, NULL },
    };
    luaL_newlib(L, functions);
    return 1;
}
