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

/* store:verify(leaf [, { untrusted =, at =, purpose =, crl_required = }]) -> { leaf, ..., anchor } | nil,
 * err; untrusted is the leaf's chain, at is now, purpose is "any" where they are absent */
static int verify(lua_State *L)
{
    static const char *const known[] = { "untrusted", "at", "purpose", "crl_required", NULL };
    static const char *const purposes[] = { "any", "client", "server", NULL };
    struct lest_error err;
    struct pki_store *store = lestL_check_store(L, 1);
    struct pki_cert *leaf = lestL_check_cert(L, 2);
    lua_settop(L, 3);
    lestL_check_options(L, 3, known);
    struct pki_verify how = {
        .at = lestL_opt_integer(L, 3, "at", lest_clock_wall_us() / 1000000),
        .crl_required = lestL_opt_boolean(L, 3, "crl_required", false),
    };
    lua_pushstring(L, lestL_opt_string(L, 3, "purpose", "any"));
    how.purpose = (enum pki_purpose)luaL_checkoption(L, 4, NULL, purposes);
    if (lua_isnil(L, 3) || lua_getfield(L, 3, "untrusted") == LUA_TNIL)
        lua_getfield(L, 2, "chain");
    int list = lua_gettop(L);
    struct pki_certs *untrusted = lestL_certs(L), *chain = lestL_certs(L);
    lestL_to_certs(L, list, "untrusted", untrusted);
    how.untrusted = untrusted->list;
    how.untrusted_count = untrusted->count;
    if (pki_store_verify(store, leaf, &how, chain, &err))
        return lestL_fail(L, &err);
    lestL_push_certs(L, chain, 0);
    return 1;
}

static const luaL_Reg methods[] = { { "verify", verify }, { NULL, NULL } };

static const struct lestL_class class = { .name = "lest.store", .methods = methods, .close = close_store };

int lestL_open_store(lua_State *L)
{
    static const luaL_Reg functions[] = { { "new", new }, { NULL, NULL } };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
