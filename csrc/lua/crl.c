/* core.crl (class lest.crl): certificate revocation lists, immutable. One is made of a draft
 * (lua/crl_draft.c) by an issuer. */
#include "lua/cert.h"
#include "lua/pki.h"
#include "pki/asn1/oid.h"
#include "pki/asn1/pem.h"

#include <string.h>

static void close_crl(void *h)
{
    pki_crl_free(h);
}

static const struct lestL_class class;

static struct pki_crl *check(lua_State *L, int idx)
{
    return lestL_check_object(L, idx, &class);
}

struct pki_crl *lestL_test_crl(lua_State *L, int idx)
{
    return lestL_test_object(L, idx, &class);
}

void lestL_push_crl(lua_State *L, struct pki_crl *crl)
{
    struct lestL_object *object = lestL_new_object(L, &class);
    object->h = pki_crl_ref(crl);
}

/* crl.parse(bytes) -> crl */
static int parse(lua_State *L)
{
    size_t len;
    struct lest_error err;
    struct pki_crl *crl;
    const char *data = luaL_checklstring(L, 1, &len);
    struct lestL_object *object = lestL_new_object(L, &class);
    if (pki_crl_parse(data, len, &crl, &err))
        return lestL_fail(L, &err);
    object->h = crl;
    return 1;
}

/* crl.load(path) -> crl */
static int load(lua_State *L)
{
    struct lest_error err;
    struct pki_crl *crl;
    const char *path = luaL_checkstring(L, 1);
    /* PEM is a third longer than its DER. */
    struct lest_buf *data = lestL_read_file(L, path, PKI_CRL_MAX / 2 * 3, &err);
    if (!data)
        return lestL_fail(L, &err);
    struct lestL_object *object = lestL_new_object(L, &class);
    if (pki_crl_parse(data->data, data->len, &crl, &err)) {
        lestL_name_file(path, &err);
        return lestL_fail(L, &err);
    }
    object->h = crl;
    return 1;
}

static void push_entry(lua_State *L, const struct pki_crl_entry *entry)
{
    lua_createtable(L, 0, 3);
    lestL_push_serial(L, entry->serial);
    lua_setfield(L, -2, "serial");
    lua_pushinteger(L, entry->date);
    lua_setfield(L, -2, "date");
    lua_pushstring(L, pki_crl_reason_name(entry->reason));
    lua_setfield(L, -2, "reason");
}

/* crl:find(serial) -> entry | nil */
static int find(lua_State *L)
{
    size_t len;
    uint8_t storage[PKI_SERIAL_TEXT_MAX / 2 + 1];
    struct pki_bytes serial;
    struct pki_crl_entry entry;
    struct pki_crl *crl = check(L, 1);
    const char *text = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, pki_serial_parse(text, len, storage, &serial), 2,
                  "a serial number in hex, two digits a byte");
    if (pki_crl_find(crl, serial, &entry))
        push_entry(L, &entry);
    else
        lua_pushnil(L);
    return 1;
}

/* crl:verify(issuer) -> true | nil, err */
static int verify(lua_State *L)
{
    struct lest_error err;
    struct pki_crl *crl = check(L, 1);
    if (pki_crl_verify(crl, lestL_check_cert(L, 2), &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int der(lua_State *L)
{
    lestL_push_bytes(L, check(L, 1)->der);
    return 1;
}

static int pem(lua_State *L)
{
    struct pki_crl *crl = check(L, 1);
    struct lest_buf *out = lestL_buf(L, (size_t)PKI_CRL_MAX * 2);
    pki_pem_put(out, "X509 CRL", crl->der.data, crl->der.len);
    return lestL_push_buf(L, out);
}

/* crl:page(cursor, count) -> { entry, ... }, cursor | nil; cursor 0 begins */
static int page(lua_State *L)
{
    struct pki_crl *crl = check(L, 1);
    lua_Integer cursor = luaL_checkinteger(L, 2), count = luaL_checkinteger(L, 3);
    struct pki_der_doc doc;
    struct pki_der entries;
    struct pki_crl_entry entry;
    pki_crl_open(crl, &doc, &entries);
    luaL_argcheck(L, cursor >= 0 && (size_t)cursor <= entries.left, 2, "a cursor that page() gave");
    const uint8_t *begin = entries.at;
    entries.at += cursor;
    entries.left -= (size_t)cursor;
    lua_newtable(L);
    for (lua_Integer i = 1; i <= count && pki_crl_next(&entries, &entry); i++) {
        push_entry(L, &entry);
        lua_rawseti(L, -2, i);
    }
    if (entries.left == 0 || doc.status)
        return 1;
    lua_pushinteger(L, entries.at - begin);
    return 2;
}

static const luaL_Reg methods[] = { { "find", find }, { "page", page }, { "verify", verify },
                                    { "der", der },   { "pem", pem },   { NULL, NULL } };

static int get_issuer(lua_State *L)
{
    struct lest_error err;
    return lestL_push_name(L, check(L, 1)->issuer, PKI_FLAW_NAME, &err) ? 1
                                                                        : luaL_error(L, "%s", err.message);
}

static int get_issuer_der(lua_State *L)
{
    lestL_push_bytes(L, check(L, 1)->issuer);
    return 1;
}

static int get_this_update(lua_State *L)
{
    lua_pushinteger(L, check(L, 1)->this_update);
    return 1;
}

static int get_next_update(lua_State *L)
{
    int64_t time = check(L, 1)->next_update;
    if (time == PKI_CRL_NEVER)
        lua_pushnil(L);
    else
        lua_pushinteger(L, time);
    return 1;
}

static int get_number(lua_State *L)
{
    struct pki_bytes number = check(L, 1)->number;
    if (number.data)
        lestL_push_serial(L, number);
    else
        lua_pushnil(L);
    return 1;
}

static int get_entries(lua_State *L)
{
    struct pki_crl *crl = check(L, 1);
    struct pki_der_doc doc;
    struct pki_der entries;
    struct pki_crl_entry entry;
    lua_createtable(L, crl->count < INT32_MAX ? (int)crl->count : 0, 0);
    pki_crl_open(crl, &doc, &entries);
    for (lua_Integer i = 1; pki_crl_next(&entries, &entry); i++) {
        push_entry(L, &entry);
        lua_rawseti(L, -2, i);
    }
    return 1;
}

static int get_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check(L, 1)->count);
    return 1;
}

static int get_extensions(lua_State *L)
{
    lestL_push_extensions(L, check(L, 1)->extensions);
    return 1;
}

static int get_aki(lua_State *L)
{
    lestL_push_hex(L, check(L, 1)->aki);
    return 1;
}

static int get_signature_algorithm(lua_State *L)
{
    char text[PKI_OID_TEXT_MAX];
    pki_oid_describe(check(L, 1)->signature_algorithm, text);
    lua_pushstring(L, text);
    return 1;
}

static int get_version(lua_State *L)
{
    lua_pushinteger(L, check(L, 1)->version);
    return 1;
}

static const luaL_Reg getters[] = {
    { "issuer", get_issuer },
    { "issuer_der", get_issuer_der },
    { "this_update", get_this_update },
    { "next_update", get_next_update },
    { "number", get_number },
    { "entries", get_entries },
    { "count", get_count },
    { "extensions", get_extensions },
    { "aki", get_aki },
    { "signature_algorithm", get_signature_algorithm },
    { "version", get_version },
    { NULL, NULL },
};

static int equal(lua_State *L)
{
    struct pki_crl *a = lestL_test_crl(L, 1), *b = lestL_test_crl(L, 2);
    lua_pushboolean(L, a && b && pki_bytes_equal(a->der, b->der));
    return 1;
}

static const luaL_Reg meta[] = { { "__eq", equal }, { NULL, NULL } };

static const struct lestL_class class = {
    .name = "lest.crl", .methods = methods, .getters = getters, .meta = meta, .close = close_crl
};

int lestL_open_crl(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "parse", parse }, { "load", load }, { "draft", lestL_new_crl_draft }, { NULL, NULL }
    };
    lestL_class_register(L, &class);
    lestL_register_crl_draft(L);
    luaL_newlib(L, functions);
    return 1;
}
