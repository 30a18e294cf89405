/* lest.ledger: one connection to a ledger.
 *
 *   ledger.open(path [, { busy_ms =, create =, sync_later =, max_pages =, progress = }]) -> ledger | nil, err
 *   ledger.check(path) -> true | nil, err
 *   l:run(name, { parameter = value }) -> rows changed | nil, err
 *   l:rows(name, { parameter = value }) -> list of rows, tables by column name, NULL is nil | nil, err
 *   l:begin() l:commit() l:rollback() l:savepoint() l:release() l:rollback_to() -> true | nil, err
 *   l:backup(path [, progress(done, all)]) -> true | nil, err
 *   l:commit(callback) -> true (committed) | nil, err; l:sync(callback)
 *     where opened with sync_later: callback(true) once it is durable, or callback(nil, err), in the order of
 *     the calls, from the loop; never if the ledger is closed first
 *
 * A wrong statement, a wrong or missing parameter and a call out of order are a programmer's mistakes. */
#include "ledger/ledger.h"

#include "lua/ledger_row.h"
#include "lua/ledger_sync.h"

#include <stdlib.h>
#include <string.h>

static const struct lestL_class class;

static struct lestL_ledger *check_handle(lua_State *L)
{
    return lestL_check_object(L, 1, &class);
}

static const char *type_words(enum ledger_type type)
{
    return type == LEDGER_INTEGER ? "an integer" : "a string";
}

static int fail_unknown(lua_State *L, const struct ledger_statement *statement, const char *key)
{
    const char *known[LEDGER_PARAMETERS_MAX + 1] = { NULL };
    for (size_t i = 0; statement->parameters[i].name; i++)
        known[i] = statement->parameters[i].name;
    const char *nearest = lestL_nearest(key, known);
    return luaL_error(L, "%s has no parameter '%s'%s%s%s", statement->name, key,
                      nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* The place of the parameter whose name is at idx. */
static size_t find_parameter(lua_State *L, int idx, const struct ledger_statement *statement)
{
    if (lua_type(L, idx) != LUA_TSTRING)
        luaL_error(L, "%s: parameters are named, not numbered", statement->name);
    const char *key = lua_tostring(L, idx);
    const struct ledger_parameter *p = statement->parameters;
    while (p->name && (*p->name != *key || strcmp(p->name, key) != 0))
        p++;
    if (!p->name)
        fail_unknown(L, statement, key);
    return (size_t)(p - statement->parameters);
}

/* The value on top. */
static void read_value(lua_State *L, const struct ledger_statement *statement,
                       const struct ledger_parameter *p, struct ledger_value *value)
{
    value->type = p->type;
    if (p->type == LEDGER_INTEGER && lua_isinteger(L, -1))
        value->integer = lua_tointeger(L, -1);
    else if (p->type != LEDGER_INTEGER && lua_type(L, -1) == LUA_TSTRING)
        value->bytes = lua_tolstring(L, -1, &value->len);
    else
        luaL_error(L, "%s: '%s' takes %s, not a %s", statement->name, p->name, type_words(p->type),
                   luaL_typename(L, -1));
}

/* The table at idx keeps the strings alive. */
static void read_values(lua_State *L, int idx, const struct ledger_statement *statement,
                        struct ledger_value *values)
{
    const struct ledger_parameter *parameters = statement->parameters;
    for (size_t i = 0; parameters[i].name; i++)
        values[i] = (struct ledger_value){ 0 };
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        size_t i = find_parameter(L, -2, statement);
        read_value(L, statement, &parameters[i], &values[i]);
    }
    for (size_t i = 0; parameters[i].name; i++)
        if (values[i].type == LEDGER_NULL && !parameters[i].optional)
            luaL_error(L, "%s needs '%s'", statement->name, parameters[i].name);
}

/* Runs the statement named by argument 2 with the parameters of argument 3. The result is the handle's, which
 * frees it before the next and when it is closed, in case that an error keeps the caller from it. */
static enum lest_status run_statement(lua_State *L, struct ledger_result **out, struct lest_error *err)
{
    struct ledger_value values[LEDGER_PARAMETERS_MAX];
    struct lestL_ledger *handle = check_handle(L);
    const char *name = luaL_checkstring(L, 2);
    const struct ledger_statement *statement = ledger_statement_find(name);
    if (!statement)
        luaL_error(L, "the ledger has no statement '%s'", name);
    lua_settop(L, 3);
    if (lua_isnil(L, 3)) {
        lua_newtable(L);
        lua_replace(L, 3);
    }
    luaL_checktype(L, 3, LUA_TTABLE);
    read_values(L, 3, statement, values);
    *out = &handle->result;
    return ledger_run(handle->ledger, statement, values, *out, err);
}

static int run(lua_State *L)
{
    struct lest_error err;
    struct ledger_result *result;
    if (run_statement(L, &result, &err))
        return lestL_fail(L, &err);
    lua_pushinteger(L, result->changes);
    ledger_result_free(result);
    return 1;
}

static int rows(lua_State *L)
{
    struct lest_error err;
    struct ledger_result *result;
    if (run_statement(L, &result, &err))
        return lestL_fail(L, &err);
    lua_createtable(L, (int)result->rows, 0);
    for (size_t row = 0; row < result->rows; row++) {
        lestL_push_row(L, result, row);
        lua_rawseti(L, -2, (lua_Integer)row + 1);
    }
    ledger_result_free(result);
    return 1;
}

/* true, or nil and the error; a call out of order raises. */
static int done(lua_State *L, enum lest_status status, const struct lest_error *err)
{
    if (status == LEST_E_INTERNAL)
        return luaL_error(L, "%s", err->message);
    if (status)
        return lestL_fail(L, err);
    lua_pushboolean(L, 1);
    return 1;
}

static int control(lua_State *L, enum ledger_control what)
{
    struct lest_error err;
    enum lest_status status = ledger_control(check_handle(L)->ledger, what, &err);
    return done(L, status, &err);
}

static int begin(lua_State *L)
{
    return control(L, LEDGER_BEGIN);
}

static void check_later(lua_State *L, const struct lestL_ledger *handle)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_argcheck(L, handle->pool, 2, "the ledger was not opened with sync_later");
}

static int commit(lua_State *L)
{
    struct lestL_ledger *handle = check_handle(L);
    if (lua_isnoneornil(L, 2))
        return control(L, LEDGER_COMMIT);
    check_later(L, handle);
    struct lestL_object *object = lestL_ledger_new_waiter(L, 2);
    int results = control(L, LEDGER_COMMIT_LATER);
    if (results == 1)
        lestL_ledger_wait(handle, object);
    return results;
}

static int sync_later(lua_State *L)
{
    struct lestL_ledger *handle = check_handle(L);
    check_later(L, handle);
    struct lestL_object *object = lestL_ledger_new_waiter(L, 2);
    lestL_ledger_wait(handle, object);
    return 0;
}

static int rollback(lua_State *L)
{
    return control(L, LEDGER_ROLLBACK);
}

static int savepoint(lua_State *L)
{
    return control(L, LEDGER_SAVEPOINT);
}

static int release(lua_State *L)
{
    return control(L, LEDGER_RELEASE);
}

static int rollback_to(lua_State *L)
{
    return control(L, LEDGER_ROLLBACK_TO);
}

static void call_done(void *arg, int64_t done, int64_t all)
{
    lua_State *L = arg;
    lua_pushvalue(L, 3); /* SQLite is on the C stack: nothing here may raise */
    lua_pushinteger(L, done);
    lua_pushinteger(L, all);
    lestL_call(L, 2, 0, "ledger progress");
}

static int backup(lua_State *L)
{
    struct lest_error err;
    struct lestL_ledger *handle = check_handle(L);
    const char *path = luaL_checkstring(L, 2);
    lua_settop(L, 3);
    if (!lua_isnil(L, 3))
        luaL_checktype(L, 3, LUA_TFUNCTION);
    struct ledger_progress progress = { .call = call_done, .arg = L };
    enum lest_status status = ledger_backup(handle->ledger, path, lua_isnil(L, 3) ? NULL : &progress, &err);
    return done(L, status, &err);
}

/* ledger:copy() -> a file of Lua's */
static int copy(lua_State *L)
{
    struct lest_error err;
    struct lestL_ledger *handle = check_handle(L);
    luaL_Stream *stream = lestL_push_stream(L);
    int fd;
    if (ledger_copy(handle->ledger, &fd, &err))
        return lestL_fail(L, &err);
    if (!lestL_open_stream(stream, fd, "r"))
        return lestL_no_memory(L);
    return 1;
}

static const struct lestL_class class = {
    .name = "lest.ledger",
    .methods = (const luaL_Reg[]){ { "run", run },
                                   { "rows", rows },
                                   { "begin", begin },
                                   { "commit", commit },
                                   { "sync", sync_later },
                                   { "rollback", rollback },
                                   { "savepoint", savepoint },
                                   { "release", release },
                                   { "rollback_to", rollback_to },
                                   { "backup", backup },
                                   { "copy", copy },
                                   { NULL, NULL } },
    .close = lestL_ledger_close,
};

static void call_progress(void *arg, int64_t seconds)
{
    lua_State *L = arg;
    lua_pushvalue(L, 3); /* SQLite is on the C stack: nothing here may raise */
    lua_pushinteger(L, seconds);
    lestL_call(L, 1, 0, "ledger progress");
}

static int open_ledger(lua_State *L)
{
    static const char *const known[] = { "busy_ms",   "create",   "sync_later", "read_only",
                                         "max_pages", "progress", NULL };
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1);
    lua_settop(L, 2);
    lestL_check_options(L, 2, known);
    lua_Integer busy_ms = lestL_opt_integer(L, 2, "busy_ms", LEDGER_BUSY_MS);
    luaL_argcheck(L, busy_ms >= 0 && busy_ms <= 3600000, 2, "busy_ms is between 0 and 3600000");
    lua_Integer max_pages = lestL_opt_integer(L, 2, "max_pages", 0);
    luaL_argcheck(L, max_pages >= 0, 2, "max_pages is not negative");
    struct ledger_options options = {
        .busy_ms = (int)busy_ms,
        .create = lestL_opt_boolean(L, 2, "create", true),
        .sync_later = lestL_opt_boolean(L, 2, "sync_later", false),
        .read_only = lestL_opt_boolean(L, 2, "read_only", false),
        .max_pages = max_pages,
        .progress_arg = L,
    };
    if (!lua_isnil(L, 2) && lua_getfield(L, 2, "progress") == LUA_TFUNCTION)
        options.progress = call_progress;
    struct lestL_object *object = lestL_new_object(L, &class);
    struct lestL_ledger *handle = object->h = calloc(1, sizeof *handle);
    if (!handle)
        return lestL_no_memory(L);
    if (lestL_ledger_open(L, handle, path, &options, &err))
        return lestL_fail(L, &err);
    return 1;
}

/* ledger.check(path) -> true | nil, err: see ledger_check() */
static int check_ledger(lua_State *L)
{
    struct lest_error err;
    if (ledger_check(luaL_checkstring(L, 1), &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* ledger.statements() -> { [name] = { sql =, parameters = { [name] = "integer" | "text" | "blob" } } } */
static int statements(lua_State *L)
{
    static const char *const words[] = {
        [LEDGER_NULL] = "null", [LEDGER_INTEGER] = "integer", [LEDGER_TEXT] = "text", [LEDGER_BLOB] = "blob"
    };
    lua_createtable(L, 0, (int)ledger_statement_count);
    for (size_t i = 0; i < ledger_statement_count; i++) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, ledger_statements[i].sql);
        lua_setfield(L, -2, "sql");
        lua_newtable(L);
        for (const struct ledger_parameter *p = ledger_statements[i].parameters; p->name; p++) {
            lua_pushstring(L, words[p->type]);
            lua_setfield(L, -2, p->name);
        }
        lua_setfield(L, -2, "parameters");
        lua_setfield(L, -2, ledger_statements[i].name);
    }
    return 1;
}

int lestL_open_ledger(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "open", open_ledger },
        { "check", check_ledger },
        { "statements", statements },
        { NULL, NULL },
    };
    lestL_class_register(L, &class);
    lestL_class_register(L, &lestL_waiter_class);
    luaL_newlib(L, functions);
    lua_pushinteger(L, ledger_schema_version());
    lua_setfield(L, -2, "schema_version");
    return 1;
}
