/* core.cert (class lest.cert): X.509 certificates, immutable. The user value of an object is its chain: nil,
 * or a list that only this object refers to. */
#include "lua/cert.h"

#include "base/file.h"
#include "lua/pki.h"
#include "pki/asn1/oid.h"

static void close_cert(void *h)
{
    pki_cert_free(h);
}

static const struct lestL_class class;

struct pki_cert *lestL_check_cert(lua_State *L, int idx)
{
    return lestL_check_object(L, idx, &class);
}

struct pki_cert *lestL_test_cert(lua_State *L, int idx)
{
    return lestL_test_object(L, idx, &class);
}

void lestL_push_cert(lua_State *L, struct pki_cert *cert)
{
    struct lestL_object *object = lestL_new_object(L, &class);
    object->h = pki_cert_ref(cert);
}

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

void lestL_push_x509s(lua_State *L, const STACK_OF(X509) * certs)
{
    int count = certs ? sk_X509_num(certs) : 0;
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        const X509 *x509 = sk_X509_value(certs, i);
        luaL_Buffer buffer;
        int len = i2d_X509(x509, NULL);
        if (len <= 0)
            lestL_no_memory(L);
        /* OpenSSL keeps the encoding that it has read, which this call only copies. */
        unsigned char *at = (unsigned char *)luaL_buffinitsize(L, &buffer, (size_t)len);
        i2d_X509(x509, &at);
        luaL_pushresultsize(&buffer, (size_t)len);
        lua_rawseti(L, -2, i + 1);
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
            lestL_no_memory(L);
    }
}

/* Push the first certificate of a list with the rest as its chain. */
static void push_with_chain(lua_State *L, const struct pki_certs *certs)
{
    lestL_push_cert(L, certs->list[0]);
    if (certs->count > 1) {
        lestL_push_certs(L, certs, 1);
        lua_setiuservalue(L, -2, 1);
    }
}

/* The certificates in the bytes at 1, in a list that is pushed; NULL with err set. */
static struct pki_certs *certs_in(lua_State *L, struct lest_error *err)
{
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    struct pki_certs *certs = lestL_certs(L);
    return pki_certs_parse(data, len, certs, err) ? NULL : certs;
}

/* As certs_in, of the file whose path is at 1. */
static struct pki_certs *certs_of_file(lua_State *L, struct lest_error *err)
{
    const char *path = luaL_checkstring(L, 1);
    struct lest_buf *data = lestL_read_file(L, path, PKI_CERTS_BYTES_MAX, err);
    if (!data)
        return NULL;
    struct pki_certs *certs = lestL_certs(L);
    if (!pki_certs_parse(data->data, data->len, certs, err))
        return certs;
    lestL_name_file(path, err);
    return NULL;
}

static int give_first(lua_State *L, const struct pki_certs *certs, const struct lest_error *err)
{
    if (!certs)
        return lestL_fail(L, err);
    push_with_chain(L, certs);
    return 1;
}

static int give_all(lua_State *L, const struct pki_certs *certs, const struct lest_error *err)
{
    if (!certs)
        return lestL_fail(L, err);
    lestL_push_certs(L, certs, 0);
    return 1;
}

/* cert.parse(bytes) -> cert */
static int parse(lua_State *L)
{
    struct lest_error err;
    return give_first(L, certs_in(L, &err), &err);
}

/* cert.parse_all(bytes) -> { cert, ... } */
static int parse_all(lua_State *L)
{
    struct lest_error err;
    return give_all(L, certs_in(L, &err), &err);
}

/* cert.load(path) -> cert */
static int load(lua_State *L)
{
    struct lest_error err;
    return give_first(L, certs_of_file(L, &err), &err);
}

/* cert.load_all(path) -> { cert, ... } */
static int load_all(lua_State *L)
{
    struct lest_error err;
    return give_all(L, certs_of_file(L, &err), &err);
}

static int der(lua_State *L)
{
    lestL_push_bytes(L, lestL_check_cert(L, 1)->der);
    return 1;
}

static int pem(lua_State *L)
{
    struct pki_cert *cert = lestL_check_cert(L, 1);
    struct lest_buf *out = lestL_buf(L, PKI_CERT_MAX * 2);
    pki_certs_pem(&cert, 1, out);
    return lestL_push_buf(L, out);
}

/* cert:save(path): leaf, then its chain */
static int save(lua_State *L)
{
    struct lest_error err;
    struct pki_cert *cert = lestL_check_cert(L, 1);
    const char *path = luaL_checkstring(L, 2);
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, 1);
    struct pki_certs *chain = lestL_certs(L);
    lestL_to_certs(L, 3, "chain", chain);
    struct lest_buf *out = lestL_buf(L, PKI_CERTS_BYTES_MAX);
    pki_certs_pem(&cert, 1, out);
    pki_certs_pem(chain->list, chain->count, out);
    if (lest_buf_status(out, &err) ||
        lest_file_write(path, out->data, out->len, 0644, LEST_FILE_REPLACE, &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* cert:with_chain(list) -> the same certificate with another chain */
static int with_chain(lua_State *L)
{
    struct pki_cert *cert = lestL_check_cert(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    struct pki_certs *chain = lestL_certs(L);
    lestL_to_certs(L, 2, "chain", chain);
    lestL_push_cert(L, cert);
    lestL_push_certs(L, chain, 0);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

static int matches_host(lua_State *L)
{
    size_t len;
    struct pki_cert *cert = lestL_check_cert(L, 1);
    const char *host = luaL_checklstring(L, 2, &len);
    lua_pushboolean(L, pki_cert_matches_host(cert, host, len));
    return 1;
}

/* cert:explain(store [, options]); its sentences are made in lua/lest/explanation.lua */
static int explain(lua_State *L)
{
    lestL_check_cert(L, 1);
    luaL_checkudata(L, 2, "lest.store"); /* by name: stores are made of certificates */
    if (!lua_isnoneornil(L, 3))
        luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "lest.explanation");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "of");
    lua_replace(L, -2);
    lua_insert(L, 1);
    lua_call(L, 3, LUA_MULTRET);
    return lua_gettop(L);
}

static const luaL_Reg methods[] = {
    { "der", der },
    { "pem", pem },
    { "save", save },
    { "with_chain", with_chain },
    { "matches_host", matches_host },
    { "explain", explain },
    { NULL, NULL },
};

/* A parsed certificate's names were checked: only memory can be missing. */
static int push_name(lua_State *L, struct pki_bytes name)
{
    struct lest_error err;
    return lestL_push_name(L, name, PKI_FLAW_NAME, &err) ? 1 : luaL_error(L, "%s", err.message);
}

static int get_subject(lua_State *L)
{
    return push_name(L, lestL_check_cert(L, 1)->subject);
}

static int get_issuer(lua_State *L)
{
    return push_name(L, lestL_check_cert(L, 1)->issuer);
}

static int get_subject_der(lua_State *L)
{
    lestL_push_bytes(L, lestL_check_cert(L, 1)->subject);
    return 1;
}

static int get_issuer_der(lua_State *L)
{
    lestL_push_bytes(L, lestL_check_cert(L, 1)->issuer);
    return 1;
}

static int push_san(lua_State *L, enum lestL_san which)
{
    struct lest_error err;
    return lestL_push_san(L, lestL_check_cert(L, 1)->san, which, &err) ? 1 : luaL_error(L, "%s", err.message);
}

static int get_san(lua_State *L)
{
    return push_san(L, LESTL_SAN_USABLE);
}

static int get_san_unusable(lua_State *L)
{
    return push_san(L, LESTL_SAN_UNUSABLE);
}

static int get_flaws(lua_State *L)
{
    lestL_push_flaws(L, lestL_check_cert(L, 1)->flaws);
    return 1;
}

static int get_san_der(lua_State *L)
{
    lestL_push_bytes(L, lestL_check_cert(L, 1)->san);
    return 1;
}

static int get_serial(lua_State *L)
{
    lestL_push_serial(L, lestL_check_cert(L, 1)->serial);
    return 1;
}

static int get_not_before(lua_State *L)
{
    lua_pushinteger(L, lestL_check_cert(L, 1)->not_before);
    return 1;
}

static int get_not_after(lua_State *L)
{
    lua_pushinteger(L, lestL_check_cert(L, 1)->not_after);
    return 1;
}

static int get_public_key(lua_State *L)
{
    lestL_push_public_key(L, lestL_check_cert(L, 1)->spki);
    return 1;
}

static int get_key_hash(lua_State *L)
{
    struct lest_buf *storage = lestL_buf(L, PKI_PUBLIC_MAX);
    lestL_push_key_hash(L, pki_public_canonical(lestL_check_cert(L, 1)->spki, storage));
    return 1;
}

static int get_extensions(lua_State *L)
{
    lestL_push_extensions(L, lestL_check_cert(L, 1)->extensions);
    return 1;
}

static int get_is_ca(lua_State *L)
{
    lua_pushboolean(L, lestL_check_cert(L, 1)->is_ca);
    return 1;
}

static int get_path_len(lua_State *L)
{
    int len = lestL_check_cert(L, 1)->path_len;
    if (len < 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, len);
    return 1;
}

static int get_key_usage(lua_State *L)
{
    lestL_push_key_usage(L, lestL_check_cert(L, 1)->key_usage);
    return 1;
}

static int get_eku(lua_State *L)
{
    lestL_push_eku(L, lestL_check_cert(L, 1)->eku);
    return 1;
}

static int get_ski(lua_State *L)
{
    lestL_push_hex(L, lestL_check_cert(L, 1)->ski);
    return 1;
}

static int get_aki(lua_State *L)
{
    lestL_push_hex(L, lestL_check_cert(L, 1)->aki);
    return 1;
}

static int get_fingerprint(lua_State *L)
{
    struct lest_error err;
    uint8_t sha256[32];
    if (pki_cert_fingerprint(lestL_check_cert(L, 1), sha256, &err))
        return luaL_error(L, "%s", err.message);
    lestL_push_hex(L, (struct pki_bytes){ sha256, sizeof sha256 });
    return 1;
}

static int get_signature_algorithm(lua_State *L)
{
    char text[PKI_OID_TEXT_MAX];
    pki_oid_describe(lestL_check_cert(L, 1)->signature_algorithm, text);
    lua_pushstring(L, text);
    return 1;
}

static int get_version(lua_State *L)
{
    lua_pushinteger(L, lestL_check_cert(L, 1)->version);
    return 1;
}

static int get_self_issued(lua_State *L)
{
    lua_pushboolean(L, pki_cert_self_issued(lestL_check_cert(L, 1)));
    return 1;
}

static int get_self_signed(lua_State *L)
{
    lua_pushboolean(L, pki_cert_self_signed(lestL_check_cert(L, 1)));
    return 1;
}

static int get_chain(lua_State *L)
{
    lestL_check_cert(L, 1);
    lua_newtable(L);
    if (lua_getiuservalue(L, 1, 1) != LUA_TTABLE) {
        lua_pop(L, 1);
        return 1;
    }
    /* A copy: what a script does to it must not reach the certificate. */
    for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++)
        lua_rawseti(L, -3, i);
    lua_pop(L, 2);
    return 1;
}

static const luaL_Reg getters[] = {
    { "subject", get_subject },
    { "issuer", get_issuer },
    { "subject_der", get_subject_der },
    { "issuer_der", get_issuer_der },
    { "san", get_san },
    { "san_der", get_san_der },
    { "san_unusable", get_san_unusable },
    { "flaws", get_flaws },
    { "serial", get_serial },
    { "not_before", get_not_before },
    { "not_after", get_not_after },
    { "public_key", get_public_key },
    { "key_hash", get_key_hash },
    { "extensions", get_extensions },
    { "is_ca", get_is_ca },
    { "path_len", get_path_len },
    { "key_usage", get_key_usage },
    { "eku", get_eku },
    { "ski", get_ski },
    { "aki", get_aki },
    { "fingerprint", get_fingerprint },
    { "signature_algorithm", get_signature_algorithm },
    { "version", get_version },
    { "self_issued", get_self_issued },
    { "self_signed", get_self_signed },
    { "chain", get_chain },
    { NULL, NULL },
};

static int equal(lua_State *L)
{
    struct pki_cert *a = lestL_test_cert(L, 1), *b = lestL_test_cert(L, 2);
    lua_pushboolean(L, a && b && pki_bytes_equal(a->der, b->der));
    return 1;
}

static const luaL_Reg meta[] = { { "__eq", equal }, { NULL, NULL } };

static const struct lestL_class class = {
    .name = "lest.cert", .methods = methods, .getters = getters, .meta = meta, .close = close_cert
};

int lestL_open_cert(lua_State *L)
{
    static const luaL_Reg functions[] = { { "parse", parse },
                                          { "parse_all", parse_all },
                                          { "load", load },
                                          { "load_all", load_all },
                                          { NULL, NULL } };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
