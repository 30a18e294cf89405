/* core.ocsp_responder: signs what is known of certificates' revocation (class lest.ocsp_responder). */
#include "lua/cert.h"
#include "lua/pki.h"
#include "pki/x509/ocsp.h"

#include <string.h>

static void close_responder(void *h)
{
    pki_ocsp_responder_free(h);
}

static const struct lestL_class class;

/* ocsp_responder.new{ cert =, key = } */
static int new_responder(lua_State *L)
{
    static const char *const known[] = { "cert", "key", NULL };
    struct lest_error err;
    struct pki_ocsp_responder *responder = NULL;
    luaL_checktype(L, 1, LUA_TTABLE);
    lestL_check_options(L, 1, known);
    lua_getfield(L, 1, "key");
    struct pki_key *key = lestL_check_key(L, -1);
    lua_getfield(L, 1, "cert");
    struct pki_cert *cert = lestL_check_cert(L, -1);
    struct lestL_object *object = lestL_new_object(L, &class);
    enum lest_status status = pki_ocsp_responder_new(cert, key, &responder, &err);
    object->h = responder;
    return status ? lestL_fail(L, &err) : 1;
}

static int reason_number(lua_State *L, const char *name)
{
    const char *each;
    for (int i = 0; i <= PKI_CRL_REASON_LAST; i++)
        if ((each = pki_crl_reason_name(i)) && strcmp(each, name) == 0)
            return i;
    return luaL_error(L, "the reason '%s' is unknown", name);
}

/* One of `certificates`, { id =, state = [, revoked_at =] [, reason =] }, at the top. */
static struct pki_ocsp_status to_status(lua_State *L, struct pki_bytes *id)
{
    static const char *const known[] = { "id", "state", "revoked_at", "reason", NULL };
    static const char *const states[] = { "good", "revoked", "unknown", NULL };
    struct pki_ocsp_status status = { .reason = -1 };
    lestL_check_options(L, -1, known);
    *id = lestL_opt_bytes(L, -1, "id");
    const char *state = lestL_opt_string(L, -1, "state", ""),
               *reason = lestL_opt_string(L, -1, "reason", NULL);
    int at = 0;
    while (states[at] && strcmp(states[at], state) != 0)
        at++;
    if (!states[at] || !id->data)
        luaL_error(L, "a certificate has an id, and is good, revoked or unknown");
    status.state = at;
    status.revoked_at = lestL_opt_integer(L, -1, "revoked_at", 0);
    if (reason)
        status.reason = reason_number(L, reason);
    return status;
}

/* r:respond{ certificates =, produced_at =, this_update =, next_update = [, nonce =] } -> DER */
static int respond(lua_State *L)
{
    static const char *const known[] = { "certificates", "produced_at", "this_update",
                                         "next_update",  "nonce",       NULL };
    struct lest_error err;
    struct pki_bytes ids[PKI_OCSP_IDS_MAX];
    struct pki_ocsp_status statuses[PKI_OCSP_IDS_MAX];
    struct pki_ocsp_responder *responder = lestL_check_object(L, 1, &class);
    luaL_checktype(L, 2, LUA_TTABLE);
    lestL_check_options(L, 2, known);
    struct pki_ocsp_answer answer = { .produced_at = lestL_opt_integer(L, 2, "produced_at", 0),
                                      .this_update = lestL_opt_integer(L, 2, "this_update", 0),
                                      .next_update = lestL_opt_integer(L, 2, "next_update", 0),
                                      .nonce = lestL_opt_bytes(L, 2, "nonce") };
    lua_getfield(L, 2, "certificates");
    luaL_checktype(L, -1, LUA_TTABLE);
    answer.count = lua_rawlen(L, -1);
    luaL_argcheck(L, answer.count >= 1 && answer.count <= PKI_OCSP_IDS_MAX, 2,
                  "there are between 1 and 16 certificates");
    for (size_t i = 0; i < answer.count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        luaL_checktype(L, -1, LUA_TTABLE);
        statuses[i] = to_status(L, &ids[i]);
        lua_pop(L, 1);
    }
    answer.ids = ids;
    answer.statuses = statuses;
    struct lest_buf *out = lestL_buf(L, PKI_OCSP_RESPONSE_MAX);
    if (pki_ocsp_respond(responder, &answer, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

static const luaL_Reg methods[] = { { "respond", respond }, { NULL, NULL } };

static const struct lestL_class class = { .name = "lest.ocsp_responder",
                                          .methods = methods,
                                          .close = close_responder };

int lestL_open_ocsp_responder(lua_State *L)
{
    static const luaL_Reg functions[] = { { "new", new_responder }, { NULL, NULL } };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
