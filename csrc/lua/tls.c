/* core.tls: TLS contexts (class lest.tls).
 *
 *   tls.server{ cert =, key =, store =, lenient =, own =, expired =, curves =, ciphers =,
 *              min_version = } -> tls | nil, err
 *   tls.server{ psk = true, srp = true, curves =, min_version = } -> tls | nil, err: without certificates, by
 *     one of the two or by either
 *   t:set_store(store or nil)
 *   t:set_staple(der or nil)     t:staple_is_wanted() -> boolean
 *   t:set_identity(cert, key): cert with its chain */
#include "lua/tls.h"

#include "lua/cert.h"
#include "lua/pki.h"
#include "lua/store.h"

#include "pki/key/key.h"

static void close_tls(void *h)
{
    net_tls_free(h);
}

static int set_store(lua_State *L);
static int set_staple(lua_State *L);
static int staple_is_wanted(lua_State *L);
static int set_identity(lua_State *L);

static const struct lestL_class class = {
    .name = "lest.tls",
    .methods = (const luaL_Reg[]){ { "set_store", set_store },
                                   { "set_staple", set_staple },
                                   { "staple_is_wanted", staple_is_wanted },
                                   { "set_identity", set_identity },
                                   { NULL, NULL } },
    .close = close_tls,
};

struct net_tls *lestL_check_tls(lua_State *L, int idx)
{
    return lestL_check_object(L, idx, &class);
}

static int set_store(lua_State *L)
{
    struct lest_error err;
    struct net_tls *tls = lestL_check_tls(L, 1);
    if (net_tls_set_store(tls, lua_isnoneornil(L, 2) ? NULL : lestL_check_store(L, 2), &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int set_staple(lua_State *L)
{
    struct lest_error err;
    size_t len = 0;
    struct net_tls *tls = lestL_check_tls(L, 1);
    const char *der = luaL_optlstring(L, 2, NULL, &len);
    if (net_tls_set_staple(tls, der, len, &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* The chain of the certificate at idx; the list stays on the stack. */
static struct pki_certs *chain_of(lua_State *L, int idx)
{
    struct pki_certs *chain = lestL_certs(L);
    lua_getfield(L, idx, "chain");
    lestL_to_certs(L, -1, "chain", chain);
    return chain;
}

static int set_identity(lua_State *L)
{
    struct lest_error err;
    struct net_tls *tls = lestL_check_tls(L, 1);
    const struct pki_cert *cert = lestL_check_cert(L, 2);
    EVP_PKEY *key = lestL_check_key(L, 3)->pkey;
    if (net_tls_set_identity(tls, cert, chain_of(L, 2), key, &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int staple_is_wanted(lua_State *L)
{
    lua_pushboolean(L, net_tls_staple_is_wanted(lestL_check_tls(L, 1)));
    return 1;
}

/* The objects and lists stay on the stack. */
static void read_certificates(lua_State *L, struct net_tls_options *options)
{
    lua_getfield(L, 1, "cert");
    lua_getfield(L, 1, "key");
    lua_getfield(L, 1, "store");
    bool is_later = lua_isnil(L, 2) && lua_isnil(L, 3);
    options->cert = is_later ? NULL : lestL_check_cert(L, 2);
    options->key = is_later ? NULL : lestL_check_key(L, 3)->pkey;
    options->store = lua_isnil(L, 4) ? NULL : lestL_check_store(L, 4);
    options->lenient = lestL_opt_boolean(L, 1, "lenient", false);
    options->expired_s = lestL_opt_integer(L, 1, "expired", 0);
    options->ciphers = lestL_opt_string(L, 1, "ciphers", NULL);
    options->chain = is_later ? NULL : chain_of(L, 2);
    struct pki_certs *own = lestL_certs(L);
    lua_getfield(L, 1, "own");
    lestL_to_certs(L, -1, "own", own);
    options->own = own;
}

static int server(lua_State *L)
{
    static const char *const known[] = { "cert",   "key",     "store",       "lenient", "own", "expired",
                                         "curves", "ciphers", "min_version", "psk",     "srp", NULL };
    static const char *const known_of_keys[] = { "curves", "min_version", "psk", "srp", NULL };
    struct lest_error err;
    luaL_checktype(L, 1, LUA_TTABLE);
    struct net_tls_options options = { .psk = lestL_opt_boolean(L, 1, "psk", false),
                                       .srp = lestL_opt_boolean(L, 1, "srp", false) };
    bool keyed = options.psk || options.srp;
    lestL_check_options(L, 1, keyed ? known_of_keys : known);
    lua_settop(L, 1);
    options.curves = lestL_opt_string(L, 1, "curves", NULL);
    options.min_version = lestL_opt_string(L, 1, "min_version", NULL);
    if (!keyed)
        read_certificates(L, &options);
    struct lestL_object *object = lestL_new_object(L, &class);
    struct net_tls *tls;
    if (net_tls_server_new(&options, &tls, &err))
        return lestL_fail(L, &err);
    object->h = tls;
    return 1;
}

int lestL_open_tls(lua_State *L)
{
    static const luaL_Reg functions[] = { { "server", server }, { NULL, NULL } };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
