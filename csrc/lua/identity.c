/* Class lest.identity: whom a client names in a handshake that stands still until its secret is there.
 * Objects come from core.server's on_identity.
 *
 *   i.kind  i.name  i.address
 *   i:answer{ key = bytes, grant = bytes } -> true | false: gone      the handshake goes on
 *   i:answer{ verifier = bytes, salt = bytes, group = 3072, grant = bytes }      likewise, of kind "srp"
 *   i:refuse() -> true | false: gone                                  it fails */
#include "lua/identity.h"

#include <string.h>

static void close_identity(void *h)
{
    net_identity_free(h);
}

static int answer(lua_State *L);
static int refuse(lua_State *L);
static int get_kind(lua_State *L);
static int get_name(lua_State *L);
static int get_address(lua_State *L);

static const struct lestL_class class = {
    .name = "lest.identity",
    .methods = (const luaL_Reg[]){ { "answer", answer }, { "refuse", refuse }, { NULL, NULL } },
    .getters =
        (const luaL_Reg[]){
            { "kind", get_kind }, { "name", get_name }, { "address", get_address }, { NULL, NULL } },
    .close = close_identity,
};

static struct net_identity *check(lua_State *L)
{
    return lestL_check_object(L, 1, &class);
}

void lestL_push_identity(lua_State *L, struct net_identity *identity)
{
    struct lestL_object *object = lestL_new_object(L, &class);
    object->h = net_identity_ref(identity);
}

static int push_outcome(lua_State *L, enum lest_status status, const struct lest_error *err)
{
    if (status && status != LEST_E_CLOSED)
        return luaL_error(L, "%s", err->message);
    lua_pushboolean(L, status == LEST_OK);
    return 1;
}

static int answer(lua_State *L)
{
    static const char *const known[] = { "key", "grant", NULL };
    static const char *const known_of_password[] = { "verifier", "salt", "group", "grant", NULL };
    struct lest_error err;
    struct net_identity *identity = check(L);
    struct net_identity_secret secret = { .key = NULL };
    size_t grant_len;
    bool by_password = strcmp(identity->kind, "srp") == 0;
    luaL_checktype(L, 2, LUA_TTABLE);
    lestL_check_options(L, 2, by_password ? known_of_password : known);
    lua_settop(L, 2);
    lua_getfield(L, 2, by_password ? "verifier" : "key");
    lua_getfield(L, 2, "grant");
    secret.key = (const uint8_t *)luaL_checklstring(L, 3, &secret.key_len);
    const char *grant = luaL_checklstring(L, 4, &grant_len);
    if (by_password) {
        lua_getfield(L, 2, "salt");
        secret.salt = (const uint8_t *)luaL_checklstring(L, 5, &secret.salt_len);
        secret.group = lestL_opt_integer(L, 2, "group", 0);
    }
    enum lest_status status = net_identity_answer(identity, &secret, grant, grant_len, &err);
    return push_outcome(L, status, &err);
}

static int refuse(lua_State *L)
{
    struct lest_error err;
    enum lest_status status = net_identity_answer(check(L), NULL, NULL, 0, &err);
    return push_outcome(L, status, &err);
}

static int get_kind(lua_State *L)
{
    lua_pushstring(L, check(L)->kind);
    return 1;
}

static int get_name(lua_State *L)
{
    const struct net_identity *identity = check(L);
    lua_pushlstring(L, (const char *)identity->name, identity->name_len);
    return 1;
}

static int get_address(lua_State *L)
{
    lua_pushstring(L, check(L)->address);
    return 1;
}

void lestL_register_identity(lua_State *L)
{
    lestL_class_register(L, &class);
}
