#include "lua/cmc_value.h"

#include "lua/pki.h"
#include "pki/x509/cert.h"

#include <string.h>

static void set_bytes(lua_State *L, const char *key, struct pki_bytes bytes)
{
    if (!bytes.data)
        return;
    lestL_push_bytes(L, bytes);
    lua_setfield(L, -2, key);
}

static void push_bodies(lua_State *L, const struct pki_cmc_value *value)
{
    lua_createtable(L, (int)value->body_count, 0);
    for (size_t i = 0; i < value->body_count; i++) {
        lua_pushinteger(L, value->bodies[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void set_oid(lua_State *L, const char *key, struct pki_bytes oid)
{
    char text[PKI_OID_TEXT_MAX];
    if (!oid.data)
        return;
    pki_oid_text(oid, text);
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

/* A number of a table, or a name of it; what has no name stands as a number. */
static void set_numbered(lua_State *L, const char *key, int64_t number, const char *name)
{
    if (name)
        lua_pushstring(L, name);
    else
        lua_pushinteger(L, number);
    lua_setfield(L, -2, key);
}

static void push_status(lua_State *L, const struct pki_cmc_value *value)
{
    lua_createtable(L, 0, 6);
    set_numbered(L, "status", value->status, pki_cmc_status_name(value->status));
    push_bodies(L, value);
    lua_setfield(L, -2, "bodies");
    set_bytes(L, "text", value->bytes);
    if (value->failure >= 0)
        set_numbered(L, "failure", value->failure, pki_cmc_failure_name(value->failure));
    set_oid(L, "extended", value->extended);
    if (value->token.data) {
        set_bytes(L, "token", value->token);
        lua_pushinteger(L, value->time);
        lua_setfield(L, -2, "time");
    }
}

/* { issuer =, issuer_der =, serial = }, of a CRL { time = } and of a revocation { reason =, passphrase =,
 * comment = } */
static void push_named(lua_State *L, const struct pki_cmc_value *value, enum pki_cmc_type type)
{
    struct lest_error err;
    lua_createtable(L, 0, 6);
    if (!lestL_push_name(L, value->issuer, PKI_CERT_FLAWS, &err))
        luaL_error(L, "%s", err.message);
    lua_setfield(L, -2, "issuer");
    set_bytes(L, "issuer_der", value->issuer);
    if (value->serial.data) {
        lestL_push_serial(L, value->serial);
        lua_setfield(L, -2, "serial");
    }
    if (type == PKI_CMC_CRL && value->time) {
        lua_pushinteger(L, value->time);
        lua_setfield(L, -2, "time");
    }
    if (type != PKI_CMC_REVOCATION)
        return;
    lua_pushinteger(L, value->reason);
    lua_setfield(L, -2, "reason");
    set_bytes(L, "passphrase", value->bytes);
    set_bytes(L, "comment", value->comment);
}

static void push_mac(lua_State *L, const struct pki_cmc_value *value)
{
    lua_createtable(L, 0, 3);
    set_oid(L, "digest", value->digest);
    set_oid(L, "mac", value->mac);
    set_bytes(L, "witness", value->bytes);
}

static void push_value(lua_State *L, const struct pki_cmc_value *value, enum pki_cmc_type type)
{
    switch (type) {
    case PKI_CMC_STATUS: push_status(L, value); break;
    case PKI_CMC_BODIES:
    case PKI_CMC_WITNESSED: push_bodies(L, value); break;
    case PKI_CMC_CERT:
    case PKI_CMC_CRL:
    case PKI_CMC_REVOCATION: push_named(L, value, type); break;
    case PKI_CMC_MAC: push_mac(L, value); break;
    case PKI_CMC_TEXT:
    case PKI_CMC_OCTETS:
    case PKI_CMC_NUMBER:
    case PKI_CMC_RAW: lestL_push_bytes(L, value->bytes); break;
    }
}

void lestL_push_cmc_control(lua_State *L, const struct pki_cmc_control *control)
{
    struct pki_der_doc doc = { .noun = "CMC", .malformed = LEST_E_CMC_MALFORMED };
    struct pki_der in;
    struct pki_cmc_value value;
    enum pki_cmc_type type = PKI_CMC_RAW;
    const char *name = pki_cmc_control_name(control->number, &type);
    luaL_checkstack(L, 8, "control");
    lua_createtable(L, 0, 5);
    lua_pushinteger(L, control->id);
    lua_setfield(L, -2, "id");
    set_oid(L, "oid", control->oid);
    lestL_push_values(L, control->values);
    lua_setfield(L, -2, "values");
    if (!name)
        return;
    lua_pushstring(L, name);
    lua_setfield(L, -2, "name");
    pki_der_open(&in, &doc, control->values.data, control->values.len);
    if (type != PKI_CMC_RAW && pki_cmc_read_value(&in, type, &value)) {
        push_value(L, &value, type);
        lua_setfield(L, -2, "value");
    }
}

/* From Lua: the value is at the top of the stack, and keeps its strings alive. */

static struct pki_bytes top_bytes(lua_State *L)
{
    struct pki_bytes bytes;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "a control's value is a %s, not a string", luaL_typename(L, -1));
    bytes.data = (const uint8_t *)lua_tolstring(L, -1, &bytes.len);
    return bytes;
}

static void to_bodies(lua_State *L, struct pki_cmc_value *value)
{
    if (!lua_istable(L, -1))
        luaL_error(L, "a list of body parts is a %s", luaL_typename(L, -1));
    size_t count = lua_rawlen(L, -1);
    if (count == 0 || count > PKI_CMC_BODIES_MAX)
        luaL_error(L, "a list has 1 to %d body parts", PKI_CMC_BODIES_MAX);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        lua_Integer id = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : -1;
        if (id < 0 || id > UINT32_MAX)
            luaL_error(L, "a body part's id is no number of 0 to 4294967295");
        value->bodies[value->body_count++] = (uint32_t)id;
        lua_pop(L, 1);
    }
}

static int to_numbered(lua_State *L, const char *key, int (*number_of)(const char *name))
{
    const char *name = lestL_opt_string(L, -1, key, NULL);
    int number = name ? number_of(name) : -1;
    if (name && number < 0)
        luaL_error(L, "there is no %s '%s'", key, name);
    return number;
}

static void to_status(lua_State *L, struct pki_cmc_value *value)
{
    static const char *const known[] = { "status", "bodies", "text", "failure", "token", "time", NULL };
    lestL_check_options(L, -1, known);
    value->status = to_numbered(L, "status", pki_cmc_status_number);
    if (value->status < 0)
        luaL_error(L, "a status has no 'status'");
    value->failure = to_numbered(L, "failure", pki_cmc_failure_number);
    value->bytes = lestL_opt_bytes(L, -1, "text");
    value->token = lestL_opt_bytes(L, -1, "token");
    value->time = lestL_opt_integer(L, -1, "time", 0);
    lua_getfield(L, -1, "bodies");
    to_bodies(L, value);
    lua_pop(L, 1);
}

/* storage: of the serial number, which value points into. */
static void to_named(lua_State *L, struct pki_cmc_value *value, uint8_t *storage)
{
    static const char *const known[] = { "issuer",     "issuer_der", "serial", "reason",
                                         "passphrase", "comment",    "time",   NULL };
    lestL_check_options(L, -1, known);
    value->issuer = lestL_opt_bytes(L, -1, "issuer_der");
    struct pki_bytes serial = lestL_opt_bytes(L, -1, "serial");
    if (!value->issuer.data ||
        (serial.data && !pki_serial_parse((const char *)serial.data, serial.len, storage, &value->serial)))
        luaL_error(L, "a certificate is named by 'issuer_der' and 'serial'");
    value->reason = lestL_opt_integer(L, -1, "reason", 0);
    value->time = lestL_opt_integer(L, -1, "time", 0);
    value->bytes = lestL_opt_bytes(L, -1, "passphrase");
    value->comment = lestL_opt_bytes(L, -1, "comment");
}

static void to_mac(lua_State *L, struct pki_cmc_value *value)
{
    static const char *const known[] = { "digest", "mac", "witness", NULL };
    lestL_check_options(L, -1, known);
    value->bytes = lestL_opt_bytes(L, -1, "witness");
    if (!value->bytes.data)
        luaL_error(L, "there is no 'witness'");
}

static void to_value(lua_State *L, enum pki_cmc_type type, struct pki_cmc_value *value, uint8_t *storage)
{
    switch (type) {
    case PKI_CMC_STATUS: to_status(L, value); break;
    case PKI_CMC_BODIES:
    case PKI_CMC_WITNESSED: to_bodies(L, value); break;
    case PKI_CMC_CERT:
    case PKI_CMC_CRL:
    case PKI_CMC_REVOCATION: to_named(L, value, storage); break;
    case PKI_CMC_MAC: to_mac(L, value); break;
    case PKI_CMC_TEXT:
    case PKI_CMC_OCTETS:
    case PKI_CMC_NUMBER:
    case PKI_CMC_RAW: value->bytes = top_bytes(L); break;
    }
}

/* What was written is read as what comes from outside: what that refuses is not sent. */
static enum lest_status check_written(const struct lest_buf *out, size_t mark, enum pki_cmc_type type,
                                      struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "CMC", .malformed = LEST_E_CMC_MALFORMED, .err = err };
    struct pki_der in, body, values;
    struct pki_cmc_value value;
    if (out->failed)
        return lest_buf_status(out, err);
    pki_der_open(&in, &doc, out->data + mark, out->len - mark);
    if (pki_der_read(&in, PKI_DER_SEQUENCE, "a control", &body) &&
        pki_der_read(&body, PKI_DER_INTEGER, "its id", NULL) &&
        pki_der_read(&body, PKI_DER_OID, "its type", NULL) &&
        pki_der_read(&body, PKI_DER_SET, "its values", &values) &&
        pki_cmc_read_value(&values, type, &value) && pki_der_end(&values, "a control's value"))
        return LEST_OK;
    return doc.status;
}

/* { id =, oid =, values = { DER, ... } } */
static enum lest_status put_unknown(lua_State *L, uint32_t id, struct lest_buf *out, struct lest_error *err)
{
    size_t count;
    struct pki_bytes oid = lestL_opt_bytes(L, -1, "oid");
    if (!oid.data || lua_getfield(L, -1, "values") != LUA_TTABLE)
        luaL_error(L, "a control has a 'name', or an 'oid' and a list 'values'");
    const struct pki_bytes *values = lestL_to_strings(L, -1, "value", &count);
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_der_put_small(out, id);
    enum lest_status status = pki_oid_put_text(out, (const char *)oid.data, oid.len, err);
    size_t set = pki_der_put_open(out, PKI_DER_SET);
    for (size_t i = 0; i < count; i++)
        lest_buf_append(out, values[i].data, values[i].len);
    pki_der_put_close(out, set);
    pki_der_put_close(out, mark);
    lua_pop(L, 2);
    return status;
}

enum lest_status lestL_put_cmc_control(lua_State *L, uint32_t id, struct lest_buf *out,
                                       struct lest_error *err)
{
    static const char *const known[] = { "id", "name", "value", "oid", "values", NULL };
    uint8_t storage[PKI_SERIAL_TEXT_MAX / 2 + 1];
    struct pki_cmc_value value;
    enum pki_cmc_type type = PKI_CMC_RAW;
    lestL_check_options(L, -1, known);
    luaL_checkstack(L, 8, "control");
    const char *name = lestL_opt_string(L, -1, "name", NULL);
    if (!name)
        return put_unknown(L, id, out, err);
    unsigned number = pki_cmc_control_number(name);
    if (!number)
        luaL_error(L, "there is no control '%s'", name);
    pki_cmc_control_name(number, &type);
    memset(&value, 0, sizeof value);
    value.failure = -1;
    lua_getfield(L, -1, "value");
    to_value(L, type, &value, storage);
    size_t mark = out->len;
    pki_cmc_put_control(out, id, number, &value);
    lua_pop(L, 1);
    return check_written(out, mark, type, err);
}

int lestL_cmc_witness(lua_State *L)
{
    struct pki_bytes witness;
    witness.data = (const uint8_t *)luaL_checklstring(L, 1, &witness.len);
    struct lest_buf *out = lestL_buf(L, 2 * PKI_CMC_WITNESS_MAX);
    pki_cmc_put_witness(out, witness);
    return lestL_push_buf(L, out);
}

int lestL_cmc_read_witness(lua_State *L)
{
    struct lest_error err;
    struct pki_der_doc doc = { .noun = "CMC", .malformed = LEST_E_CMC_MALFORMED, .err = &err };
    struct pki_der in;
    struct pki_cmc_value value;
    size_t len;
    const char *der = luaL_checklstring(L, 1, &len);
    pki_der_open(&in, &doc, der, len);
    if (!pki_cmc_read_value(&in, PKI_CMC_MAC, &value) || !pki_der_end(&in, "a witness"))
        return lestL_fail(L, &err);
    push_mac(L, &value);
    return 1;
}
