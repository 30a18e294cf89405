/* core.http_client (class lest.http_client): HTTPS requests on the loop. lest.http and lest.client are made
 * of it. */
#include "net/transfer.h"

#include "lua/binding.h"
#include "lua/cert.h"
#include "lua/dial.h"
#include "lua/loop.h"
#include "lua/pki.h"
#include "lua/seen.h"
#include "lua/store.h"

#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 4 * 1024 * 1024, TIMEOUT_MS = 60000, CONNECT_TIMEOUT_MS = 10000, IDLE_MS = 15000 };

static void close_client(void *h)
{
    net_client_free(h);
}

static const struct lestL_class client_class;

/* A request that was sent. Its userdata holds the client's, so that the collector closes it first. */
struct sent {
    struct net_transfer *transfer;
    struct lestL_callback callback;
    struct lestL_callback make_body;
};

static void close_sent(void *h)
{
    struct sent *sent = h;
    net_transfer_free(sent->transfer);
    lestL_callback_clear(&sent->callback);
    lestL_callback_clear(&sent->make_body);
    free(sent);
}

static const struct lestL_class sent_class;

/* request:was_sent() -> boolean: whether any of it may have reached the server */
static int was_sent(lua_State *L)
{
    const struct sent *sent = lestL_check_object(L, 1, &sent_class);
    lua_pushboolean(L, !sent->transfer || net_transfer_was_sent(sent->transfer));
    return 1;
}

static const luaL_Reg sent_methods[] = { { "was_sent", was_sent }, { NULL, NULL } };

static const struct lestL_class sent_class = {
    .name = "lest.http_request",
    .methods = sent_methods,
    .close = close_sent,
};

struct delivery {
    const struct net_response *answer;
    const struct lest_error *err;
    const struct net_seen *seen;
    bool was_sent;
};

static void push_answer(lua_State *L, const struct net_response *answer)
{
    lua_createtable(L, 0, 6);
    lua_pushinteger(L, answer->status);
    lua_setfield(L, -2, "status");
    lestL_push_headers(L, answer->headers, answer->header_count);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, answer->body.data ? answer->body.data : "", answer->body.len);
    lua_setfield(L, -2, "body");
    if (answer->tls_version) {
        lestL_push_x509s(L, answer->peer_chain);
        lua_setfield(L, -2, "peer_chain");
        lua_pushstring(L, answer->tls_version);
        lua_setfield(L, -2, "tls_version");
        lua_pushboolean(L, answer->by_cmc_ra);
        lua_setfield(L, -2, "by_cmc_ra");
    }
}

static void push_failure(lua_State *L, const struct delivery *delivery)
{
    lestL_push_error(L, delivery->err);
    lua_pushboolean(L, delivery->was_sent);
    lua_setfield(L, -2, "was_sent");
}

/* Runs protected, since making the answer's table may raise: (callback, delivery) */
static int deliver(lua_State *L)
{
    const struct delivery *delivery = lua_touserdata(L, 2);
    lua_settop(L, 1);
    if (delivery->answer) {
        push_answer(L, delivery->answer);
        lua_pushnil(L);
    } else {
        lua_pushnil(L);
        push_failure(L, delivery);
    }
    if (delivery->seen)
        lestL_push_seen(L, delivery->seen);
    else
        lua_pushnil(L);
    lua_call(L, 3, 0);
    return 0;
}

static void on_done(void *arg, const struct net_response *answer, const struct lest_error *err)
{
    struct sent *sent = arg;
    struct delivery delivery = { answer, err, net_transfer_get0_seen(sent->transfer),
                                 !answer && net_transfer_was_sent(sent->transfer) };
    lua_State *L = lestL_callback_push(&sent->callback);
    if (!L)
        return;
    lestL_callback_clear(&sent->callback);
    /* The callback may close the request; the answer is borrowed from the transfer until it returns. */
    struct net_transfer *transfer = sent->transfer;
    sent->transfer = NULL;
    lua_pushcfunction(L, deliver);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, &delivery);
    lestL_call(L, 2, 0, "answer to a request");
    net_transfer_free(transfer);
}

/* The body that Lua makes for a connection. Why it makes none, it has kept for itself. */
static enum lest_status make_body(void *arg, const char *binding, struct lest_buf *out,
                                  struct lest_error *err)
{
    struct sent *sent = arg;
    lua_State *L = lestL_callback_push(&sent->make_body);
    size_t len = 0;
    if (!L)
        return lest_error_set(err, LEST_E_INTERNAL, "the request has no body");
    lua_pushstring(L, binding);
    if (!lestL_call(L, 1, 1, "body of a request"))
        return lest_error_set(err, LEST_E_INTERNAL, "the body of the request cannot be made");
    const char *bytes = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    if (bytes)
        lest_buf_append(out, bytes, len);
    lua_pop(L, 1);
    return bytes ? lest_buf_status(out, err)
                 : lest_error_set(err, LEST_E_INTERNAL, "the body of the request cannot be made");
}

static enum net_trust read_trust(lua_State *L, struct net_client_tls_config *config)
{
    bool system = lestL_opt_boolean(L, 1, "system", false);
    bool provisional = lestL_opt_boolean(L, 1, "provisional", false);
    bool by_key = config->psk != NULL, by_password = config->srp_password != NULL;
    bool store = lua_getfield(L, 1, "store") != LUA_TNIL;
    if (system + provisional + store + by_key + by_password != 1)
        luaL_error(L, "a client trusts a store, the system, a key (psk), a password (srp), or anybody "
                      "(provisional): say which one");
    if (by_key || by_password)
        return by_key ? NET_TRUST_KEY : NET_TRUST_PASSWORD;
    if (store)
        config->anchors = pki_store_get0(lestL_check_store(L, -1));
    return store ? NET_TRUST_ANCHORS : system ? NET_TRUST_SYSTEM : NET_TRUST_PROVISIONAL;
}

/* The client's certificate with its chain, and its key. The X509 pointers lie in a userdata. */
static enum lest_status read_identity(lua_State *L, struct net_client_tls_config *config,
                                      struct lest_error *err)
{
    if (lua_getfield(L, 1, "cert") != LUA_TNIL) {
        struct pki_cert *cert = lestL_check_cert(L, -1);
        if (!(config->cert = pki_cert_get0_x509(cert, err)))
            return err->status;
        lua_getfield(L, -1, "chain");
        int list = lua_gettop(L);
        struct pki_certs *chain = lestL_certs(L);
        lestL_to_certs(L, list, "chain", chain);
        X509 **x509 = lua_newuserdatauv(L, (chain->count + 1) * sizeof *x509, 0);
        for (size_t i = 0; i < chain->count; i++)
            if (!(x509[i] = pki_cert_get0_x509(chain->list[i], err)))
                return err->status;
        config->chain = x509;
        config->chain_len = chain->count;
    }
    if (lua_getfield(L, 1, "key") != LUA_TNIL)
        config->key = lestL_check_key(L, -1)->pkey;
    return LEST_OK;
}

/* Whom the client names, with its key; the table keeps the strings. */
static void read_psk(lua_State *L, struct net_client_tls_config *config)
{
    config->psk_identity = lestL_opt_string(L, 1, "psk_identity", NULL);
    bool has_key = lua_getfield(L, 1, "psk") != LUA_TNIL;
    luaL_argcheck(L, has_key == (config->psk_identity != NULL), 1, "psk_identity needs psk, and psk it");
    if (has_key)
        config->psk = luaL_checklstring(L, -1, &config->psk_len);
    lua_pop(L, 1);
}

/* Likewise with its password. */
static void read_srp(lua_State *L, struct net_client_tls_config *config)
{
    config->srp_user = lestL_opt_string(L, 1, "srp_user", NULL);
    config->srp_password = lestL_opt_string(L, 1, "srp_password", NULL);
    luaL_argcheck(L, !config->srp_user == !config->srp_password, 1,
                  "srp_user needs srp_password, and srp_password it");
}

/* http_client.new{ store = | system = true | provisional = true | psk_identity =, psk = bytes | srp_user =,
 * srp_password =, cert =, key =, cmc_ra = false, plain_http = false, idle_ms = 15000, proxy =,
 * proxy_username =, proxy_password = } -> client | nil, err */
static int new (lua_State *L)
{
    static const char *const known[] = { "store", "system",         "provisional",    "cert",
                                         "key",   "cmc_ra",         "plain_http",     "idle_ms",
                                         "proxy", "proxy_username", "proxy_password", "psk_identity",
                                         "psk",   "srp_user",       "srp_password",   NULL };
    struct lest_error err;
    struct net_client *client;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lestL_check_options(L, 1, known);
    struct net_client_config config = {
        .tls.cmc_ra = lestL_opt_boolean(L, 1, "cmc_ra", false),
        .plain_http = lestL_opt_boolean(L, 1, "plain_http", false),
        .idle_ms = lestL_opt_integer(L, 1, "idle_ms", IDLE_MS),
        .proxy = lestL_opt_string(L, 1, "proxy", NULL),
        .proxy_username = lestL_opt_string(L, 1, "proxy_username", NULL),
        .proxy_password = lestL_opt_string(L, 1, "proxy_password", NULL),
    };
    luaL_argcheck(L, config.idle_ms >= 0, 1, "idle_ms is not negative");
    read_psk(L, &config.tls);
    read_srp(L, &config.tls);
    config.tls.trust = read_trust(L, &config.tls);
    if (read_identity(L, &config.tls, &err))
        return lestL_fail(L, &err);
    struct net_loop *loop = lestL_loop(L);
    struct lestL_object *object = lestL_new_object(L, &client_class);
    if (net_client_new(loop, &config, &client, &err))
        return lestL_fail(L, &err);
    object->h = client;
    return 1;
}

static struct http_slice check_slice(lua_State *L, int idx)
{
    struct http_slice slice;
    slice.data = luaL_checklstring(L, idx, &slice.len);
    return slice;
}

/* A string option with all its bytes, kept alive by the table; a NUL in it raises where text is asked for. */
static struct http_slice opt_slice(lua_State *L, const char *key, bool text)
{
    struct http_slice slice = { NULL, 0 };
    int type = lua_getfield(L, 2, key);
    if (type == LUA_TSTRING)
        slice.data = lua_tolstring(L, -1, &slice.len);
    else if (type != LUA_TNIL)
        luaL_error(L, "option '%s' is a %s, not a string", key, lua_typename(L, type));
    if (text && slice.data && strlen(slice.data) != slice.len)
        luaL_error(L, "option '%s' has a zero byte", key);
    lua_pop(L, 1);
    return slice;
}

static void read_headers(lua_State *L, struct net_request *request)
{
    if (lua_getfield(L, 2, "headers") == LUA_TNIL)
        return;
    luaL_checktype(L, -1, LUA_TTABLE);
    int list = lua_gettop(L);
    size_t count = lua_rawlen(L, list);
    struct http_header *headers = lua_newuserdatauv(L, (count + 1) * sizeof *headers, 0);
    luaL_argcheck(L, count <= NET_READER_HEADERS_MAX, 2, "too many headers");
    for (size_t i = 0; i < count; i++) {
        if (lua_rawgeti(L, list, (lua_Integer)i + 1) != LUA_TTABLE)
            luaL_error(L, "headers is a list of { name, value }");
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        headers[i].name = check_slice(L, -2);
        headers[i].value = check_slice(L, -1);
        lua_pop(L, 3); /* the inner table keeps the strings */
    }
    request->headers = headers;
    request->header_count = count;
}

/* client:request{ url =, callback =, method = "GET", headers = {{name, value}}, body =, username =,
 * password =, timeout_ms =, connect_timeout_ms =, max_body =, watched = false, make_body =, body_size = }
 * -> request | nil, err. make_body(binding), in place of a body, gives it for the channel binding of the
 * connection that is there now: at most body_size bytes, which are filled up with newlines; or nil. The
 * callback gets { status, headers, body, peer_chain, tls_version, by_cmc_ra }, or nil and an error, whose
 * was_sent says whether any of the request may have reached the server; and where it is watched, what was on
 * the wire. Closing the request cancels it. */
static int request(lua_State *L)
{
    static const char *const known[] = { "url",       "method",   "headers",    "body",
                                         "username",  "password", "timeout_ms", "connect_timeout_ms",
                                         "max_body",  "watched",  "callback",   "make_body",
                                         "body_size", NULL };
    struct lest_error err;
    struct net_client *client = lestL_check_object(L, 1, &client_class);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lestL_check_options(L, 2, known);
    struct http_slice method = opt_slice(L, "method", true), body = opt_slice(L, "body", false);
    lua_Integer max = lestL_opt_integer(L, 2, "max_body", BODY_MAX);
    struct net_request how = {
        .method = method.data ? method.data : "GET",
        .url = opt_slice(L, "url", true).data,
        .body = body.data,
        .body_len = body.len,
        .username = opt_slice(L, "username", true).data,
        .password = opt_slice(L, "password", true).data,
        .timeout_ms = lestL_opt_integer(L, 2, "timeout_ms", TIMEOUT_MS),
        .connect_timeout_ms = lestL_opt_integer(L, 2, "connect_timeout_ms", CONNECT_TIMEOUT_MS),
        .body_max = (size_t)max,
        .watched = lestL_opt_boolean(L, 2, "watched", false),
    };
    luaL_argcheck(L, how.url, 2, "a request has a url");
    luaL_argcheck(L, max > 0, 2, "max_body is a number of bytes");
    lua_Integer size = lestL_opt_integer(L, 2, "body_size", BODY_MAX);
    luaL_argcheck(L, size > 0 && size <= BODY_MAX, 2, "body_size is a number of bytes");
    luaL_argcheck(L, how.timeout_ms > 0 && how.connect_timeout_ms > 0, 2, "a timeout is more than 0");
    read_headers(L, &how);
    struct lestL_object *object = lestL_new_object(L, &sent_class);
    int object_idx = lua_gettop(L);
    struct sent *sent = object->h = calloc(1, sizeof *sent);
    if (!sent)
        return lestL_no_memory(L);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, object_idx, 1);
    lua_getfield(L, 2, "callback");
    lestL_callback_set(L, -1, &sent->callback);
    if (lua_getfield(L, 2, "make_body") != LUA_TNIL) {
        lestL_callback_set(L, -1, &sent->make_body);
        how.make_body = make_body;
        how.body_len = (size_t)size;
    }
    lua_settop(L, object_idx);
    if (net_transfer_send(client, &how, on_done, sent, &sent->transfer, &err))
        return lestL_fail(L, &err);
    return 1;
}

static int connect_to(lua_State *L)
{
    return lestL_dial(L, lestL_check_object(L, 1, &client_class));
}

static const luaL_Reg methods[] = { { "request", request }, { "connect", connect_to }, { NULL, NULL } };

static const struct lestL_class client_class = {
    .name = "lest.http_client",
    .methods = methods,
    .close = close_client,
};

int lestL_open_http_client(lua_State *L)
{
    static const luaL_Reg functions[] = { { "new", new }, { NULL, NULL } };
    lestL_class_register(L, &client_class);
    lestL_class_register(L, &sent_class);
    lestL_register_dial(L);
    luaL_newlib(L, functions);
    return 1;
}
