#include "lua/template.h"

#include "lua/pki.h"

#include <string.h>

enum { EXTENSIONS_MAX = 64 * 1024, LIST_MAX = 64 };

/* Push { TYPE [, VALUE] [, plus = true] [, der = true] }: as a name of its own, its value can be read. */
static void push_part(lua_State *L, const struct pki_template_part *part)
{
    char type[PKI_OID_TEXT_MAX];
    int top = lua_gettop(L);
    lua_createtable(L, 2, 1);
    pki_oid_describe(part->type, type);
    lua_pushstring(L, type);
    lua_rawseti(L, -2, 1);
    if (part->plus) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "plus");
    }
    if (!part->value.data)
        return;
    struct pki_der_doc doc = { .noun = "name",
                               .malformed = LEST_E_NAME_MALFORMED,
                               .tolerated = PKI_FLAW_NAME };
    struct pki_name_reader reader;
    struct pki_name_part read;
    struct lest_buf *name = lestL_buf(L, PKI_NAME_MAX + 16), *text = lestL_buf(L, PKI_NAME_MAX * 3);
    size_t whole = pki_der_put_open(name, PKI_DER_SEQUENCE), rdn = pki_der_put_open(name, PKI_DER_SET);
    lest_buf_append(name, part->whole.data, part->whole.len);
    pki_der_put_close(name, rdn);
    pki_der_put_close(name, whole);
    pki_name_open(&reader, &doc, name->data, name->len);
    if (!pki_name_next(&reader, text, &read))
        read = (struct pki_name_part){ .value = "" };
    lua_pushlstring(L, read.value, read.value_len);
    lua_rawseti(L, top + 1, 2);
    if (read.der) {
        lua_pushboolean(L, 1);
        lua_setfield(L, top + 1, "der");
    }
    lua_settop(L, top + 1);
}

static void push_subject(lua_State *L, struct pki_bytes subject)
{
    struct pki_der_doc doc = { .noun = "subject", .malformed = LEST_E_CSRATTRS_MALFORMED };
    struct pki_template_reader reader;
    struct pki_template_part part;
    lua_newtable(L);
    if (!pki_template_open_name(&reader, &doc, subject))
        return;
    for (lua_Integer i = 1; pki_template_next_part(&reader, &part); i++) {
        push_part(L, &part);
        lua_rawseti(L, -2, i);
    }
}

/* The texts of alternative names, those to be filled in among them. */
static void push_open_san(lua_State *L, struct pki_bytes value)
{
    struct pki_der_doc doc = { .noun = "subjectAltName", .malformed = LEST_E_SAN_MALFORMED };
    struct pki_san_reader reader;
    struct lest_buf *text = lestL_buf(L, PKI_SAN_MAX * 4);
    lua_newtable(L);
    pki_san_open(&reader, &doc, value.data, value.len);
    reader.openings = true;
    for (lua_Integer i = 1; pki_san_next(&reader, text); i++) {
        lua_pushlstring(L, (const char *)text->data, text->len);
        lua_rawseti(L, -2, i);
    }
    lua_remove(L, -2);
}

static void push_extensions(lua_State *L, struct pki_bytes extensions)
{
    struct pki_der_doc doc = { .noun = "extensions", .malformed = LEST_E_CSRATTRS_MALFORMED };
    struct pki_der in;
    struct pki_ext ext;
    lua_newtable(L);
    pki_der_open(&in, &doc, extensions.data, extensions.len);
    for (lua_Integer i = 1; in.left && pki_ext_next_template(&in, &ext); i++) {
        lestL_push_extension(L, &ext);
        if (ext.value.data && pki_oid_is(ext.oid, PKI_OID_SAN)) {
            push_open_san(L, ext.value);
            lua_setfield(L, -2, "san");
        }
        lua_rawseti(L, -2, i);
    }
}

/* The attributes other than those of extensions. */
static void push_attributes(lua_State *L, struct pki_bytes attributes)
{
    struct pki_der_doc doc = { .noun = "attributes", .malformed = LEST_E_CSRATTRS_MALFORMED };
    struct pki_der in;
    struct pki_attr attr;
    lua_newtable(L);
    pki_der_open(&in, &doc, attributes.data, attributes.len);
    for (lua_Integer i = 1; in.left && pki_attr_next(&in, &attr);) {
        if (pki_oid_is(attr.oid, PKI_OID_EXTENSION_REQUEST) ||
            pki_oid_is(attr.oid, PKI_OID_EXTENSION_TEMPLATE))
            continue;
        lestL_push_attr(L, &attr);
        lua_rawseti(L, -2, i++);
    }
}

void lestL_push_template(lua_State *L, const struct pki_template *template)
{
    luaL_checkstack(L, 12, "template");
    lua_createtable(L, 0, 5);
    if (template->subject.data) {
        push_subject(L, template->subject);
        lua_setfield(L, -2, "subject");
        lestL_push_bytes(L, template->subject);
        lua_setfield(L, -2, "subject_der");
    }
    if (template->key[0]) {
        lua_pushstring(L, template->key);
        lua_setfield(L, -2, "key");
    }
    push_extensions(L, template->extensions);
    lua_setfield(L, -2, "extensions");
    push_attributes(L, template->attributes);
    lua_setfield(L, -2, "attributes");
}

/* The list at the top: { { TYPE [, VALUE] [, plus = true] }, ... }. Its strings stay in it. */
static size_t to_parts(lua_State *L, struct pki_name_part parts[PKI_NAME_PARTS_MAX])
{
    if (!lua_istable(L, -1))
        luaL_error(L, "a template's subject is a list of parts, { TYPE } or { TYPE, VALUE }");
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    if (count > PKI_NAME_PARTS_MAX)
        luaL_error(L, "a template's subject has at most %d parts", PKI_NAME_PARTS_MAX);
    for (lua_Integer i = 1; i <= count; i++) {
        struct pki_name_part *part = &parts[i - 1];
        *part = (struct pki_name_part){ .value = NULL };
        if (lua_rawgeti(L, -1, i) != LUA_TTABLE || lua_rawgeti(L, -1, 1) != LUA_TSTRING)
            luaL_error(L, "part %d of a template's subject is not { TYPE } or { TYPE, VALUE }", (int)i);
        part->type = lua_tolstring(L, -1, &part->type_len);
        int type = lua_rawgeti(L, -2, 2);
        if (type != LUA_TNIL && type != LUA_TSTRING)
            luaL_error(L, "the value of part %d of a template's subject is no string", (int)i);
        part->value = lua_tolstring(L, -1, &part->value_len);
        lua_getfield(L, -3, "plus");
        part->plus = lua_toboolean(L, -1);
        lua_getfield(L, -4, "der");
        part->der = lua_toboolean(L, -1);
        lua_pop(L, 5);
    }
    return (size_t)count;
}

static bool has_opening(struct pki_bytes san)
{
    struct pki_der_doc doc = { .noun = "subjectAltName", .malformed = LEST_E_SAN_MALFORMED };
    struct pki_der in, names;
    struct pki_der_item item;
    pki_der_open(&in, &doc, san.data, san.len);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "names", &names))
        return false;
    while (names.left && pki_der_item(&names, PKI_DER_ANY, "name", &item))
        if (pki_san_is_open(&item))
            return true;
    return false;
}

static enum lest_status put_san(lua_State *L, int idx, struct lest_buf *out, bool *is_partial,
                                struct lest_error *err)
{
    size_t count;
    if (lua_getfield(L, idx, "san") == LUA_TNIL)
        return LEST_OK;
    luaL_argcheck(L, lua_istable(L, -1), 1, "option 'san' is no list");
    const struct pki_bytes *texts = lestL_to_strings(L, -1, "alternative name", &count);
    struct lest_buf *san = lestL_buf(L, PKI_SAN_MAX);
    enum lest_status status = pki_san_encode_open(texts, count, san, err);
    if (status)
        return status;
    struct pki_bytes value = { san->data, san->len };
    *is_partial = *is_partial || has_opening(value);
    pki_ext_put(out, PKI_OID_SAN, false, value);
    return LEST_OK;
}

/* An entry of `extensions`, at the top: { oid =, critical =, value = | none }. */
static enum lest_status put_extension(lua_State *L, int i, struct lest_buf *out, bool *is_partial,
                                      struct lest_error *err)
{
    static const char *const known[] = { "oid", "critical", "value", "name", "san", NULL };
    if (!lua_istable(L, -1))
        luaL_error(L, "extension %d is no table", i);
    lestL_check_options(L, -1, known);
    struct pki_bytes oid = lestL_opt_bytes(L, -1, "oid"), value = lestL_opt_bytes(L, -1, "value");
    if (!oid.data)
        luaL_error(L, "extension %d has no 'oid'", i);
    bool critical = lestL_opt_boolean(L, -1, "critical", false);
    if (!value.data) {
        *is_partial = true;
        return pki_ext_put_open_text(out, (const char *)oid.data, oid.len, critical, err);
    }
    bool is_san = (oid.len == 9 && memcmp(oid.data, "2.5.29.17", 9) == 0) ||
                  (oid.len == 14 && memcmp(oid.data, "subjectAltName", 14) == 0);
    *is_partial = *is_partial || (is_san && has_opening(value));
    return pki_ext_put_text(out, (const char *)oid.data, oid.len, critical, value, err);
}

static enum lest_status put_extensions(lua_State *L, int idx, struct lest_buf *out, bool *is_partial,
                                       struct lest_error *err)
{
    enum lest_status status = put_san(L, idx, out, is_partial, err);
    struct lestL_plan plan = { .key_usage = 0 };
    if (!status)
        status = lestL_to_usages(L, idx, &plan, err);
    if (status)
        return status;
    if (plan.key_usage) {
        struct pki_ext_mark mark = pki_ext_put_open(out, PKI_OID_KEY_USAGE, true);
        pki_der_put_named_bits(out, plan.key_usage);
        pki_ext_put_close(out, mark);
    }
    if (plan.eku.data) {
        struct pki_ext_mark mark = pki_ext_put_open(out, PKI_OID_EKU, false);
        pki_der_put(out, PKI_DER_SEQUENCE, plan.eku.data, plan.eku.len);
        pki_ext_put_close(out, mark);
    }
    if (lua_getfield(L, idx, "extensions") == LUA_TNIL)
        return LEST_OK;
    luaL_argcheck(L, lua_istable(L, -1), 1, "option 'extensions' is no list");
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    if (count > LIST_MAX)
        luaL_error(L, "option 'extensions' has more than %d entries", LIST_MAX);
    for (lua_Integer i = 1; !status && i <= count; i++) {
        lua_rawgeti(L, -1, i);
        status = put_extension(L, (int)i, out, is_partial, err);
        lua_pop(L, 1);
    }
    return status;
}

enum lest_status lestL_put_template(lua_State *L, struct lest_buf *out, struct lest_error *err)
{
    static const char *const known[] = { "subject", "subject_der", "key",        "san", "key_usage",
                                         "eku",     "extensions",  "attributes", NULL };
    struct pki_name_part parts[PKI_NAME_PARTS_MAX];
    struct pki_template_plan plan = { .subject = parts };
    int idx = lua_gettop(L);
    if (!lua_istable(L, idx))
        luaL_error(L, "a template is a %s, not a table", luaL_typename(L, idx));
    lestL_check_options(L, idx, known);
    luaL_checkstack(L, 40, "template");
    plan.key = lestL_opt_string(L, idx, "key", NULL);
    if (lua_getfield(L, idx, "subject") != LUA_TNIL)
        plan.subject_count = to_parts(L, parts);
    struct lest_buf *extensions = lestL_buf(L, EXTENSIONS_MAX);
    enum lest_status status = put_extensions(L, idx, extensions, &plan.is_partial, err);
    if (!status)
        status = lest_buf_status(extensions, err);
    if (!status)
        status = lestL_to_attributes(L, idx, &plan.attributes, err);
    plan.extensions = (struct pki_bytes){ extensions->data, extensions->len };
    if (!status)
        status = pki_template_put(out, &plan, err);
    lua_settop(L, idx);
    return status;
}

static struct pki_bytes bytes_at(lua_State *L, int idx)
{
    struct pki_bytes bytes;
    bytes.data = (const uint8_t *)luaL_checklstring(L, idx, &bytes.len);
    return bytes;
}

int lestL_fill_subject(lua_State *L)
{
    struct lest_error err;
    struct pki_bytes subject = bytes_at(L, 1), own = bytes_at(L, 2);
    struct lest_buf *out = lestL_buf(L, PKI_NAME_MAX);
    return pki_template_fill_name(subject, own, out, &err) ? lestL_fail(L, &err) : lestL_push_buf(L, out);
}

int lestL_fill_san(lua_State *L)
{
    struct lest_error err;
    struct pki_bytes san = bytes_at(L, 1), own = { NULL, 0 };
    if (!lua_isnoneornil(L, 2))
        own = bytes_at(L, 2);
    struct lest_buf *out = lestL_buf(L, PKI_SAN_MAX);
    return pki_template_fill_san(san, own, out, &err) ? lestL_fail(L, &err) : lestL_push_buf(L, out);
}
