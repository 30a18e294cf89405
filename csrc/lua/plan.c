/* Options that describe what goes into a request or a certificate. */
#include "lua/pki.h"
#include "pki/asn1/ext.h"
#include "pki/asn1/name.h"
#include "pki/asn1/san.h"

#include <string.h>

enum { LIST_MAX = 64, EKU_MAX = 4096, EXTENSIONS_MAX = 64 * 1024, ATTRIBUTES_MAX = 64 * 1024 };

struct pki_bytes lestL_opt_bytes(lua_State *L, int idx, const char *key)
{
    struct pki_bytes bytes = { NULL, 0 };
    int type = lua_getfield(L, idx, key);
    if (type == LUA_TSTRING)
        bytes.data = (const uint8_t *)lua_tolstring(L, -1, &bytes.len);
    else if (type != LUA_TNIL)
        luaL_error(L, "option '%s' is a %s, not a string", key, lua_typename(L, type));
    lua_pop(L, 1);
    return bytes;
}

/* Pushes field `key` of the table at idx if it is a list; false if it is absent. */
static bool get_list(lua_State *L, int idx, const char *key, lua_Integer *count)
{
    int type = lua_getfield(L, idx, key);
    if (type == LUA_TNIL) {
        lua_pop(L, 1);
        return false;
    }
    if (type != LUA_TTABLE)
        luaL_error(L, "option '%s' is a %s, not a list", key, lua_typename(L, type));
    *count = (lua_Integer)lua_rawlen(L, -1);
    if (*count > LIST_MAX)
        luaL_error(L, "option '%s' has more than %d entries", key, LIST_MAX);
    return true;
}

static unsigned to_key_usage(lua_State *L, int idx)
{
    lua_Integer count;
    unsigned bits = 0;
    if (!get_list(L, idx, "key_usage", &count))
        return 0;
    for (lua_Integer i = 1; i <= count; i++) {
        size_t len;
        lua_rawgeti(L, -1, i);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "entry %d of option 'key_usage' is no string", (int)i);
        const char *name = lua_tolstring(L, -1, &len);
        int bit = pki_ext_key_usage_bit(name, len);
        if (bit < 0)
            luaL_error(L, "'%s' is no key usage", name);
        bits |= 1u << bit;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return bits;
}

/* Leaves a buffer on the stack. */
static enum lest_status to_eku(lua_State *L, int idx, struct pki_bytes *eku, struct lest_error *err)
{
    lua_Integer count;
    struct lest_buf *out = lestL_buf(L, EKU_MAX);
    if (!get_list(L, idx, "eku", &count))
        return LEST_OK;
    for (lua_Integer i = 1; i <= count; i++) {
        size_t len;
        lua_rawgeti(L, -1, i);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "entry %d of option 'eku' is no string", (int)i);
        const char *name = lua_tolstring(L, -1, &len);
        enum lest_status status = pki_oid_put_text(out, name, len, err);
        lua_pop(L, 1);
        if (status)
            return status;
    }
    lua_pop(L, 1);
    if (count)
        *eku = (struct pki_bytes){ out->data, out->len };
    return lest_buf_status(out, err);
}

enum lest_status lestL_to_extensions(lua_State *L, int idx, struct pki_bytes *extensions,
                                     struct lest_error *err)
{
    static const char *const known[] = { "oid", "critical", "value", "name", NULL };
    lua_Integer count;
    if (!get_list(L, idx, "extensions", &count))
        return LEST_OK;
    struct lest_buf *out = lestL_buf(L, EXTENSIONS_MAX);
    lua_insert(L, -2);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        lestL_check_options(L, -1, known);
        struct pki_bytes oid = lestL_opt_bytes(L, -1, "oid"), value = lestL_opt_bytes(L, -1, "value");
        if (!oid.data || !value.data)
            luaL_error(L, "extension %d has no 'oid' or no 'value'", (int)i);
        bool critical = lestL_opt_boolean(L, -1, "critical", false);
        enum lest_status status =
            pki_ext_put_text(out, (const char *)oid.data, oid.len, critical, value, err);
        if (status)
            return status;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    /* An empty list is there all the same. */
    *extensions = (struct pki_bytes){ out->len ? out->data : (const uint8_t *)"", out->len };
    return lest_buf_status(out, err);
}

/* Append attribute i, which is at the top: {oid =, values = {DER, ...}}. */
static enum lest_status put_attribute(lua_State *L, int i, struct lest_buf *out, struct lest_error *err)
{
    static const char *const known[] = { "oid", "values", "name", NULL };
    size_t count;
    lestL_check_options(L, -1, known);
    struct pki_bytes oid = lestL_opt_bytes(L, -1, "oid");
    if (!oid.data || lua_getfield(L, -1, "values") != LUA_TTABLE)
        luaL_error(L, "attribute %d has no 'oid' or no list 'values'", i);
    const struct pki_bytes *values = lestL_to_strings(L, -1, "value", &count);
    /* "values SET SIZE(1..MAX)" (RFC 2986 4.1) */
    if (count == 0)
        luaL_error(L, "attribute %d has no value", i);
    enum lest_status status =
        pki_attr_put_text(out, (const char *)oid.data, oid.len, values, count, LEST_E_CSR_MALFORMED, err);
    lua_pop(L, 2);
    return status;
}

enum lest_status lestL_to_attributes(lua_State *L, int idx, struct pki_bytes *attributes,
                                     struct lest_error *err)
{
    struct lest_buf *out = lestL_buf(L, ATTRIBUTES_MAX);
    if (lua_getfield(L, idx, "attributes") == LUA_TNIL)
        return LEST_OK;
    luaL_argcheck(L, lua_istable(L, -1), 1, "option 'attributes' is no list");
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        enum lest_status status = put_attribute(L, (int)i, out, err);
        if (status)
            return status;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    *attributes = (struct pki_bytes){ out->data, out->len };
    return lest_buf_status(out, err);
}

/* A value given as itself or as its DER; converts the former into a buffer left on the stack. */
static enum lest_status to_names(lua_State *L, int idx, const char *key, const char *der_key, size_t max,
                                 enum lest_status (*convert)(lua_State *, int, struct lest_buf *,
                                                             struct lest_error *),
                                 struct pki_bytes *der, struct lest_error *err)
{
    *der = lestL_opt_bytes(L, idx, der_key);
    if (lua_getfield(L, idx, key) == LUA_TNIL) {
        lua_pop(L, 1);
        return LEST_OK;
    }
    struct lest_buf *out = lestL_buf(L, max);
    lua_insert(L, -2);
    if (der->data)
        luaL_error(L, "options '%s' and '%s' exclude each other", key, der_key);
    enum lest_status status = LEST_OK;
    /* No alternative names is an empty list. */
    if (convert != lestL_to_san || !lua_istable(L, -1) || lua_rawlen(L, -1) > 0) {
        status = convert(L, -1, out, err);
        *der = (struct pki_bytes){ out->data, out->len };
    }
    lua_pop(L, 1);
    return status;
}

enum lest_status lestL_to_usages(lua_State *L, int idx, struct lestL_plan *plan, struct lest_error *err)
{
    plan->key_usage = to_key_usage(L, idx);
    return to_eku(L, idx, &plan->eku, err);
}

enum lest_status lestL_to_plan(lua_State *L, int idx, struct lestL_plan *plan, struct lest_error *err)
{
    *plan = (struct lestL_plan){ .key_usage = 0 };
    idx = lua_absindex(L, idx);
    luaL_checkstack(L, 20, "options");
    plan->key_usage = to_key_usage(L, idx);
    enum lest_status status =
        to_names(L, idx, "subject", "subject_der", PKI_NAME_MAX, lestL_to_name, &plan->subject, err);
    if (status == LEST_OK)
        status = to_names(L, idx, "san", "san_der", PKI_SAN_MAX, lestL_to_san, &plan->san, err);
    if (status == LEST_OK)
        status = to_eku(L, idx, &plan->eku, err);
    if (status == LEST_OK)
        status = lestL_to_extensions(L, idx, &plan->extensions, err);
    return status;
}
