/* core.sealed (class lest.sealed): bytes in memory that nobody changes any more, for several processes.
 *
 *   sealed.new(bytes) -> sealed | nil, err
 *   fields  size
 *   s:bytes() -> a copy, as a string */
#include "lua/sealed.h"

#include "lua/binding.h"

static void close_sealed(void *h)
{
    lest_sealed_free(h);
}

static const struct lestL_class class;

static struct lest_sealed *check(lua_State *L)
{
    return lestL_check_object(L, 1, &class);
}

struct lest_sealed *lestL_test_sealed(lua_State *L, int idx)
{
    return lestL_test_object(L, idx, &class);
}

void lestL_push_sealed(lua_State *L, struct lest_sealed *sealed)
{
    struct lestL_object *object = lestL_new_object(L, &class);
    object->h = lest_sealed_ref(sealed);
}

int lestL_seal(lua_State *L, const char *name, struct lest_buf *bytes)
{
    struct lest_error err;
    struct lest_sealed *sealed;
    struct lestL_object *object = lestL_new_object(L, &class);
    if (lest_sealed_new(name, bytes->data, bytes->len, &sealed, &err))
        return lestL_fail(L, &err);
    object->h = sealed;
    /* Not left to the collector, to which it is small. */
    lest_buf_free(bytes);
    return 1;
}

static int new_sealed(lua_State *L)
{
    size_t len;
    struct lest_error err;
    struct lest_sealed *sealed;
    const char *bytes = luaL_checklstring(L, 1, &len);
    struct lestL_object *object = lestL_new_object(L, &class);
    if (lest_sealed_new("lest-sealed", bytes, len, &sealed, &err))
        return lestL_fail(L, &err);
    object->h = sealed;
    return 1;
}

static int copy_bytes(lua_State *L)
{
    const struct lest_sealed *sealed = check(L);
    lua_pushlstring(L, sealed->data ? (const char *)sealed->data : "", sealed->len);
    return 1;
}

static int get_size(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check(L)->len);
    return 1;
}

static const struct lestL_class class = {
    .name = "lest.sealed",
    .methods = (const luaL_Reg[]){ { "bytes", copy_bytes }, { NULL, NULL } },
    .getters = (const luaL_Reg[]){ { "size", get_size }, { NULL, NULL } },
    .close = close_sealed,
};

int lestL_open_sealed(lua_State *L)
{
    static const luaL_Reg functions[] = { { "new", new_sealed }, { NULL, NULL } };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
