/* core.csr: requests, PKCS#10 or CRMF (class lest.csr), immutable. */
#include "lua/pki.h"
#include "pki/asn1/name.h"
#include "pki/asn1/pem.h"
#include "pki/key/signature.h"
#include "pki/x509/csr_parts.h"

static void close_csr(void *h)
{
    pki_csr_free(h);
}

static const struct lestL_class class;

static struct pki_csr *check(lua_State *L)
{
    return lestL_check_object(L, 1, &class);
}

/* csr.parse(bytes [, { key_later = }]) */
static int parse(lua_State *L)
{
    static const char *const known[] = { "key_later", NULL };
    size_t len;
    struct lest_error err;
    lestL_check_options(L, 2, known);
    enum pki_csr_how how = lestL_opt_boolean(L, 2, "key_later", false) ? PKI_CSR_KEY_LATER : PKI_CSR_KEY_NOW;
    struct pki_csr *csr = NULL;
    const char *data = luaL_checklstring(L, 1, &len);
    struct lestL_object *object = lestL_new_object(L, &class);
    enum lest_status status = pki_csr_parse(data, len, how, &csr, &err);
    object->h = csr;
    return status ? lestL_fail(L, &err) : 1;
}

/* The names to ask for in place of the certificate's: { subject =, san = }; leaves buffers on the stack. */
static enum lest_status to_change(lua_State *L, int idx, struct pki_csr_change *change,
                                  struct lest_error *err)
{
    static const char *const known[] = { "subject", "san", NULL };
    struct lestL_plan plan;
    if (lua_getfield(L, idx, "change") == LUA_TNIL)
        return LEST_OK;
    luaL_argcheck(L, lua_istable(L, -1), idx, "option 'change' is no table");
    lestL_check_options(L, -1, known);
    enum lest_status status = lestL_to_plan(L, -1, &plan, err);
    *change = (struct pki_csr_change){ plan.subject, plan.san };
    if (status == LEST_OK && !plan.subject.data && !plan.san.data)
        return luaL_error(L, "option 'change' has neither 'subject' nor 'san'");
    return status;
}

/* The parts that are wrong on purpose: { version =, spki =, attributes =, info =, signature_algorithm =,
 * signature =, sign_with = }, which is at the top. */
static struct pki_csr_raw to_raw(lua_State *L)
{
    static const char *const known[] = {
        "version", "spki", "attributes", "info", "signature_algorithm", "signature", "sign_with", NULL
    };
    luaL_argcheck(L, lua_istable(L, -1), 1, "option 'raw' is no table");
    lestL_check_options(L, -1, known);
    struct pki_csr_raw raw = {
        .version = lestL_opt_bytes(L, -1, "version"),
        .spki = lestL_opt_bytes(L, -1, "spki"),
        .attributes = lestL_opt_bytes(L, -1, "attributes"),
        .info = lestL_opt_bytes(L, -1, "info"),
        .algorithm = lestL_opt_bytes(L, -1, "signature_algorithm"),
        .signature = lestL_opt_bytes(L, -1, "signature"),
    };
    if (lua_getfield(L, -1, "sign_with") != LUA_TNIL)
        raw.sign_with = lestL_check_key(L, lua_gettop(L));
    return raw;
}

static int build_raw(lua_State *L, const struct pki_csr_plan *request, const struct pki_csr_raw *raw)
{
    struct lest_error err;
    struct lest_buf *out = lestL_buf(L, PKI_CSR_MAX);
    if (pki_csr_build_raw(request, raw, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

const char *const lestL_challenge_fields[] = {
#define X(NAME, name, field) [PKI_##NAME] = (field),
    PKI_CHALLENGES(X)
#undef X
        [PKI_CHALLENGE_COUNT] = NULL
};

static const char *const forms[] = { "pkcs10", "crmf", NULL };

/* csr.build{ form =, id =, key =, subject = | subject_der =, san = | san_der =, key_usage =, eku =,
 * extensions =, attributes =, challenge_password =, otp_challenge =, revocation_challenge =,
 * identity_linking =, change =, digest =, raw = } */
static int build(lua_State *L)
{
    static const char *const known[] = { "form",
                                         "id",
                                         "key",
                                         "subject",
                                         "subject_der",
                                         "san",
                                         "san_der",
                                         "key_usage",
                                         "eku",
                                         "extensions",
                                         "attributes",
                                         "challenge_password",
                                         "otp_challenge",
                                         "revocation_challenge",
                                         "identity_linking",
                                         "change",
                                         "digest",
                                         "raw",
                                         NULL };
    struct lest_error err;
    struct lestL_plan plan;
    struct pki_csr *csr = NULL;
    luaL_checktype(L, 1, LUA_TTABLE);
    lestL_check_options(L, 1, known);
    lua_settop(L, 1);
    lua_getfield(L, 1, "key");
    struct pki_csr_plan request = { .key = lestL_check_key(L, 2) };
    lua_getfield(L, 1, "form");
    request.form = (enum pki_csr_form)luaL_checkoption(L, 3, "pkcs10", forms);
    lua_Integer id = lestL_opt_integer(L, 1, "id", 1);
    luaL_argcheck(L, id >= 1 && id <= UINT32_MAX, 1, "'id' is no number of 1 to 4294967295");
    request.id = (uint32_t)id;
    request.digest = lestL_opt_string(L, 1, "digest", NULL);
    for (int i = 0; i < PKI_CHALLENGE_COUNT; i++)
        request.challenges[i] = lestL_opt_bytes(L, 1, lestL_challenge_fields[i]);
    if (lestL_to_plan(L, 1, &plan, &err) || lestL_to_attributes(L, 1, &request.attributes, &err) ||
        to_change(L, 1, &request.change, &err))
        return lestL_fail(L, &err);
    request.subject = plan.subject;
    request.san = plan.san;
    request.eku = plan.eku;
    request.extensions = plan.extensions;
    request.key_usage = plan.key_usage;
    if (lua_getfield(L, 1, "raw") != LUA_TNIL) {
        luaL_argcheck(L, request.form == PKI_CSR_PKCS10, 1, "'raw' is of PKCS#10 alone");
        struct pki_csr_raw raw = to_raw(L);
        return build_raw(L, &request, &raw);
    }
    struct lestL_object *object = lestL_new_object(L, &class);
    enum lest_status status = pki_csr_build(&request, &csr, &err);
    object->h = csr;
    return status ? lestL_fail(L, &err) : 1;
}

/* csr.extensions{ subject =, san =, key_usage =, eku =, extensions =, ... }: what such a request asks for */
static int planned_extensions(lua_State *L)
{
    static const char *const known[] = { "subject",   "subject_der", "san",        "san_der",
                                         "key_usage", "eku",         "extensions", NULL };
    struct lest_error err;
    struct lestL_plan plan;
    luaL_checktype(L, 1, LUA_TTABLE);
    lestL_check_options(L, 1, known);
    lua_settop(L, 1);
    if (lestL_to_plan(L, 1, &plan, &err))
        return lestL_fail(L, &err);
    const struct pki_csr_plan request = { .subject = plan.subject,
                                          .san = plan.san,
                                          .eku = plan.eku,
                                          .extensions = plan.extensions,
                                          .key_usage = plan.key_usage };
    struct lest_buf *out = lestL_buf(L, PKI_CSR_MAX);
    pki_csr_put_extensions(&request, out);
    if (lest_buf_status(out, &err))
        return lestL_fail(L, &err);
    lestL_push_extensions(L, (struct pki_bytes){ out->data, out->len });
    return 1;
}

/* c:verify([{ allow_weak = }]) */
static int verify(lua_State *L)
{
    static const char *const known[] = { "allow_weak", NULL };
    struct lest_error err;
    struct pki_csr *csr = check(L);
    lestL_check_options(L, 2, known);
    if (pki_csr_verify(csr, lestL_opt_boolean(L, 2, "allow_weak", false), &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int der(lua_State *L)
{
    lestL_push_bytes(L, check(L)->der);
    return 1;
}

static int pem(lua_State *L)
{
    struct pki_csr *csr = check(L);
    struct lest_buf *out = lestL_buf(L, 2 * PKI_CSR_MAX);
    pki_pem_put(out, "CERTIFICATE REQUEST", csr->der.data, csr->der.len);
    return lestL_push_buf(L, out);
}

static int get_subject(lua_State *L)
{
    struct lest_error err;
    return lestL_push_name(L, check(L)->subject, 0, &err) ? 1 : luaL_error(L, "%s", err.message);
}

static int get_subject_der(lua_State *L)
{
    lestL_push_bytes(L, check(L)->subject);
    return 1;
}

static int get_san(lua_State *L)
{
    struct lest_error err;
    return lestL_push_san(L, check(L)->san, LESTL_SAN_ALL, &err) ? 1 : luaL_error(L, "%s", err.message);
}

static int get_san_der(lua_State *L)
{
    lestL_push_bytes(L, check(L)->san);
    return 1;
}

static int get_public_key(lua_State *L)
{
    struct pki_csr *csr = check(L);
    char type[PKI_KEY_TYPE_MAX];
    int security_bits;
    pki_csr_describe_key(csr, type, &security_bits);
    lestL_push_described_key(L, csr->spki, type, security_bits);
    return 1;
}

static int get_key_type(lua_State *L)
{
    char type[PKI_KEY_TYPE_MAX];
    pki_csr_key_type(check(L), type);
    lua_pushstring(L, type);
    return 1;
}

static int get_spki(lua_State *L)
{
    lestL_push_bytes(L, check(L)->spki);
    return 1;
}

static int get_key_hash(lua_State *L)
{
    lestL_push_key_hash(L, check(L)->spki);
    return 1;
}

static int get_key_usage(lua_State *L)
{
    lestL_push_key_usage(L, check(L)->key_usage);
    return 1;
}

static int get_eku(lua_State *L)
{
    lestL_push_eku(L, check(L)->eku);
    return 1;
}

static int get_extensions(lua_State *L)
{
    lestL_push_extensions(L, check(L)->extensions);
    return 1;
}

static int get_attributes(lua_State *L)
{
    struct pki_csr *csr = check(L);
    struct pki_der_doc doc = { .noun = "CSR", .malformed = LEST_E_CSR_MALFORMED };
    struct pki_attr attribute;
    struct pki_der in;
    pki_der_open(&in, &doc, csr->attributes.data, csr->attributes.len);
    lua_newtable(L);
    for (lua_Integer i = 1; in.left && pki_csr_next_attribute(csr, &in, &attribute); i++) {
        lestL_push_attr(L, &attribute);
        lua_seti(L, -2, i);
    }
    return 1;
}

static int push_challenge(lua_State *L, enum pki_challenge_kind kind)
{
    lestL_push_bytes(L, check(L)->challenges[kind].text);
    return 1;
}

static int get_challenge_password(lua_State *L)
{
    return push_challenge(L, PKI_CHALLENGE_PASSWORD);
}

static int get_otp_challenge(lua_State *L)
{
    return push_challenge(L, PKI_OTP_CHALLENGE);
}

static int get_revocation_challenge(lua_State *L)
{
    return push_challenge(L, PKI_REVOCATION_CHALLENGE);
}

static int get_identity_linking(lua_State *L)
{
    return push_challenge(L, PKI_EST_IDENTITY_LINKING);
}

/* { subject =, san = } or nil */
static int get_change(lua_State *L)
{
    const struct pki_csr_change *change = &check(L)->change;
    struct lest_error err;
    if (!change->subject.data && !change->san.data)
        return 0;
    lua_createtable(L, 0, 2);
    if (!lestL_push_name(L, change->subject.data ? change->subject : pki_name_empty, 0, &err))
        return luaL_error(L, "%s", err.message);
    lua_setfield(L, -2, "subject");
    if (!lestL_push_san(L, change->san, LESTL_SAN_ALL, &err))
        return luaL_error(L, "%s", err.message);
    lua_setfield(L, -2, "san");
    return 1;
}

static int get_signature_algorithm(lua_State *L)
{
    char name[PKI_OID_TEXT_MAX];
    if (!check(L)->algorithm.data)
        return 0;
    pki_signature_name(check(L)->algorithm, name);
    lua_pushstring(L, name);
    return 1;
}

static int get_form(lua_State *L)
{
    lua_pushstring(L, forms[check(L)->form]);
    return 1;
}

/* Of CRMF: its certReqId. */
static int get_request_id(lua_State *L)
{
    const struct pki_csr *csr = check(L);
    if (csr->form != PKI_CSR_CRMF)
        return 0;
    lua_pushinteger(L, csr->id);
    return 1;
}

static int get_version(lua_State *L)
{
    lua_pushinteger(L, check(L)->version);
    return 1;
}

static int get_flaws(lua_State *L)
{
    lestL_push_flaws(L, check(L)->flaws);
    return 1;
}

static int equal(lua_State *L)
{
    struct pki_csr *a = lestL_test_object(L, 1, &class), *b = lestL_test_object(L, 2, &class);
    lua_pushboolean(L, a && b && pki_bytes_equal(a->der, b->der));
    return 1;
}

/* csr:masked(field, ...): the bytes, with a star for each character of these challenges: the signature does
 * not fit */
static int masked(lua_State *L)
{
    const struct pki_csr *csr = check(L);
    bool hidden[PKI_CHALLENGE_COUNT] = { false };
    luaL_Buffer b;
    for (int arg = lua_gettop(L); arg > 1; arg--)
        hidden[luaL_checkoption(L, arg, NULL, lestL_challenge_fields)] = true;
    char *copy = luaL_buffinitsize(L, &b, csr->der.len);
    memcpy(copy, csr->der.data, csr->der.len);
    for (int i = 0; i < PKI_CHALLENGE_COUNT; i++)
        if (hidden[i])
            pki_challenge_mask(&csr->challenges[i], csr->der, copy);
    luaL_pushresultsize(&b, csr->der.len);
    return 1;
}

static const luaL_Reg methods[] = {
    { "verify", verify }, { "der", der }, { "masked", masked }, { "pem", pem }, { NULL, NULL }
};
static const luaL_Reg getters[] = { { "subject", get_subject },
                                    { "subject_der", get_subject_der },
                                    { "san", get_san },
                                    { "san_der", get_san_der },
                                    { "public_key", get_public_key },
                                    { "key_type", get_key_type },
                                    { "spki", get_spki },
                                    { "key_hash", get_key_hash },
                                    { "key_usage", get_key_usage },
                                    { "eku", get_eku },
                                    { "extensions", get_extensions },
                                    { "attributes", get_attributes },
                                    { "challenge_password", get_challenge_password },
                                    { "otp_challenge", get_otp_challenge },
                                    { "revocation_challenge", get_revocation_challenge },
                                    { "identity_linking", get_identity_linking },
                                    { "change", get_change },
                                    { "signature_algorithm", get_signature_algorithm },
                                    { "form", get_form },
                                    { "request_id", get_request_id },
                                    { "version", get_version },
                                    { "flaws", get_flaws },
                                    { NULL, NULL } };
static const luaL_Reg meta[] = { { "__eq", equal }, { NULL, NULL } };

static const struct lestL_class class = {
    .name = "lest.csr", .methods = methods, .getters = getters, .meta = meta, .close = close_csr
};

int lestL_open_csr(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "parse", parse }, { "build", build }, { "extensions", planned_extensions }, { NULL, NULL }
    };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
