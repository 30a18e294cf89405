/* core.cmc: messages of CMC (class lest.cmc), immutable: PKIData and PKIResponse (RFC 5272). */
#include "pki/cms/cmc.h"
#include "lua/cert.h"
#include "lua/cmc_value.h"
#include "lua/pki.h"

#include <stdlib.h>
#include <string.h>

static void close_cmc(void *h)
{
    pki_cmc_free(h);
    free(h);
}

static const struct lestL_class class;

static struct pki_cmc *check(lua_State *L)
{
    return lestL_check_object(L, 1, &class);
}

/* cmc.parse(bytes) */
static int parse(lua_State *L)
{
    size_t len;
    struct lest_error err;
    const char *data = luaL_checklstring(L, 1, &len);
    struct lestL_object *object = lestL_new_object(L, &class);
    struct pki_cmc *cmc = calloc(1, sizeof *cmc);
    if (!cmc)
        return lestL_no_memory(L);
    object->h = cmc;
    return pki_cmc_parse(data, len, cmc, &err) ? lestL_fail(L, &err) : 1;
}

/* The run of elements in the field `key` of the plan, made by put(L, number, out) for each of its list; the
 * buffer stays on the stack. */
static struct pki_bytes to_run(lua_State *L, const char *key,
                               enum lest_status (*put)(lua_State *L, int i, struct lest_buf *out,
                                                       struct lest_error *err),
                               enum lest_status *status, struct lest_error *err)
{
    struct lest_buf *out = lestL_buf(L, PKI_CMC_MAX);
    if (lua_getfield(L, 1, key) != LUA_TNIL) {
        luaL_argcheck(L, lua_istable(L, -1), 1, key);
        lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
        for (lua_Integer i = 1; i <= count && !*status; i++) {
            if (lua_rawgeti(L, -1, i) != LUA_TTABLE)
                luaL_error(L, "entry %d of '%s' is a %s, not a table", (int)i, key, luaL_typename(L, -1));
            *status = put(L, (int)i, out, err);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    if (!*status)
        *status = lest_buf_status(out, err);
    return (struct pki_bytes){ out->data, out->len };
}

static uint32_t check_id(lua_State *L, int i)
{
    lua_Integer id = lestL_opt_integer(L, -1, "id", 0);
    if (id < 1 || id > UINT32_MAX)
        luaL_error(L, "entry %d has no 'id' of 1 to 4294967295", i);
    return (uint32_t)id;
}

static enum lest_status put_control(lua_State *L, int i, struct lest_buf *out, struct lest_error *err)
{
    uint32_t id = check_id(L, i);
    return lestL_put_cmc_control(L, id, out, err);
}

/* The id that a CertReqMsg has, which is that of its body part. */
static bool read_crmf_id(struct pki_der in, uint32_t *id)
{
    struct pki_der info;
    return pki_der_read(&in, PKI_DER_SEQUENCE, "the request info", &info) && pki_cmc_id(&info, false, id);
}

/* { id =, csr = DER }, or { id =, crmf = DER } */
static enum lest_status put_request(lua_State *L, int i, struct lest_buf *out, struct lest_error *err)
{
    static const char *const known[] = { "id", "csr", "crmf", NULL };
    struct pki_der_doc doc = { .noun = "CSR", .malformed = LEST_E_CSR_MALFORMED, .err = err };
    struct pki_der in, body;
    uint32_t own;
    lestL_check_options(L, -1, known);
    uint32_t id = check_id(L, i);
    struct pki_bytes csr = lestL_opt_bytes(L, -1, "csr"), crmf = lestL_opt_bytes(L, -1, "crmf");
    struct pki_bytes der = crmf.data ? crmf : csr;
    pki_der_open(&in, &doc, der.data, der.data ? der.len : 0);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the request", &body) || !pki_der_end(&in, "the request") ||
        (crmf.data && !read_crmf_id(body, &own)))
        return doc.status;
    if (crmf.data && own != id)
        luaL_error(L, "entry %d has another 'id' than its request", i);
    if (crmf.data)
        pki_cmc_put_crmf(out, crmf);
    else
        pki_cmc_put_request(out, id, csr);
    return LEST_OK;
}

/* { id =, der = } of a message within */
static enum lest_status put_content(lua_State *L, int i, struct lest_buf *out, struct lest_error *err)
{
    static const char *const known[] = { "id", "der", NULL };
    struct pki_der_doc doc = { .noun = "CMC", .malformed = LEST_E_CMC_MALFORMED, .err = err };
    struct pki_der in;
    lestL_check_options(L, -1, known);
    uint32_t id = check_id(L, i);
    struct pki_bytes message = lestL_opt_bytes(L, -1, "der");
    pki_der_open(&in, &doc, message.data, message.data ? message.len : 0);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "a message within", NULL) ||
        !pki_der_end(&in, "a message within"))
        return doc.status;
    pki_cmc_put_content(out, id, message);
    return LEST_OK;
}

static const char *const kinds[] = { "request", "response", NULL };

/* cmc.request_sequence{ { id =, csr = }, ... } -> the DER that an identity proof is over (RFC 5272 6.2.1) */
static int request_sequence(lua_State *L)
{
    struct lest_error err;
    enum lest_status status = LEST_OK;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_newtable(L);
    lua_insert(L, 1);
    lua_setfield(L, 1, "requests");
    struct pki_bytes run = to_run(L, "requests", put_request, &status, &err);
    if (status)
        return lestL_fail(L, &err);
    struct lest_buf *out = lestL_buf(L, PKI_CMC_MAX);
    pki_der_put(out, PKI_DER_SEQUENCE, run.data, run.len);
    return lestL_push_buf(L, out);
}

/* cmc.content{ kind =, controls =, requests =, contents = } -> the DER of PKIData or PKIResponse, which is to
 * be signed */
static int content(lua_State *L)
{
    static const char *const known[] = { "kind", "controls", "requests", "contents", NULL };
    struct lest_error err;
    enum lest_status status = LEST_OK;
    luaL_checktype(L, 1, LUA_TTABLE);
    lestL_check_options(L, 1, known);
    lua_settop(L, 1);
    lua_getfield(L, 1, "kind");
    struct pki_cmc_plan plan = { .is_response = luaL_checkoption(L, 2, NULL, kinds) == 1 };
    plan.controls = to_run(L, "controls", put_control, &status, &err);
    plan.requests = to_run(L, "requests", put_request, &status, &err);
    plan.contents = to_run(L, "contents", put_content, &status, &err);
    if (status)
        return lestL_fail(L, &err);
    struct lest_buf *out = lestL_buf(L, PKI_CMC_MAX);
    pki_cmc_put(&plan, out);
    return lestL_push_buf(L, out);
}

/* The DER of the list of certificates or CRLs in a field of the plan, at most max. */
static size_t to_list(lua_State *L, const char *key, bool is_crl, struct pki_bytes *list, size_t max)
{
    size_t count = 0;
    if (lua_getfield(L, 1, key) != LUA_TNIL) {
        luaL_checktype(L, -1, LUA_TTABLE);
        count = lua_rawlen(L, -1);
        luaL_argcheck(L, count <= max, 1, "too many for one message");
        for (size_t i = 0; i < count; i++) {
            lua_rawgeti(L, -1, (lua_Integer)i + 1);
            struct pki_cert *cert = is_crl ? NULL : lestL_test_cert(L, -1);
            struct pki_crl *crl = is_crl ? lestL_test_crl(L, -1) : NULL;
            if (!cert && !crl)
                luaL_error(L, "entry %d of '%s' is a %s", (int)i + 1, key, luaL_typename(L, -1));
            list[i] = cert ? cert->der : crl->der;
            lua_pop(L, 1);
        }
    }
    return count; /* the list stays on the stack, and keeps them alive */
}

/* cmc.sign{ kind =, content =, key =, cert = | key_id =, certificates =, crls = } -> DER of the message */
static int sign(lua_State *L)
{
    static const char *const known[] = { "kind",   "content",      "key",  "cert",
                                         "key_id", "certificates", "crls", NULL };
    struct lest_error err;
    struct pki_bytes certs[PKI_PKCS7_CERTS_MAX], crls[PKI_PKCS7_CRLS_MAX];
    luaL_checktype(L, 1, LUA_TTABLE);
    lestL_check_options(L, 1, known);
    lua_settop(L, 1);
    lua_getfield(L, 1, "kind");
    lua_getfield(L, 1, "key");
    lua_getfield(L, 1, "cert");
    struct pki_signed_plan plan = {
        .content_type = pki_cmc_type(luaL_checkoption(L, 2, NULL, kinds) == 1),
        .content = lestL_opt_bytes(L, 1, "content"),
        .key = lestL_check_key(L, 3),
        .cert = lua_isnil(L, 4) ? NULL : lestL_check_cert(L, 4),
        .key_id = lestL_opt_bytes(L, 1, "key_id"),
        .certs = certs,
        .crls = crls,
    };
    luaL_argcheck(L, plan.content.data, 1, "there is no 'content'");
    luaL_argcheck(L, (plan.cert != NULL) != (plan.key_id.data != NULL), 1, "either 'cert' or 'key_id'");
    plan.cert_count = to_list(L, "certificates", false, certs, PKI_PKCS7_CERTS_MAX);
    plan.crl_count = to_list(L, "crls", true, crls, PKI_PKCS7_CRLS_MAX);
    struct lest_buf *out = lestL_buf(L, PKI_PKCS7_MAX);
    if (pki_signed_build(&plan, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

/* m:verify(spki): whether the holder of this key has signed the message */
static int verify(lua_State *L)
{
    struct lest_error err;
    struct pki_cmc *cmc = check(L);
    struct pki_bytes spki;
    spki.data = (const uint8_t *)luaL_checklstring(L, 2, &spki.len);
    if (cmc->message.signers == 0) {
        lest_error_set(&err, LEST_E_CMC_SIGNATURE, "CMC: the message is not signed");
        return lestL_fail(L, &err);
    }
    if (pki_signed_verify(&cmc->message, &cmc->signer, spki, &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int der(lua_State *L)
{
    struct pki_cmc *cmc = check(L);
    lestL_push_bytes(L, (struct pki_bytes){ cmc->message.der.data, cmc->message.der.len });
    return 1;
}

static int get_kind(lua_State *L)
{
    lua_pushstring(L, kinds[check(L)->is_response]);
    return 1;
}

static int get_content(lua_State *L)
{
    lestL_push_bytes(L, check(L)->message.content);
    return 1;
}

static int get_request_sequence(lua_State *L)
{
    lestL_push_bytes(L, check(L)->request_sequence);
    return 1;
}

static int get_certificates(lua_State *L)
{
    lestL_push_certs(L, &check(L)->message.certs, 0);
    return 1;
}

static int get_crls(lua_State *L)
{
    const struct pki_pkcs7 *message = &check(L)->message;
    lua_createtable(L, (int)message->crl_count, 0);
    for (size_t i = 0; i < message->crl_count; i++) {
        lestL_push_crl(L, message->crls[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* { key_id = } or { issuer =, serial = }; nil where nobody signed */
static int get_signer(lua_State *L)
{
    const struct pki_cmc *cmc = check(L);
    struct lest_error err;
    if (cmc->message.signers == 0)
        return 0;
    lua_createtable(L, 0, 2);
    lestL_push_bytes(L, cmc->signer.key_id);
    lua_setfield(L, -2, "key_id");
    if (cmc->signer.serial.data) {
        lestL_push_serial(L, cmc->signer.serial);
        lua_setfield(L, -2, "serial");
        if (!lestL_push_name(L, cmc->signer.issuer, PKI_CERT_FLAWS, &err))
            return luaL_error(L, "%s", err.message);
        lua_setfield(L, -2, "issuer");
    }
    return 1;
}

/* The certificate of the signer among those that came along; nil where there is none. */
static int get_signer_certificate(lua_State *L)
{
    const struct pki_cmc *cmc = check(L);
    for (size_t i = 0; cmc->message.signers && i < cmc->message.certs.count; i++)
        if (pki_signed_is_by(&cmc->signer, cmc->message.certs.list[i])) {
            lestL_push_cert(L, cmc->message.certs.list[i]);
            return 1;
        }
    return 0;
}

static int get_controls(lua_State *L)
{
    const struct pki_cmc *cmc = check(L);
    lua_createtable(L, (int)cmc->control_count, 0);
    for (size_t i = 0; i < cmc->control_count; i++) {
        lestL_push_cmc_control(L, &cmc->controls[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* A CertReqMsg, which stands under another tag in the message, as one by itself. */
static void push_request(lua_State *L, const struct pki_cmc_request *request)
{
    luaL_Buffer b;
    if (request->form != PKI_CMC_CRM) {
        lestL_push_bytes(L, request->der);
        return;
    }
    char *copy = luaL_buffinitsize(L, &b, request->der.len);
    memcpy(copy, request->der.data, request->der.len);
    copy[0] = PKI_DER_SEQUENCE;
    luaL_pushresultsize(&b, request->der.len);
}

/* { { id =, form = "tcr" | "crm" | "orm", der =, oid = }, ... } */
static int get_requests(lua_State *L)
{
    static const char *const forms[] = { "tcr", "crm", "orm" };
    const struct pki_cmc *cmc = check(L);
    char text[PKI_OID_TEXT_MAX];
    lua_createtable(L, (int)cmc->request_count, 0);
    for (size_t i = 0; i < cmc->request_count; i++) {
        const struct pki_cmc_request *request = &cmc->requests[i];
        lua_createtable(L, 0, 4);
        lua_pushinteger(L, request->id);
        lua_setfield(L, -2, "id");
        lua_pushstring(L, forms[request->form]);
        lua_setfield(L, -2, "form");
        push_request(L, request);
        lua_setfield(L, -2, "der");
        if (request->oid.data) {
            pki_oid_text(request->oid, text);
            lua_pushstring(L, text);
            lua_setfield(L, -2, "oid");
        }
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int get_contents(lua_State *L)
{
    const struct pki_cmc *cmc = check(L);
    lua_createtable(L, (int)cmc->content_count, 0);
    for (size_t i = 0; i < cmc->content_count; i++) {
        lua_createtable(L, 0, 2);
        lua_pushinteger(L, cmc->contents[i].id);
        lua_setfield(L, -2, "id");
        lestL_push_bytes(L, cmc->contents[i].der);
        lua_setfield(L, -2, "der");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static const luaL_Reg methods[] = { { "verify", verify }, { "der", der }, { NULL, NULL } };
static const luaL_Reg getters[] = { { "kind", get_kind },
                                    { "content", get_content },
                                    { "request_sequence", get_request_sequence },
                                    { "certificates", get_certificates },
                                    { "crls", get_crls },
                                    { "signer", get_signer },
                                    { "signer_certificate", get_signer_certificate },
                                    { "controls", get_controls },
                                    { "requests", get_requests },
                                    { "contents", get_contents },
                                    { NULL, NULL } };

static const struct lestL_class class = {
    .name = "lest.cmc", .methods = methods, .getters = getters, .close = close_cmc
};

int lestL_open_cmc(lua_State *L)
{
    static const luaL_Reg functions[] = { { "parse", parse },
                                          { "request_sequence", request_sequence },
                                          { "content", content },
                                          { "sign", sign },
                                          { "witness", lestL_cmc_witness },
                                          { "read_witness", lestL_cmc_read_witness },
                                          { NULL, NULL } };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
