/* Class lest.identity: whom a client names in a handshake that stands still until its secret is there.
 * Objects come from core.server's on_identity.
 *
 *   i.kind  i.name  i.address
 *   i:answer{ key = bytes, grant = bytes } -> true | false: gone      the handshake goes on
 *   i:refuse() -> true | false: gone                                  it fails */
#include "lua/identity.h"

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
    struct lest_error err;
    struct net_identity *identity = check(L);
    size_t key_len, grant_len;
    luaL_checktype(L, 2, LUA_TTABLE);
    lestL_check_options(L, 2, known);
    lua_settop(L, 2);
    lua_getfield(L, 2, "key");
    lua_getfield(L, 2, "grant");
    const char *key = luaL_checklstring(L, 3, &key_len), *grant = luaL_checklstring(L, 4, &grant_len);
    enum lest_status status = net_identity_answer(identity, key, key_len, grant, grant_len, &err);
    return push_outcome(L, status, &err);
}

static int refuse(lua_State *L)
{
    struct lest_error err;
    enum lest_status status = net_identity_answer(check(L), NULL, 0, NULL, 0, &err);
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
