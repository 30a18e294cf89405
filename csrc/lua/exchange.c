/* Class lest.exchange: a request to the server, and its answer. Objects come from core.server's callbacks.
 *
 *   fields    id method target path query version content_length body address port tls peer_chain
 *             peer_expired peer_refusal peer_identity aborted
 *   x:header(name) -> first value or nil      x:headers(name) -> list      x:headers() -> list of pairs
 *   x:respond{ status =, headers = { { name, value } }, body = } -> true | false: gone | nil, err
 *             the body is a string, or a lest.sealed, which is sent from where it is
 *   x:respond{ raw = bytes }  exactly these, and then the end of the connection
 *   x:on_abort(fn)  fn(why [, status, reason]) is called if the answer is no longer waited for; status and
 *                   reason are what the server answered by itself
 *   x:channel_binding() -> in base64, that of its connection; nil: it has none, or the client has gone */
#include "lua/exchange.h"

#include "lua/cert.h"
#include "lua/loop.h"
#include "lua/sealed.h"

#include <stdlib.h>
#include <string.h>

enum { ANSWER_HEADERS_MAX = 64 };

struct handle {
    lua_State *L;
    struct net_exchange *exchange;
    struct lestL_callback on_abort;
};

static void close_exchange(void *h)
{
    struct handle *handle = h;
    lestL_callback_clear(&handle->on_abort);
    if (handle->exchange)
        handle->exchange->user = NULL;
    net_exchange_free(handle->exchange);
    free(handle);
}

static const struct lestL_class class;

static struct handle *check(lua_State *L)
{
    return lestL_check_object(L, 1, &class);
}

void lestL_push_exchange(lua_State *L, struct net_exchange *exchange)
{
    if (exchange->user) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, exchange->user);
        return;
    }
    struct lestL_object *object = lestL_new_object(L, &class);
    struct handle *handle = object->h = calloc(1, sizeof *handle);
    if (!handle)
        lestL_no_memory(L);
    handle->L = lestL_main(L);
    handle->exchange = net_exchange_ref(exchange);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, handle);
    exchange->user = handle;
}

/* callback, exchange: on_abort(why, status, reason), inside a protected call */
static int deliver_abort(lua_State *L)
{
    const struct net_exchange *exchange = lua_touserdata(L, 2);
    lua_settop(L, 1);
    lua_pushstring(L, exchange->why_aborted);
    if (exchange->refusal.status) {
        lua_pushinteger(L, exchange->refusal.status);
        lua_pushstring(L, exchange->refusal.reason);
    }
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

void lestL_exchange_abort(struct net_exchange *exchange)
{
    struct handle *handle = exchange->user;
    lua_State *L = handle ? lestL_callback_push(&handle->on_abort) : NULL;
    if (!L)
        return;
    lestL_callback_clear(&handle->on_abort);
    lua_pushcfunction(L, deliver_abort);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, exchange);
    lestL_call(L, 2, 0, "on_abort");
}

void lestL_exchange_done(struct net_exchange *exchange)
{
    struct handle *handle = exchange->user;
    if (!handle)
        return;
    lestL_callback_clear(&handle->on_abort);
    lua_pushnil(handle->L);
    lua_rawsetp(handle->L, LUA_REGISTRYINDEX, handle);
}

static void push_slice(lua_State *L, struct http_slice s)
{
    if (s.data)
        lua_pushlstring(L, s.data, s.len);
    else
        lua_pushnil(L);
}

static const struct http_request *request_of(lua_State *L)
{
    return &check(L)->exchange->request;
}

static int get_id(lua_State *L)
{
    lua_pushstring(L, check(L)->exchange->id);
    return 1;
}

static int get_method(lua_State *L)
{
    push_slice(L, request_of(L)->method_name);
    return 1;
}

static int get_target(lua_State *L)
{
    push_slice(L, request_of(L)->target);
    return 1;
}

static int get_path(lua_State *L)
{
    push_slice(L, request_of(L)->path);
    return 1;
}

static int get_query(lua_State *L)
{
    push_slice(L, request_of(L)->query);
    return 1;
}

static int get_version(lua_State *L)
{
    lua_pushstring(L, request_of(L)->minor ? "1.1" : "1.0");
    return 1;
}

/* What was announced: 0 without a body, nil with chunks. */
static int get_content_length(lua_State *L)
{
    const struct http_request *request = request_of(L);
    if (request->framing == HTTP_BODY_CHUNKED)
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)request->body_len);
    return 1;
}

static int get_body(lua_State *L)
{
    const struct net_exchange *x = check(L)->exchange;
    if (x->complete)
        lua_pushlstring(L, x->body.len ? (const char *)x->body.data : "", x->body.len);
    else
        lua_pushnil(L);
    return 1;
}

static int get_address(lua_State *L)
{
    lua_pushstring(L, check(L)->exchange->peer->address);
    return 1;
}

static int get_port(lua_State *L)
{
    lua_pushinteger(L, check(L)->exchange->peer->port);
    return 1;
}

static int get_tls(lua_State *L)
{
    const struct net_peer *peer = check(L)->exchange->peer;
    lua_createtable(L, 0, 4);
    lua_pushstring(L, peer->version);
    lua_setfield(L, -2, "version");
    lua_pushstring(L, peer->cipher);
    lua_setfield(L, -2, "cipher");
    lua_pushstring(L, peer->group);
    lua_setfield(L, -2, "group");
    lua_pushboolean(L, peer->chain != NULL);
    lua_setfield(L, -2, "client_certificate");
    return 1;
}

static int push_chain(lua_State *L, const STACK_OF(X509) * chain)
{
    if (chain)
        lestL_push_x509s(L, chain);
    else
        lua_pushnil(L);
    return 1;
}

static int get_peer_chain(lua_State *L)
{
    return push_chain(L, check(L)->exchange->peer->chain);
}

static int get_peer_expired(lua_State *L)
{
    return push_chain(L, check(L)->exchange->peer->expired);
}

static int get_peer_refusal(lua_State *L)
{
    lua_pushstring(L, check(L)->exchange->peer->refusal); /* NULL is nil */
    return 1;
}

/* { kind =, name =, grant = } of a client without certificates, or nil */
static int get_peer_identity(lua_State *L)
{
    const struct net_identity *identity = check(L)->exchange->peer->identity;
    if (!identity) {
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, 0, 3);
    lua_pushstring(L, identity->kind);
    lua_setfield(L, -2, "kind");
    lua_pushlstring(L, (const char *)identity->name, identity->name_len);
    lua_setfield(L, -2, "name");
    lua_pushlstring(L, (const char *)identity->grant, identity->grant_len);
    lua_setfield(L, -2, "grant");
    return 1;
}

/* false, or why the answer is not waited for any more */
static int get_aborted(lua_State *L)
{
    const char *why = check(L)->exchange->why_aborted;
    if (why)
        lua_pushstring(L, why);
    else
        lua_pushboolean(L, 0);
    return 1;
}

static int header(lua_State *L)
{
    const char *name = luaL_checkstring(L, 2);
    const struct http_header *found = http_request_header(request_of(L), name);
    if (found)
        lua_pushlstring(L, found->value.data, found->value.len);
    else
        lua_pushnil(L);
    return 1;
}

static int headers(lua_State *L)
{
    const char *name = luaL_optstring(L, 2, NULL);
    const struct http_request *request = request_of(L);
    lua_newtable(L);
    for (size_t i = 0, n = 0; i < request->header_count; i++) {
        const struct http_header *h = &request->headers[i];
        if (name && !http_equal_nocase(h->name, http_text(name)))
            continue;
        if (!name) {
            lua_createtable(L, 2, 0);
            lua_pushlstring(L, h->name.data, h->name.len);
            lua_rawseti(L, -2, 1);
        }
        lua_pushlstring(L, h->value.data, h->value.len);
        if (!name)
            lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (lua_Integer)++n);
    }
    return 1;
}

/* A string of the table at idx, which keeps it alive; a number is written in place. */
static struct http_slice table_slice(lua_State *L, int idx, lua_Integer i, const char *what)
{
    struct http_slice s;
    if (lua_geti(L, idx, i) != LUA_TSTRING)
        luaL_error(L, "headers: each is { name, value }, two strings (%s is a %s)", what,
                   luaL_typename(L, -1));
    s.data = lua_tolstring(L, -1, &s.len);
    lua_pop(L, 1);
    return s;
}

static size_t read_headers(lua_State *L, int idx, struct http_header *out)
{
    lua_Integer count = lua_isnil(L, idx) ? 0 : luaL_len(L, idx);
    if (count > ANSWER_HEADERS_MAX)
        luaL_error(L, "headers: at most %d", ANSWER_HEADERS_MAX);
    for (lua_Integer i = 1; i <= count; i++) {
        if (lua_geti(L, idx, i) != LUA_TTABLE)
            luaL_error(L, "headers: each is { name, value }");
        int pair = lua_gettop(L);
        out[i - 1].name = table_slice(L, pair, 1, "name");
        out[i - 1].value = table_slice(L, pair, 2, "value");
        lua_pop(L, 1);
    }
    return (size_t)count;
}

/* The field `body` of the table at 2, left on the stack */
static void read_body(lua_State *L, struct net_answer *answer)
{
    lua_getfield(L, 2, "body");
    answer->sealed = lestL_test_sealed(L, -1);
    if (answer->sealed)
        return;
    lua_pop(L, 1);
    lestL_opt_string(L, 2, "body", NULL);
    lua_getfield(L, 2, "body");
    answer->body.data = lua_tolstring(L, -1, &answer->body.len);
    if (!answer->body.data)
        answer->body.len = 0;
}

static int respond(lua_State *L)
{
    static const char *const known[] = { "status", "headers", "body", "raw", NULL };
    struct lest_error err;
    struct http_header list[ANSWER_HEADERS_MAX];
    struct net_answer answer = { .headers = list };
    struct handle *handle = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lestL_check_options(L, 2, known);
    lua_settop(L, 2);
    lestL_opt_string(L, 2, "raw", NULL);
    lua_getfield(L, 2, "raw");
    answer.raw.data = lua_tolstring(L, 3, &answer.raw.len);
    lua_pop(L, 1); /* the table keeps the string */
    answer.status = (int)lestL_opt_integer(L, 2, "status", answer.raw.data ? 200 : 0);
    lua_getfield(L, 2, "headers");
    answer.header_count = read_headers(L, 3, list);
    read_body(L, &answer);
    switch (net_exchange_respond(handle->exchange, &answer, &err)) {
    case LEST_OK: lua_pushboolean(L, 1); return 1;
    case LEST_E_CLOSED: lua_pushboolean(L, 0); return 1;
    case LEST_E_USAGE: return luaL_error(L, "%s", err.message);
    default: return lestL_fail(L, &err);
    }
}

static int on_abort(lua_State *L)
{
    struct handle *handle = check(L);
    if (lua_isnoneornil(L, 2))
        lestL_callback_clear(&handle->on_abort);
    else
        lestL_callback_set(L, 2, &handle->on_abort);
    return 0;
}

static int channel_binding(lua_State *L)
{
    char text[NET_BINDING_SIZE];
    if (!net_exchange_binding(check(L)->exchange, text))
        return 0;
    lua_pushstring(L, text);
    return 1;
}

static int exchange_tostring(lua_State *L)
{
    struct handle *handle = lestL_test_object(L, 1, &class);
    if (!handle) {
        lua_pushliteral(L, "lest.exchange (closed)");
        return 1;
    }
    const struct http_request *request = &handle->exchange->request;
    lua_pushliteral(L, "lest.exchange ");
    push_slice(L, request->method_name);
    lua_pushliteral(L, " ");
    push_slice(L, request->target);
    lua_concat(L, 4);
    return 1;
}

static const struct lestL_class class = {
    .name = "lest.exchange",
    .methods = (const luaL_Reg[]){ { "header", header },
                                   { "headers", headers },
                                   { "respond", respond },
                                   { "on_abort", on_abort },
                                   { "channel_binding", channel_binding },
                                   { NULL, NULL } },
    .getters = (const luaL_Reg[]){ { "id", get_id },
                                   { "method", get_method },
                                   { "target", get_target },
                                   { "path", get_path },
                                   { "query", get_query },
                                   { "version", get_version },
                                   { "content_length", get_content_length },
                                   { "body", get_body },
                                   { "address", get_address },
                                   { "port", get_port },
                                   { "tls", get_tls },
                                   { "peer_chain", get_peer_chain },
                                   { "peer_expired", get_peer_expired },
                                   { "peer_refusal", get_peer_refusal },
                                   { "peer_identity", get_peer_identity },
                                   { "aborted", get_aborted },
                                   { NULL, NULL } },
    .meta = (const luaL_Reg[]){ { "__tostring", exchange_tostring }, { NULL, NULL } },
    .close = close_exchange,
};

void lestL_register_exchange(lua_State *L)
{
    lestL_class_register(L, &class);
}
