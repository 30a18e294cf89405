/* core.ocsp: questions about certificates' revocation, and the answers, as data (RFC 6960). */
#include "pki/x509/ocsp.h"

#include "lua/cert.h"
#include "lua/pki.h"

static struct pki_bytes check_bytes(lua_State *L, int idx)
{
    struct pki_bytes bytes;
    bytes.data = (const uint8_t *)luaL_checklstring(L, idx, &bytes.len);
    return bytes;
}

/* The fields of a CertID into the table at the top. */
static void set_id(lua_State *L, const struct pki_ocsp_id *id)
{
    lestL_push_bytes(L, id->whole);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, pki_ocsp_digest_name(id->digest));
    lua_setfield(L, -2, "digest");
    lestL_push_bytes(L, id->name_hash);
    lua_setfield(L, -2, "name_hash");
    lestL_push_bytes(L, id->key_hash);
    lua_setfield(L, -2, "key_hash");
    lestL_push_serial(L, id->serial);
    lua_setfield(L, -2, "serial");
}

/* ocsp.parse_request(der) -> { certificates =, nonce =, is_signed = } */
static int parse_request(lua_State *L)
{
    struct lest_error err;
    struct pki_ocsp_request request;
    if (pki_ocsp_request_parse(check_bytes(L, 1), &request, &err))
        return lestL_fail(L, &err);
    lua_createtable(L, 0, 3);
    lua_createtable(L, (int)request.count, 0);
    for (size_t i = 0; i < request.count; i++) {
        lua_createtable(L, 0, 5);
        set_id(L, &request.ids[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "certificates");
    lestL_push_bytes(L, request.nonce);
    lua_setfield(L, -2, "nonce");
    lua_pushboolean(L, request.is_signed);
    lua_setfield(L, -2, "is_signed");
    return 1;
}

static void set_time(lua_State *L, const char *key, int64_t seconds)
{
    lua_pushinteger(L, seconds);
    lua_setfield(L, -2, key);
}

static void push_single(lua_State *L, const struct pki_ocsp_single *single)
{
    static const char *const states[] = { "good", "revoked", "unknown" };
    lua_createtable(L, 0, 10);
    set_id(L, &single->id);
    lua_pushstring(L, states[single->status.state]);
    lua_setfield(L, -2, "state");
    set_time(L, "this_update", single->this_update);
    if (single->next_update != PKI_OCSP_NEVER)
        set_time(L, "next_update", single->next_update);
    if (single->status.state != PKI_OCSP_REVOKED)
        return;
    set_time(L, "revoked_at", single->status.revoked_at);
    lua_pushstring(L, pki_crl_reason_name(single->status.reason));
    lua_setfield(L, -2, "reason");
}

/* The DER of each. */
static void push_certs(lua_State *L, struct pki_bytes certs)
{
    struct pki_der_doc doc = { .noun = "OCSP response", .malformed = LEST_E_MALFORMED };
    struct pki_der in;
    struct pki_der_item item;
    lua_newtable(L);
    pki_der_open(&in, &doc, certs.data, certs.data ? certs.len : 0);
    for (lua_Integer i = 1; in.left && pki_der_item(&in, PKI_DER_ANY, "a certificate", &item); i++) {
        lestL_push_bytes(L, item.whole);
        lua_rawseti(L, -2, i);
    }
}

/* What stands in a response that has bytes, into the table at the top. */
static bool set_basic(lua_State *L, const struct pki_ocsp_response *response, struct lest_error *err)
{
    char text[PKI_OID_TEXT_MAX];
    struct pki_der_doc doc;
    struct pki_der in;
    struct pki_ocsp_single single;
    set_time(L, "produced_at", response->produced_at);
    if (response->responder_name.data) {
        if (!lestL_push_name(L, response->responder_name, PKI_FLAW_NAME, err))
            return false;
        lua_setfield(L, -2, "responder_name");
    }
    lestL_push_hex(L, response->responder_key);
    lua_setfield(L, -2, "responder_key");
    lestL_push_bytes(L, response->nonce);
    lua_setfield(L, -2, "nonce");
    pki_oid_describe(response->algorithm, text);
    lua_pushstring(L, text);
    lua_setfield(L, -2, "signature_algorithm");
    push_certs(L, response->certs);
    lua_setfield(L, -2, "certificates");
    lua_newtable(L);
    pki_ocsp_single_open(response, &doc, &in);
    for (lua_Integer i = 1; pki_ocsp_single_next(&in, &single); i++) {
        push_single(L, &single);
        lua_rawseti(L, -2, i);
    }
    lua_setfield(L, -2, "responses");
    return true;
}

/* ocsp.parse_response(der) -> { status =, ... } */
static int parse_response(lua_State *L)
{
    struct lest_error err;
    struct pki_ocsp_response response;
    if (pki_ocsp_response_parse(check_bytes(L, 1), &response, &err))
        return lestL_fail(L, &err);
    lua_createtable(L, 0, 8);
    const char *name = pki_ocsp_failure_name(response.failure);
    if (name)
        lua_pushstring(L, name);
    else
        lua_pushfstring(L, "%d", (int)response.failure);
    lua_setfield(L, -2, "status");
    if (response.failure == PKI_OCSP_SUCCESSFUL && !set_basic(L, &response, &err))
        return lestL_fail(L, &err);
    return 1;
}

/* ocsp.hashes(ca) -> { { digest =, name_hash =, key_hash = }, ... } */
static int hashes(lua_State *L)
{
    uint8_t name_hash[EVP_MAX_MD_SIZE], key_hash[EVP_MAX_MD_SIZE];
    struct lest_error err;
    size_t len;
    struct pki_cert *ca = lestL_check_cert(L, 1);
    lua_createtable(L, PKI_DIGEST_COUNT, 0);
    for (enum pki_digest digest = PKI_SHA1; digest < PKI_DIGEST_COUNT; digest++) {
        if (pki_ocsp_hash_issuer(ca, digest, name_hash, key_hash, &len, &err))
            return lestL_fail(L, &err);
        lua_createtable(L, 0, 3);
        lua_pushstring(L, pki_ocsp_digest_name(digest));
        lua_setfield(L, -2, "digest");
        lua_pushlstring(L, (const char *)name_hash, len);
        lua_setfield(L, -2, "name_hash");
        lua_pushlstring(L, (const char *)key_hash, len);
        lua_setfield(L, -2, "key_hash");
        lua_rawseti(L, -2, (lua_Integer)digest + 1);
    }
    return 1;
}

/* ocsp.request(ca, cert) -> DER, by SHA-1, which every responder knows */
static int make_request(lua_State *L)
{
    struct lest_error err;
    struct pki_cert *ca = lestL_check_cert(L, 1), *cert = lestL_check_cert(L, 2);
    struct lest_buf *out = lestL_buf(L, PKI_OCSP_REQUEST_MAX);
    if (pki_ocsp_request_put(ca, PKI_SHA1, cert->serial, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

/* ocsp.failure("tryLater") -> DER */
static int failure(lua_State *L)
{
    int number = pki_ocsp_failure_number(luaL_checkstring(L, 1));
    luaL_argcheck(L, number > PKI_OCSP_SUCCESSFUL, 1, "the name of a failure (RFC 6960 4.2.1)");
    struct lest_buf *out = lestL_buf(L, PKI_OCSP_RESPONSE_MAX);
    pki_ocsp_put_failure((enum pki_ocsp_failure)number, out);
    return lestL_push_buf(L, out);
}

int lestL_open_ocsp(lua_State *L)
{
    static const luaL_Reg functions[] = { { "parse_request", parse_request },
                                          { "parse_response", parse_response },
                                          { "hashes", hashes },
                                          { "request", make_request },
                                          { "failure", failure },
                                          { NULL, NULL } };
    luaL_newlib(L, functions);
    lua_pushinteger(L, PKI_OCSP_REQUEST_MAX);
    lua_setfield(L, -2, "REQUEST_MAX");
    return 1;
}
