/* core.server: the HTTPS server (class lest.server); with tls = false, in so many words, one of plain HTTP.
 *
 *   server.new{ fds = or listen =, tls =, limits =, on_head =, on_request =, on_handshake_error =,
 *     on_identity =, balancers = } -> s, or nil and an error. tls: one for all sockets, or a list of one for
 *     each. balancers: a list for each socket of those that say there who the client is; a network is a byte,
 *     its bits, and an IPv6 address of 16, or one of IPv4 as ::ffff:a.b.c.d
 *   server.limits() -> { name = { default =, min =, max = } }
 *   s.address  s.connections  s.requests  s:pause()  s:resume()  s:stop()  s:close()
 *
 * The registry holds an open server, so it serves until it is closed, even if the
 * script keeps no reference. */
#include "net/server.h"

#include "lua/exchange.h"
#include "lua/identity.h"
#include "lua/loop.h"
#include "lua/tls.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct server {
    lua_State *L;
    struct net_server *net;
    struct lestL_callback on_head;
    struct lestL_callback on_request;
    struct lestL_callback on_handshake_error;
    struct lestL_callback on_identity;
};

static void close_server(void *h)
{
    struct server *server = h;
    net_server_free(server->net);
    lestL_callback_clear(&server->on_head);
    lestL_callback_clear(&server->on_request);
    lestL_callback_clear(&server->on_handshake_error);
    lestL_callback_clear(&server->on_identity);
    lua_pushnil(server->L);
    lua_rawsetp(server->L, LUA_REGISTRYINDEX, server);
    free(server);
}

/* callback, exchange: inside a protected call, since making the object may raise */
static int deliver(lua_State *L)
{
    struct net_exchange *exchange = lua_touserdata(L, 2);
    lua_settop(L, 1);
    lestL_push_exchange(L, exchange);
    lua_call(L, 1, 0);
    return 0;
}

/* Call a handler of the script. When it raises, the client gets 500 without a body: what went wrong is for
 * the log, not for the client. */
static void call(struct lestL_callback *callback, struct net_exchange *exchange, const char *what)
{
    static const struct net_answer failure = { .status = 500 };
    struct lest_error err;
    lua_State *L = lestL_callback_push(callback);
    if (!L)
        return;
    lua_pushcfunction(L, deliver);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, exchange);
    net_exchange_ref(exchange);
    if (!lestL_call(L, 2, 0, what) && !exchange->answered && net_exchange_respond(exchange, &failure, &err)) {
    }
    net_exchange_free(exchange);
}

static void handle_head(void *arg, struct net_exchange *exchange)
{
    struct server *server = arg;
    call(&server->on_head, exchange, "on_head");
}

static void handle_request(void *arg, struct net_exchange *exchange)
{
    struct server *server = arg;
    call(&server->on_request, exchange, "on_request");
}

static void handle_abort(void *arg, struct net_exchange *exchange)
{
    (void)arg;
    lestL_exchange_abort(exchange);
}

static void handle_done(void *arg, struct net_exchange *exchange)
{
    (void)arg;
    lestL_exchange_done(exchange);
}

struct failure {
    const struct net_peer *peer;
    const struct lest_error *why;
};

/* callback, failure: on_handshake_error(err, address, port) */
static int deliver_failure(lua_State *L)
{
    const struct failure *failure = lua_touserdata(L, 2);
    lua_settop(L, 1);
    lestL_push_error(L, failure->why);
    lua_pushstring(L, failure->peer->address);
    lua_pushinteger(L, failure->peer->port);
    lua_call(L, 3, 0);
    return 0;
}

static void handle_failure(void *arg, const struct net_peer *peer, const struct lest_error *why)
{
    struct server *server = arg;
    struct failure failure = { peer, why };
    lua_State *L = lestL_callback_push(&server->on_handshake_error);
    if (!L)
        return;
    lua_pushcfunction(L, deliver_failure);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, &failure);
    lestL_call(L, 2, 0, "on_handshake_error");
}

/* callback, identity: on_identity(identity) */
static int deliver_identity(lua_State *L)
{
    struct net_identity *identity = lua_touserdata(L, 2);
    lua_settop(L, 1);
    lestL_push_identity(L, identity);
    lua_call(L, 1, 0);
    return 0;
}

/* Without an answer of the script the handshake fails. */
static void handle_identity(void *arg, struct net_identity *identity)
{
    struct server *server = arg;
    struct lest_error err;
    lua_State *L = lestL_callback_push(&server->on_identity);
    net_identity_ref(identity);
    if (L) {
        lua_pushcfunction(L, deliver_identity);
        lua_insert(L, -2);
        lua_pushlightuserdata(L, identity);
    }
    if ((!L || !lestL_call(L, 2, 0, "on_identity")) && net_identity_answer(identity, NULL, NULL, 0, &err)) {
    }
    net_identity_free(identity);
}

static int server_pause(lua_State *L);
static int server_resume(lua_State *L);
static int server_stop(lua_State *L);
static int get_address(lua_State *L);
static int get_connections(lua_State *L);
static int get_requests(lua_State *L);

static const struct lestL_class class = {
    .name = "lest.server",
    .methods =
        (const luaL_Reg[]){
            { "pause", server_pause }, { "resume", server_resume }, { "stop", server_stop }, { NULL, NULL } },
    .getters = (const luaL_Reg[]){ { "address", get_address },
                                   { "connections", get_connections },
                                   { "requests", get_requests },
                                   { NULL, NULL } },
    .close = close_server,
};

static struct net_server *check(lua_State *L)
{
    struct server *server = lestL_check_object(L, 1, &class);
    return server->net;
}

static int server_pause(lua_State *L)
{
    net_server_pause(check(L));
    return 0;
}

static int server_resume(lua_State *L)
{
    net_server_resume(check(L));
    return 0;
}

static int server_stop(lua_State *L)
{
    net_server_stop(check(L));
    return 0;
}

static int get_address(lua_State *L)
{
    lua_pushstring(L, net_server_address(check(L)));
    return 1;
}

static int get_connections(lua_State *L)
{
    lua_pushinteger(L, net_server_connections(check(L)));
    return 1;
}

static int get_requests(lua_State *L)
{
    lua_pushinteger(L, net_server_requests(check(L)));
    return 1;
}

static int opt_limit(lua_State *L, int idx, const char *key, int absent, int lowest)
{
    lua_Integer value = lestL_opt_integer(L, idx, key, absent);
    if (value < lowest || value > NET_LIMIT_MAX)
        luaL_error(L, "limit '%s' is out of range", key);
    return (int)value;
}

static void read_limits(lua_State *L, int idx, struct net_limits *limits)
{
    static const char *const known[] = {
#define X(name, value, lowest) #name,
        NET_LIMITS(X)
#undef X
            NULL
    };
    lestL_check_options(L, idx, known);
#define X(name, value, lowest) limits->name = opt_limit(L, idx, #name, value, lowest);
    NET_LIMITS(X)
#undef X
}

static void opt_callback(lua_State *L, const char *key, struct lestL_callback *callback)
{
    lua_getfield(L, 1, key);
    if (!lua_isnil(L, -1))
        lestL_callback_set(L, -1, callback);
    lua_pop(L, 1);
}

/* The listening sockets of option fds; 0: there is none. */
static size_t read_fds(lua_State *L, struct net_listen *sockets)
{
    if (lua_getfield(L, 1, "fds") == LUA_TNIL) {
        lua_pop(L, 1);
        return 0;
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_Integer count = luaL_len(L, -1);
    luaL_argcheck(L, count >= 1 && count <= NET_LISTENING_MAX, 1, "fds: too few or too many");
    for (lua_Integer i = 1; i <= count; i++, lua_pop(L, 1)) {
        lua_geti(L, -1, i);
        lua_Integer fd = luaL_checkinteger(L, -1);
        luaL_argcheck(L, fd >= 0 && fd <= INT_MAX, 1, "fds: no descriptor");
        sockets[i - 1].fd = (int)fd;
    }
    lua_pop(L, 1);
    return (size_t)count;
}

/* What stands for a tls; its object is kept by the table of options. */
static struct net_tls *tls_at(lua_State *L, int idx)
{
    bool is_plain = lua_isboolean(L, idx) && !lua_toboolean(L, idx);
    return is_plain ? NULL : lestL_check_tls(L, idx);
}

/* Option tls, for each of so many sockets. */
static void read_tls(lua_State *L, size_t count, struct net_listen *sockets)
{
    bool is_list = lua_getfield(L, 1, "tls") == LUA_TTABLE;
    luaL_argcheck(L, !is_list || lua_rawlen(L, -1) == count, 1, "tls: one for each socket");
    for (size_t i = 0; i < count; i++) {
        if (is_list)
            lua_rawgeti(L, -1, (lua_Integer)i + 1);
        sockets[i].tls = tls_at(L, lua_gettop(L));
        lua_settop(L, 2);
    }
    lua_pop(L, 1);
}

/* The networks of one socket, at the top. */
static void read_networks(lua_State *L, struct net_listen *socket)
{
    luaL_checktype(L, -1, LUA_TTABLE);
    socket->balancers_count = lua_rawlen(L, -1);
    luaL_argcheck(L, socket->balancers_count <= NET_BALANCERS_MAX, 1, "balancers: too many networks");
    for (size_t i = 0; i < socket->balancers_count; i++, lua_pop(L, 1)) {
        struct net_network *network = &socket->balancers[i];
        size_t len = 0;
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        const char *bytes = lua_tolstring(L, -1, &len);
        luaL_argcheck(L, bytes && len == 1 + sizeof network->address && (uint8_t)bytes[0] <= 128, 1,
                      "balancers: no network");
        network->bits = (uint8_t)bytes[0];
        memcpy(network->address, bytes + 1, sizeof network->address);
    }
}

/* Option balancers, for each of so many sockets. */
static void read_balancers(lua_State *L, size_t count, struct net_listen *sockets)
{
    if (lua_getfield(L, 1, "balancers") != LUA_TNIL) {
        luaL_checktype(L, -1, LUA_TTABLE);
        luaL_argcheck(L, lua_rawlen(L, -1) == count, 1, "balancers: a list for each socket");
        for (size_t i = 0; i < count; i++, lua_pop(L, 1)) {
            lua_rawgeti(L, -1, (lua_Integer)i + 1);
            read_networks(L, &sockets[i]);
        }
    }
    lua_pop(L, 1);
}

static int new_server(lua_State *L)
{
    static const char *const known[] = { "fds",         "listen",  "tls",        "balancers",
                                         "limits",      "on_head", "on_request", "on_handshake_error",
                                         "on_identity", NULL };
    struct lest_error err;
    struct net_limits limits;
    luaL_checktype(L, 1, LUA_TTABLE);
    lestL_check_options(L, 1, known);
    lua_settop(L, 1);
    lua_getfield(L, 1, "limits");
    read_limits(L, 2, &limits);
    lua_settop(L, 1);
    const char *listen = lestL_opt_string(L, 1, "listen", NULL);
    struct net_listen sockets[NET_LISTENING_MAX] = { 0 };
    size_t count = read_fds(L, sockets);
    luaL_argcheck(L, (listen != NULL) != (count > 0), 1, "either fds or listen");
    count = listen ? 1 : count;
    read_tls(L, count, sockets);
    read_balancers(L, count, sockets);
    struct lestL_object *object = lestL_new_object(L, &class);
    struct server *server = object->h = calloc(1, sizeof *server);
    if (!server)
        return lestL_no_memory(L);
    server->L = lestL_main(L);
    opt_callback(L, "on_head", &server->on_head);
    opt_callback(L, "on_request", &server->on_request);
    opt_callback(L, "on_handshake_error", &server->on_handshake_error);
    opt_callback(L, "on_identity", &server->on_identity);
    struct net_loop *loop = lestL_loop(L);
    const struct net_handler handler = { server,      handle_head,    handle_request, handle_abort,
                                         handle_done, handle_failure, handle_identity };
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, server);
    enum lest_status status = LEST_OK;
    if (listen)
        status = net_address_listen(listen, &sockets[0].fd, &err);
    if (!status)
        status = net_server_new(loop, sockets, count, &limits, &handler, &server->net, &err);
    if (status) {
        object->h = NULL;
        close_server(server);
        return lestL_fail(L, &err);
    }
    return 1;
}

static void push_limit(lua_State *L, const char *name, int value, int lowest)
{
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, value);
    lua_setfield(L, -2, "default");
    lua_pushinteger(L, lowest);
    lua_setfield(L, -2, "min");
    lua_pushinteger(L, NET_LIMIT_MAX);
    lua_setfield(L, -2, "max");
    lua_setfield(L, -2, name);
}

/* server.limits() */
static int known_limits(lua_State *L)
{
    lua_newtable(L);
#define X(name, value, lowest) push_limit(L, #name, value, lowest);
    NET_LIMITS(X)
#undef X
    return 1;
}

int lestL_open_server(lua_State *L)
{
    static const luaL_Reg functions[] = { { "new", new_server }, { "limits", known_limits }, { NULL, NULL } };
    lestL_class_register(L, &class);
    lestL_register_exchange(L);
    lestL_register_identity(L);
    luaL_newlib(L, functions);
    return 1;
}
