/* core.envelope: a private key that is encrypted for one recipient (RFC 7030 4.4). */
#include "pki/cms/envelope.h"
#include "lua/cert.h"
#include "lua/pki.h"
#include "pki/cms/capabilities.h"

#include <string.h>

/* { cert = lest.cert } or { shared =, id = } of the table at idx, which keeps them alive. */
static struct pki_recipient to_recipient(lua_State *L, int idx)
{
    struct pki_recipient to = { .shared = lestL_opt_bytes(L, idx, "shared"),
                                .id = lestL_opt_bytes(L, idx, "id") };
    luaL_argcheck(L, !to.shared.data == !to.id.data, idx, "'shared' and 'id' go together");
    luaL_argcheck(L, to.id.len <= PKI_ENVELOPE_ID_MAX, idx, "'id' has more than 256 bytes");
    return to;
}

static struct pki_key *key_field(lua_State *L, int idx, const char *field)
{
    lua_getfield(L, idx, field);
    struct pki_key *key = lestL_check_key(L, lua_gettop(L));
    lua_pop(L, 1);
    return key;
}

static struct pki_bytes cert_field(lua_State *L, int idx, const char *field)
{
    lua_getfield(L, idx, field);
    struct pki_cert *cert = lestL_check_cert(L, lua_gettop(L));
    lua_pop(L, 1);
    return cert->der;
}

static bool has(lua_State *L, int idx, const char *field)
{
    bool there = lua_getfield(L, idx, field) != LUA_TNIL;
    lua_pop(L, 1);
    return there;
}

/* envelope.seal{ key =, signer_cert =, signer_key =, cert = | shared =, id =, capabilities = DER } -> DER */
static int seal(lua_State *L)
{
    static const char *const known[] = { "key",    "signer_cert", "signer_key",   "cert",
                                         "shared", "id",          "capabilities", NULL };
    struct lest_error err;
    unsigned can;
    luaL_checktype(L, 1, LUA_TTABLE);
    lestL_check_options(L, 1, known);
    struct pki_key *key = key_field(L, 1, "key"), *signer = key_field(L, 1, "signer_key");
    struct pki_bytes signer_cert = cert_field(L, 1, "signer_cert");
    struct pki_recipient to = to_recipient(L, 1);
    luaL_argcheck(L, has(L, 1, "cert") != (to.shared.data != NULL), 1, "either 'cert' or 'shared'");
    if (!to.shared.data)
        to.cert = cert_field(L, 1, "cert");
    struct pki_bytes capabilities = lestL_opt_bytes(L, 1, "capabilities");
    luaL_argcheck(L, capabilities.data, 1, "option 'capabilities' is missing");
    struct lest_buf *out = lestL_buf(L, PKI_ENVELOPE_MAX);
    if (pki_capabilities_read(capabilities, &can, &err) ||
        pki_envelope_seal(key, signer_cert, signer, &to, can, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

/* The certificates of a run of DER elements. */
static enum lest_status push_signers(lua_State *L, const struct lest_buf *run, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "certificates", .malformed = LEST_E_CERT_MALFORMED, .err = err };
    struct pki_certs *certs = lestL_certs(L);
    struct pki_der in;
    struct pki_der_item item;
    pki_der_open(&in, &doc, run->data, run->len);
    while (in.left) {
        struct pki_cert *cert = NULL;
        if (!pki_der_item(&in, PKI_DER_SEQUENCE, "a certificate", &item))
            return doc.status;
        enum lest_status status = pki_cert_parse(item.whole.data, item.whole.len, &cert, err);
        if (status)
            return status;
        if (!pki_certs_add(certs, cert))
            return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    lestL_push_certs(L, certs, 0);
    lua_remove(L, -2);
    return LEST_OK;
}

/* envelope.open(bytes, { key = | shared =, id = }) -> key, { cert, ... } the signer's first | nil, err */
static int open_envelope(lua_State *L)
{
    static const char *const known[] = { "key", "shared", "id", NULL };
    struct lest_error err;
    size_t len;
    struct pki_key *made = NULL;
    const char *data = luaL_checklstring(L, 1, &len);
    luaL_checktype(L, 2, LUA_TTABLE);
    lestL_check_options(L, 2, known);
    struct pki_recipient to = to_recipient(L, 2);
    luaL_argcheck(L, has(L, 2, "key") != (to.shared.data != NULL), 2, "either 'key' or 'shared'");
    struct pki_key *own = to.shared.data ? NULL : key_field(L, 2, "key");
    struct lest_buf *signers = lestL_buf(L, PKI_ENVELOPE_MAX);
    if (pki_envelope_open(data, len, own, &to, &made, signers, &err))
        return lestL_fail(L, &err);
    lestL_push_key(L, &made);
    return push_signers(L, signers, &err) ? lestL_fail(L, &err) : 2;
}

/* envelope.capabilities("rsa" | "ec" | "wrap256" | "wrap128") -> DER of what this program can open */
static int capabilities(lua_State *L)
{
    static const char *const kinds[] = { "rsa", "ec", "wrap256", "wrap128", NULL };
    static const unsigned content = PKI_CAN_AES256 | PKI_CAN_AES128;
    static const unsigned sets[] = { PKI_CAN_OAEP | PKI_CAN_RSA,
                                     PKI_CAN_ECDH | PKI_CAN_WRAP256 | PKI_CAN_WRAP128, PKI_CAN_WRAP256,
                                     PKI_CAN_WRAP128 };
    unsigned set = sets[luaL_checkoption(L, 1, NULL, kinds)] | content;
    struct lest_buf *out = lestL_buf(L, PKI_ENVELOPE_MAX);
    pki_capabilities_put(out, set);
    return lestL_push_buf(L, out);
}

/* envelope.key_id(key) -> bytes: how a certificate of it calls it in subjectKeyIdentifier */
static int key_id(lua_State *L)
{
    struct lest_error err;
    uint8_t id[20];
    if (pki_public_key_id(pki_key_spki(lestL_check_key(L, 1)), id, &err))
        return lestL_fail(L, &err);
    lua_pushlstring(L, (const char *)id, sizeof id);
    return 1;
}

/* envelope.identifier(bytes) -> DER of an OCTET STRING; envelope.read_identifier(DER) -> bytes | nil, err */
static int identifier(lua_State *L)
{
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, len >= 1 && len <= PKI_ENVELOPE_ID_MAX, 1, "1 to 256 bytes");
    struct lest_buf *out = lestL_buf(L, PKI_ENVELOPE_ID_MAX + 8);
    pki_der_put(out, PKI_DER_OCTET_STRING, data, len);
    return lestL_push_buf(L, out);
}

static int read_identifier(lua_State *L)
{
    struct lest_error err;
    struct pki_der_doc doc = { .noun = "the key identifier", .malformed = LEST_E_MALFORMED, .err = &err };
    struct pki_der in;
    struct pki_der_item item;
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    pki_der_open(&in, &doc, data, len);
    if (!pki_der_item(&in, PKI_DER_OCTET_STRING, "it", &item) || !pki_der_end(&in, "it"))
        return lestL_fail(L, &err);
    if (item.body.len == 0 || item.body.len > PKI_ENVELOPE_ID_MAX) {
        lest_error_set(&err, LEST_E_MALFORMED, "the key identifier has no 1 to %d bytes",
                       (int)PKI_ENVELOPE_ID_MAX);
        return lestL_fail(L, &err);
    }
    lestL_push_bytes(L, item.body);
    return 1;
}

int lestL_open_envelope(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "seal", seal },     { "open", open_envelope },    { "capabilities", capabilities },
        { "key_id", key_id }, { "identifier", identifier }, { "read_identifier", read_identifier },
        { NULL, NULL }
    };
    luaL_newlib(L, functions);
    return 1;
}
