/* class lest.http_connection: one connection of a core.http_client that is driven by hand. */
#include "lua/dial.h"

#include "net/dial.h"

#include "lua/binding.h"
#include "lua/loop.h"
#include "lua/options.h"
#include "lua/seen.h"

#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 60000, BODY_MAX = 4 * 1024 * 1024 };

/* A connection and who waits for its operation. Its userdata holds the client's. */
struct connection {
    struct net_dial *dial;
    struct lestL_callback callback;
    bool receives;
};

static void close_connection(void *h)
{
    struct connection *connection = h;
    net_dial_free(connection->dial);
    lestL_callback_clear(&connection->callback);
    free(connection);
}

static const struct lestL_class class;

static struct connection *check(lua_State *L)
{
    return lestL_check_object(L, 1, &class);
}

void lestL_push_headers(lua_State *L, const struct http_header *headers, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_createtable(L, 2, 0);
        lua_pushlstring(L, headers[i].name.data, headers[i].name.len);
        lua_rawseti(L, -2, 1);
        lua_pushlstring(L, headers[i].value.data, headers[i].value.len);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_answer(lua_State *L, const struct net_incoming *in)
{
    const struct lest_buf *body = &in->reader.body;
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, in->status);
    lua_setfield(L, -2, "status");
    lestL_push_headers(L, in->reader.headers, in->reader.header_count);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, body->len ? (const char *)body->data : "", body->len);
    lua_setfield(L, -2, "body");
}

struct delivery {
    struct connection *connection;
    const struct lest_error *err;
};

/* Runs protected, since making tables may raise: (callback, delivery). The callback may close the
 * connection. */
static int deliver(lua_State *L)
{
    const struct delivery *delivery = lua_touserdata(L, 2);
    lua_settop(L, 1);
    if (delivery->err) {
        lua_pushnil(L);
        lestL_push_error(L, delivery->err);
        lua_call(L, 2, 0);
        return 0;
    }
    if (delivery->connection->receives)
        push_answer(L, net_dial_get0_incoming(delivery->connection->dial));
    else
        lua_pushboolean(L, 1);
    lua_call(L, 1, 0);
    return 0;
}

static void on_done(void *arg, const struct lest_error *err)
{
    struct connection *connection = arg;
    struct delivery delivery = { connection, err };
    lua_State *L = lestL_callback_push(&connection->callback);
    if (!L)
        return;
    lestL_callback_clear(&connection->callback);
    lua_pushcfunction(L, deliver);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, &delivery);
    lestL_call(L, 2, 0, "end of an operation of a connection");
}

static int64_t opt_timeout(lua_State *L)
{
    lua_Integer timeout_ms = lestL_opt_integer(L, 2, "timeout_ms", TIMEOUT_MS);
    luaL_argcheck(L, timeout_ms > 0, 2, "a timeout is more than 0");
    return timeout_ms;
}

static void keep_callback(lua_State *L, struct connection *connection)
{
    lua_getfield(L, 2, "callback");
    lestL_callback_set(L, -1, &connection->callback);
    lua_pop(L, 1);
}

/* client:connect{ url =, callback =, timeout_ms = } -> connection | nil, err. The callback gets true, or nil
 * and an error; connection:facts() then says more in both cases. */
int lestL_dial(lua_State *L, struct net_client *client)
{
    static const char *const known[] = { "url", "callback", "timeout_ms", NULL };
    struct lest_error err;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lestL_check_options(L, 2, known);
    const char *url = lestL_opt_string(L, 2, "url", NULL);
    luaL_argcheck(L, url, 2, "a connection has a url");
    int64_t timeout_ms = opt_timeout(L);
    struct lestL_object *object = lestL_new_object(L, &class);
    struct connection *connection = object->h = calloc(1, sizeof *connection);
    if (!connection)
        return lestL_no_memory(L);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    keep_callback(L, connection);
    if (net_dial_open(client, url, timeout_ms, on_done, connection, &connection->dial, &err))
        return lestL_fail(L, &err);
    return 1;
}

/* Nothing may replace the callback of an operation that is under way. */
static void check_idle(lua_State *L, const struct connection *connection)
{
    if (connection->callback.L)
        luaL_error(L, "another operation of this connection is under way");
}

/* connection:send{ bytes =, callback =, timeout_ms = } -> connection | nil, err. The callback gets true, or
 * nil and an error. Closing the connection cancels it. */
static int send_bytes(lua_State *L)
{
    static const char *const known[] = { "bytes", "callback", "timeout_ms", NULL };
    struct lest_error err;
    struct connection *connection = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lestL_check_options(L, 2, known);
    check_idle(L, connection);
    int64_t timeout_ms = opt_timeout(L);
    size_t len;
    lua_getfield(L, 2, "bytes");
    const char *bytes = luaL_checklstring(L, 3, &len);
    keep_callback(L, connection);
    connection->receives = false;
    if (net_dial_send(connection->dial, bytes, len, timeout_ms, on_done, &err)) {
        lestL_callback_clear(&connection->callback);
        return lestL_fail(L, &err);
    }
    lua_settop(L, 1);
    return 1;
}

/* connection:receive{ callback =, timeout_ms =, head_only = false, max_body = } -> connection | nil, err. The
 * callback gets { status, headers, body }, or nil and an error; connection:raw() has the bytes. */
static int receive(lua_State *L)
{
    static const char *const known[] = { "callback", "timeout_ms", "head_only", "max_body", NULL };
    struct lest_error err;
    struct connection *connection = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lestL_check_options(L, 2, known);
    check_idle(L, connection);
    int64_t timeout_ms = opt_timeout(L);
    bool head_only = lestL_opt_boolean(L, 2, "head_only", false);
    lua_Integer max = lestL_opt_integer(L, 2, "max_body", BODY_MAX);
    luaL_argcheck(L, max >= 0 && max <= BODY_MAX, 2, "max_body is a number of bytes, at most 4 MiB");
    keep_callback(L, connection);
    connection->receives = true;
    if (net_dial_receive(connection->dial, head_only, (size_t)max, timeout_ms, on_done, &err)) {
        lestL_callback_clear(&connection->callback);
        return lestL_fail(L, &err);
    }
    lua_settop(L, 1);
    return 1;
}

/* connection:raw(): the bytes of the last answer, or what came in place of one */
static int raw(lua_State *L)
{
    const struct net_incoming *in = net_dial_get0_incoming(check(L)->dial);
    size_t len = in->is_done ? in->at : in->raw.len;
    lua_pushlstring(L, len ? (const char *)in->raw.data : "", len);
    return 1;
}

/* connection:facts(): { address =, port =, tls = } */
static int facts(lua_State *L)
{
    long port;
    struct net_dial *dial = check(L)->dial;
    lua_createtable(L, 0, 3);
    lua_pushstring(L, net_dial_address(dial, &port));
    lua_setfield(L, -2, "address");
    lua_pushinteger(L, port);
    lua_setfield(L, -2, "port");
    lestL_push_client_peer(L, net_dial_get0_peer(dial));
    lua_setfield(L, -2, "tls");
    return 1;
}

static const luaL_Reg methods[] = {
    { "send", send_bytes }, { "receive", receive }, { "raw", raw }, { "facts", facts }, { NULL, NULL }
};

static const struct lestL_class class = {
    .name = "lest.http_connection",
    .methods = methods,
    .close = close_connection,
};

void lestL_register_dial(lua_State *L)
{
    lestL_class_register(L, &class);
}
