/* core.lookup (class lest.lookup): one question to a database of SQLite that is not ours.
 *
 *   lookup.open(path, "SELECT host FROM devices WHERE serial = :key") -> lookup | nil, err
 *   l:ask(key, max_ms) -> row, a table by column name, NULL is nil | nil (there is none) | nil, err
 *   l:columns() -> their names */
#include "ledger/lookup.h"

#include "lua/binding.h"
#include "lua/ledger_row.h"

#include <stdlib.h>

/* result  of the question that was asked last, in case that an error keeps the caller from freeing it */
struct handle {
    struct ledger_lookup *lookup;
    struct ledger_result result;
};

static void close_handle(void *h)
{
    struct handle *handle = h;
    ledger_lookup_close(handle->lookup);
    ledger_result_free(&handle->result);
    free(handle);
}

static const struct lestL_class class;

static struct handle *check(lua_State *L)
{
    return lestL_check_object(L, 1, &class);
}

static int ask(lua_State *L)
{
    size_t len;
    struct lest_error err;
    struct handle *handle = check(L);
    const char *key = luaL_checklstring(L, 2, &len);
    lua_Integer max_ms = luaL_checkinteger(L, 3);
    luaL_argcheck(L, max_ms > 0 && max_ms <= 60000, 3, "max_ms is between 1 and 60000");
    if (ledger_lookup_ask(handle->lookup, key, len, (int)max_ms, &handle->result, &err))
        return lestL_fail(L, &err);
    if (handle->result.rows == 0)
        return 0;
    lestL_push_row(L, &handle->result, 0);
    ledger_result_free(&handle->result);
    return 1;
}

static int columns(lua_State *L)
{
    const struct handle *handle = check(L);
    size_t count = ledger_lookup_columns(handle->lookup);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, ledger_lookup_column(handle->lookup, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static const struct lestL_class class = {
    .name = "lest.lookup",
    .methods = (const luaL_Reg[]){ { "ask", ask }, { "columns", columns }, { NULL, NULL } },
    .close = close_handle,
};

static int open_lookup(lua_State *L)
{
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1), *sql = luaL_checkstring(L, 2);
    struct lestL_object *object = lestL_new_object(L, &class);
    struct handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        return lestL_no_memory(L);
    ledger_result_init(&handle->result);
    object->h = handle;
    if (ledger_lookup_open(path, sql, &handle->lookup, &err))
        return lestL_fail(L, &err);
    return 1;
}

int lestL_open_lookup(lua_State *L)
{
    static const luaL_Reg functions[] = { { "open", open_lookup }, { NULL, NULL } };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
