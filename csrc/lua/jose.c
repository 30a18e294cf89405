/* core.jose: tokens that a JWK Set's keys have signed.
 *
 *   jose.algorithms() -> { "RS256", ... }
 *   jose.header(token) -> the text of its header, unverified | nil, err
 *   jose.key(json) -> lest.jose_key of one JWK | nil, err
 *   k:fits(algorithm) -> boolean
 *   k:verify(token, algorithm) -> what was signed | nil, err (unauthenticated, malformed) */
#include "jose/key.h"
#include "jose/token.h"
#include "lua/binding.h"

static void close_key(void *h)
{
    jose_key_free(h);
}

static const struct lestL_class class;

static struct jose_key *check(lua_State *L, int idx)
{
    return lestL_check_object(L, idx, &class);
}

static int fits(lua_State *L)
{
    lua_pushboolean(L, jose_key_fits(check(L, 1), luaL_checkstring(L, 2)));
    return 1;
}

static int verify(lua_State *L)
{
    size_t len;
    struct lest_error err;
    struct jose_key *key = check(L, 1);
    const char *token = luaL_checklstring(L, 2, &len);
    const char *algorithm = luaL_checkstring(L, 3);
    struct lest_buf *payload = lestL_buf(L, JOSE_TOKEN_MAX);
    if (jose_key_verify(key, algorithm, token, len, payload, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, payload);
}

static const luaL_Reg methods[] = { { "fits", fits }, { "verify", verify }, { NULL, NULL } };

static const struct lestL_class class = { .name = "lest.jose_key", .methods = methods, .close = close_key };

static int import(lua_State *L)
{
    size_t len;
    struct lest_error err;
    struct jose_key *key;
    const char *json = luaL_checklstring(L, 1, &len);
    struct lestL_object *object = lestL_new_object(L, &class);
    if (jose_key_import(json, len, &key, &err))
        return lestL_fail(L, &err);
    object->h = key;
    return 1;
}

static int header(lua_State *L)
{
    size_t len;
    struct lest_error err;
    const char *token = luaL_checklstring(L, 1, &len);
    struct lest_buf *out = lestL_buf(L, JOSE_TOKEN_MAX);
    if (jose_token_read(token, len, out, NULL, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

static int algorithms(lua_State *L)
{
    const char *name;
    lua_newtable(L);
    for (size_t i = 0; (name = jose_algorithm(i)) != NULL; i++) {
        lua_pushstring(L, name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

int lestL_open_jose(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "algorithms", algorithms }, { "header", header }, { "key", import }, { NULL, NULL }
    };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
