/* core.store (class lest.store): trust anchors and CRLs, and the verification of chains. */
#include "lua/store.h"

#include "base/clock.h"
#include "lua/cert.h"

static void close_store(void *h)
{
    pki_store_free(h);
}

static const struct lestL_class class;

struct pki_store *lestL_check_store(lua_State *L, int idx)
{
    return lestL_check_object(L, idx, &class);
}

static enum lest_status add_crls(lua_State *L, int idx, struct pki_store *store, struct lest_error *err)
{
    if (lua_isnil(L, idx))
        return LEST_OK;
    if (!lua_istable(L, idx))
        luaL_error(L, "crls is a %s, not a list of CRLs", luaL_typename(L, idx));
    lua_Integer count = (lua_Integer)lua_rawlen(L, idx);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, idx, i);
        struct pki_crl *crl = lestL_test_crl(L, -1);
        if (!crl)
            luaL_error(L, "crls: entry %d is a %s, not an open lest.crl", (int)i, luaL_typename(L, -1));
        enum lest_status status = pki_store_add_crl(store, crl, err);
        lua_pop(L, 1);
        if (status)
            return status;
    }
    return LEST_OK;
}

typedef enum lest_status add_cert(struct pki_store *store, const struct pki_cert *cert,
                                  struct lest_error *err);

/* Give each certificate of a list in the options to add; raises what is no list of certificates. */
static enum lest_status add_certs(lua_State *L, const char *key, add_cert *add, struct pki_store *store,
                                  struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    struct pki_certs *certs = lestL_certs(L);
    lua_getfield(L, 1, key);
    lestL_to_certs(L, -1, key, certs);
    for (size_t i = 0; !status && i < certs->count; i++)
        status = add(store, certs->list[i], err);
    return status;
}

/* store.new{ anchors = {cert, ...}, intermediates = {cert, ...}, crls = {crl, ...}, crl_required = false } ->
 * store */
static int new (lua_State *L)
{
    static const char *const known[] = { "anchors", "intermediates", "crls", "crl_required", NULL };
    struct lest_error err;
    struct pki_store *store;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lestL_check_options(L, 1, known);
    bool required = lestL_opt_boolean(L, 1, "crl_required", false);
    struct lestL_object *object = lestL_new_object(L, &class);
    if (pki_store_new(required, &store, &err))
        return lestL_fail(L, &err);
    object->h = store;
    if (add_certs(L, "anchors", pki_store_add_anchor, store, &err) ||
        add_certs(L, "intermediates", pki_store_add_intermediate, store, &err))
        return lestL_fail(L, &err);
    lua_getfield(L, 1, "crls");
    if (add_crls(L, lua_gettop(L), store, &err))
        return lestL_fail(L, &err);
    lua_settop(L, 2);
    return 1;
}

/* The options of a verification at 3 of the leaf at 2; its certificates are borrowed from what is pushed. */
static struct pki_verify check_how(lua_State *L)
{
    static const char *const known[] = { "untrusted", "at", "purpose", "crl_required", "expired", NULL };
    static const char *const purposes[] = { "any", "client", "server", NULL };
    lua_settop(L, 3);
    lestL_check_options(L, 3, known);
    struct pki_verify how = {
        .at = lestL_opt_integer(L, 3, "at", lest_clock_wall_s()),
        .crl_required = lestL_opt_boolean(L, 3, "crl_required", false),
        .expired_s = lestL_opt_integer(L, 3, "expired", 0),
    };
    lua_pushstring(L, lestL_opt_string(L, 3, "purpose", "any"));
    how.purpose = (enum pki_purpose)luaL_checkoption(L, 4, NULL, purposes);
    if (lua_isnil(L, 3) || lua_getfield(L, 3, "untrusted") == LUA_TNIL)
        lua_getfield(L, 2, "chain");
    int list = lua_gettop(L);
    struct pki_certs *untrusted = lestL_certs(L);
    lestL_to_certs(L, list, "untrusted", untrusted);
    how.untrusted = untrusted->list;
    how.untrusted_count = untrusted->count;
    return how;
}

/* store:verify(leaf [, { untrusted =, at =, purpose =, crl_required =, expired = }]) -> { leaf, ..., anchor }
 * | nil, err; untrusted is the leaf's chain, at is now, purpose is "any" where they are absent */
static int verify(lua_State *L)
{
    struct lest_error err;
    struct pki_store *store = lestL_check_store(L, 1);
    struct pki_cert *leaf = lestL_check_cert(L, 2);
    struct pki_verify how = check_how(L);
    struct pki_certs *chain = lestL_certs(L);
    if (pki_store_verify(store, leaf, &how, chain, &err))
        return lestL_fail(L, &err);
    lestL_push_certs(L, chain, 0);
    return 1;
}

static int free_explanation(lua_State *L)
{
    pki_explanation_free(lua_touserdata(L, 1));
    return 0;
}

/* Push an empty explanation that the collector frees. */
static struct pki_explanation *new_explanation(lua_State *L)
{
    struct pki_explanation *explanation = lua_newuserdatauv(L, sizeof *explanation, 0);
    explanation->count = 0;
    explanation->cut = false;
    if (luaL_newmetatable(L, "lest.tries")) {
        lua_pushcfunction(L, free_explanation);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return explanation;
}

static void set_reason(lua_State *L, int reason)
{
    lua_pushstring(L, pki_fault_name(reason));
    lua_setfield(L, -2, "code");
    lua_pushstring(L, X509_verify_cert_error_string(reason));
    lua_setfield(L, -2, "reason");
}

static void push_fault(lua_State *L, const struct pki_fault *fault)
{
    lua_createtable(L, 0, 4);
    set_reason(L, fault->reason);
    lua_pushinteger(L, fault->depth);
    lua_setfield(L, -2, "depth");
    if (fault->at) {
        lua_pushinteger(L, fault->at);
        lua_setfield(L, -2, "at");
    }
}

static void push_miss(lua_State *L, const struct pki_miss *miss)
{
    lua_createtable(L, 0, 4);
    set_reason(L, miss->reason);
    lestL_push_cert(L, miss->cert);
    lua_setfield(L, -2, "cert");
    lua_pushboolean(L, miss->is_anchor);
    lua_setfield(L, -2, "is_anchor");
}

static void push_try(lua_State *L, const struct pki_try *one)
{
    lua_createtable(L, 0, 4);
    lestL_push_certs(L, &one->chain, 0);
    lua_setfield(L, -2, "chain");
    lua_pushstring(L, one->end == X509_V_OK ? "anchor" : pki_fault_name(one->end));
    lua_setfield(L, -2, "ending");
    lua_newtable(L);
    for (size_t i = 0; i < one->fault_count; i++) {
        push_fault(L, &one->faults[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "faults");
    lua_newtable(L);
    for (size_t i = 0; i < one->misses.count; i++) {
        push_miss(L, &one->misses.list[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "misses");
}

/* store:tries(leaf [, options as of verify]) -> { { chain =, ending =, faults =, misses = }, ..., cut = } */
static int tries(lua_State *L)
{
    struct lest_error err;
    struct pki_store *store = lestL_check_store(L, 1);
    struct pki_cert *leaf = lestL_check_cert(L, 2);
    struct pki_verify how = check_how(L);
    struct pki_explanation *explanation = new_explanation(L);
    if (pki_store_explain(store, leaf, &how, explanation, &err))
        return lestL_fail(L, &err);
    lua_newtable(L);
    for (size_t i = 0; i < explanation->count; i++) {
        push_try(L, &explanation->tries[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushboolean(L, explanation->cut);
    lua_setfield(L, -2, "cut");
    return 1;
}

static const luaL_Reg methods[] = { { "verify", verify }, { "tries", tries }, { NULL, NULL } };

static const struct lestL_class class = { .name = "lest.store", .methods = methods, .close = close_store };

int lestL_open_store(lua_State *L)
{
    static const luaL_Reg functions[] = { { "new", new }, { NULL, NULL } };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
