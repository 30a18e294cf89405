/* core.issuer: a CA certificate with its key (class lest.issuer). */
#include "pki/x509/issuer.h"

#include "lua/cert.h"
#include "lua/pki.h"
#include "lua/sealed.h"

#include <string.h>

static void close_issuer(void *h)
{
    pki_issuer_free(h);
}

static const struct lestL_class class;

static struct pki_key *key_option(lua_State *L)
{
    lua_getfield(L, 1, "key");
    return lestL_check_key(L, -1);
}

/* issuer.new{ cert =, key = [, digest =] } */
static int new_issuer(lua_State *L)
{
    static const char *const known[] = { "cert", "key", "digest", NULL };
    struct lest_error err;
    struct pki_issuer *issuer = NULL;
    luaL_checktype(L, 1, LUA_TTABLE);
    lestL_check_options(L, 1, known);
    const char *digest = lestL_opt_string(L, 1, "digest", NULL);
    struct pki_key *key = key_option(L);
    lua_getfield(L, 1, "cert");
    struct pki_cert *cert = lestL_check_cert(L, -1);
    struct lestL_object *object = lestL_new_object(L, &class);
    enum lest_status status = pki_issuer_new(cert, key, digest, &issuer, &err);
    object->h = issuer;
    return status ? lestL_fail(L, &err) : 1;
}

static int64_t time_option(lua_State *L, int idx, const char *key)
{
    if (lua_getfield(L, idx, key) == LUA_TNIL)
        luaL_error(L, "option '%s' is missing", key);
    lua_pop(L, 1);
    return lestL_opt_integer(L, idx, key, 0);
}

/* issuer.root{ key =, subject = | subject_der =, not_before =, not_after = [, path_len =] [, digest =] }
 * -> lest.cert */
static int root(lua_State *L)
{
    static const char *const known[] = { "key",       "subject",  "subject_der", "not_before",
                                         "not_after", "path_len", "digest",      NULL };
    struct lest_error err;
    struct lestL_plan plan;
    luaL_checktype(L, 1, LUA_TTABLE);
    lestL_check_options(L, 1, known);
    lua_settop(L, 1);
    struct pki_key *key = key_option(L);
    const char *digest = lestL_opt_string(L, 1, "digest", NULL);
    lua_Integer path_len = lestL_opt_integer(L, 1, "path_len", -1);
    luaL_argcheck(L, path_len >= -1 && path_len <= 100, 1, "path_len is between 0 and 100");
    int64_t not_before = time_option(L, 1, "not_before"), not_after = time_option(L, 1, "not_after");
    if (lestL_to_plan(L, 1, &plan, &err))
        return lestL_fail(L, &err);
    struct lest_buf *out = lestL_buf(L, PKI_CERT_MAX);
    struct pki_cert *cert = NULL;
    if (pki_issuer_root(key, digest, plan.subject, not_before, not_after, (int)path_len, out, &err) ||
        lest_buf_status(out, &err))
        return lestL_fail(L, &err);
    struct pki_certs *anchor = lestL_certs(L);
    if (pki_cert_parse(out->data, out->len, &cert, &err))
        return lestL_fail(L, &err);
    if (!pki_certs_add(anchor, cert))
        return lestL_no_memory(L);
    lestL_push_cert(L, cert);
    return 1;
}

/* A list of strings, which the table keeps alive; it is left on the stack. */
static const struct pki_bytes *url_list(lua_State *L, const char *key, size_t *count)
{
    *count = 0;
    if (lua_getfield(L, 1, key) == LUA_TNIL)
        return NULL;
    const struct pki_bytes *urls = lestL_to_strings(L, -1, key, count);
    if (*count > PKI_ISSUER_URLS_MAX)
        luaL_error(L, "option '%s' has more than %d entries", key, PKI_ISSUER_URLS_MAX);
    return urls;
}

static struct pki_bytes serial_option(lua_State *L, uint8_t storage[PKI_SERIAL_TEXT_MAX / 2 + 1])
{
    struct pki_bytes text = lestL_opt_bytes(L, 1, "serial"), serial = { NULL, 0 };
    bool fits = text.len <= 2 * (PKI_SERIAL_MAX + 1);
    if (text.data && !(fits && pki_serial_parse((const char *)text.data, text.len, storage, &serial)))
        luaL_error(L, "a serial number is hex of whole bytes, at most %d", PKI_SERIAL_MAX);
    return serial;
}

/* i:issue{ public_key =, subject = | subject_der =, san = | san_der =, serial =, not_before =, not_after =,
 * key_usage =, eku =, crl_urls =, ocsp_urls =, ca_issuer_urls =, extensions = } -> DER */
static int issue(lua_State *L)
{
    static const char *const known[] = { "public_key",     "subject",    "subject_der", "san",
                                         "san_der",        "serial",     "not_before",  "not_after",
                                         "key_usage",      "eku",        "crl_urls",    "ocsp_urls",
                                         "ca_issuer_urls", "extensions", NULL };
    struct lest_error err;
    struct lestL_plan plan;
    uint8_t serial[PKI_SERIAL_TEXT_MAX / 2 + 1];
    struct pki_issuer *issuer = lestL_check_object(L, 1, &class);
    luaL_checktype(L, 2, LUA_TTABLE);
    lestL_check_options(L, 2, known);
    lua_settop(L, 2);
    /* The options are at 1 from here on; the issuer stays on the stack. */
    lua_insert(L, 1);
    struct pki_issue certificate = { .spki = lestL_opt_bytes(L, 1, "public_key"),
                                     .not_before = time_option(L, 1, "not_before"),
                                     .not_after = time_option(L, 1, "not_after") };
    luaL_argcheck(L, certificate.spki.data, 1, "option 'public_key' is missing");
    certificate.serial = serial_option(L, serial);
    certificate.crl_urls = url_list(L, "crl_urls", &certificate.crl_url_count);
    certificate.ocsp_urls = url_list(L, "ocsp_urls", &certificate.ocsp_url_count);
    certificate.ca_issuer_urls = url_list(L, "ca_issuer_urls", &certificate.ca_issuer_url_count);
    if (lestL_to_plan(L, 1, &plan, &err))
        return lestL_fail(L, &err);
    certificate.subject = plan.subject;
    certificate.san = plan.san;
    certificate.eku = plan.eku;
    certificate.extensions = plan.extensions;
    certificate.key_usage = plan.key_usage;
    struct lest_buf *out = lestL_buf(L, PKI_CERT_MAX);
    if (pki_issuer_issue(issuer, &certificate, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

/* i:link(cert, { not_before =, not_after = }) -> lest.cert */
static int make_link(lua_State *L)
{
    static const char *const known[] = { "not_before", "not_after", NULL };
    struct lest_error err;
    struct pki_cert *cert = NULL;
    struct pki_issuer *issuer = lestL_check_object(L, 1, &class);
    struct pki_cert *other = lestL_check_cert(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    lestL_check_options(L, 3, known);
    int64_t not_before = time_option(L, 3, "not_before"), not_after = time_option(L, 3, "not_after");
    struct lest_buf *out = lestL_buf(L, PKI_CERT_MAX);
    struct pki_certs *anchor = lestL_certs(L);
    if (pki_issuer_link(issuer, other, not_before, not_after, out, &err) || lest_buf_status(out, &err) ||
        pki_cert_parse(out->data, out->len, &cert, &err))
        return lestL_fail(L, &err);
    if (!pki_certs_add(anchor, cert))
        return lestL_no_memory(L);
    lestL_push_cert(L, cert);
    return 1;
}

/* i:sign_crl(draft, { number =, this_update =, next_update = }) -> lest.sealed, of its DER */
static int sign_crl(lua_State *L)
{
    static const char *const known[] = { "number", "this_update", "next_update", NULL };
    struct lest_error err;
    struct pki_issuer *issuer = lestL_check_object(L, 1, &class);
    const struct lest_buf *entries = lestL_check_crl_draft(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    lestL_check_options(L, 3, known);
    lua_settop(L, 3);
    struct pki_crl_plan plan = { .number = time_option(L, 3, "number"),
                                 .this_update = time_option(L, 3, "this_update"),
                                 .next_update = time_option(L, 3, "next_update"),
                                 .entries = { entries->data, entries->len } };
    struct lest_buf *out = lestL_buf(L, PKI_CRL_MAX);
    if (pki_crl_build(issuer, &plan, out, &err))
        return lestL_fail(L, &err);
    return lestL_seal(L, "lest-crl", out);
}

static int get_cert(lua_State *L)
{
    lestL_push_cert(L, pki_issuer_get0_cert(lestL_check_object(L, 1, &class)));
    return 1;
}

static const luaL_Reg methods[] = {
    { "issue", issue }, { "sign_crl", sign_crl }, { "link", make_link }, { NULL, NULL }
};
static const luaL_Reg getters[] = { { "cert", get_cert }, { NULL, NULL } };

static const struct lestL_class class = {
    .name = "lest.issuer", .methods = methods, .getters = getters, .close = close_issuer
};

int lestL_open_issuer(lua_State *L)
{
    static const luaL_Reg functions[] = { { "new", new_issuer }, { "root", root }, { NULL, NULL } };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
