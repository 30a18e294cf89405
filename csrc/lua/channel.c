/* core.channel: message sockets between processes (class lest.channel).
 *
 * One stays open until closed, whether or not the script keeps it: the registry holds it under the address of
 * its C object. */
#include "lua/channel.h"

#include "lua/binding.h"
#include "lua/loop.h"
#include "lua/sealed.h"
#include "net/channel.h"

#include <limits.h>
#include <stdlib.h>

struct port {
    lua_State *L;
    struct net_channel *channel;
    struct lestL_callback on_message;
    struct lestL_callback on_close;
};

static void let_go(struct port *port)
{
    lua_pushnil(port->L);
    lua_rawsetp(port->L, LUA_REGISTRYINDEX, port);
}

static void close_port(void *h)
{
    struct port *port = h;
    net_channel_free(port->channel);
    lestL_callback_clear(&port->on_message);
    lestL_callback_clear(&port->on_close);
    let_go(port);
    free(port);
}

static int channel_send(lua_State *L);
static int channel_on_message(lua_State *L);
static int channel_on_close(lua_State *L);
static int channel_limit(lua_State *L);
static int channel_take_sealed(lua_State *L);
static int channel_send_wait(lua_State *L);
static int channel_queued(lua_State *L);

static const struct lestL_class channel_class = {
    .name = "lest.channel",
    .methods = (const luaL_Reg[]){ { "send", channel_send },
                                   { "on_message", channel_on_message },
                                   { "on_close", channel_on_close },
                                   { "limit", channel_limit },
                                   { "take_sealed", channel_take_sealed },
                                   { "send_wait", channel_send_wait },
                                   { NULL, NULL } },
    .getters = (const luaL_Reg[]){ { "queued", channel_queued }, { NULL, NULL } },
    .close = close_port,
};

static struct port *new_port(lua_State *L)
{
    struct lestL_object *object = lestL_new_object(L, &channel_class);
    struct port *port = calloc(1, sizeof *port);
    if (!port)
        lestL_no_memory(L);
    port->L = lestL_main(L);
    object->h = port;
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, port);
    return port;
}

static struct port *check_channel(lua_State *L)
{
    return lestL_check_object(L, 1, &channel_class);
}

struct packet {
    const void *data;
    size_t len;
    struct lest_sealed *sealed;
};

/* on_message(bytes, channel, sealed), inside a protected call: making the string may raise */
static int deliver_message(lua_State *L)
{
    struct port *port = lua_touserdata(L, 1);
    const struct packet *packet = lua_touserdata(L, 2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, port->on_message.ref);
    lua_pushlstring(L, packet->data, packet->len);
    lua_rawgetp(L, LUA_REGISTRYINDEX, port);
    if (packet->sealed)
        lestL_push_sealed(L, packet->sealed);
    lua_call(L, packet->sealed ? 3 : 2, 0);
    return 0;
}

static void on_packet(void *arg, const void *data, size_t len, struct lest_sealed *sealed)
{
    struct port *port = arg;
    struct packet packet = { data, len, sealed };
    if (!lua_checkstack(port->L, LUA_MINSTACK))
        return;
    lua_pushcfunction(port->L, deliver_message);
    lua_pushlightuserdata(port->L, port);
    lua_pushlightuserdata(port->L, &packet);
    lestL_call(port->L, 2, 0, "message");
}

/* The peer is gone. The object stays usable (send fails with code closed) but is no longer kept. */
static void on_end(void *arg)
{
    struct port *port = arg;
    lua_State *L = lestL_callback_push(&port->on_close);
    lestL_callback_clear(&port->on_message);
    lestL_callback_clear(&port->on_close);
    if (!L) {
        let_go(port);
        return;
    }
    let_go(port);
    lestL_call(L, 0, 0, "end of a channel");
}

static void set_handlers(struct port *port)
{
    net_channel_set_handlers(
        port->channel, (struct net_channel_handlers){ port->on_message.L ? on_packet : NULL, on_end, port });
}

/* channel:send(bytes [, sealed]) -> true, or nil and an error: unavailable (the queue is full), too_large,
 * closed */
static int channel_send(lua_State *L)
{
    struct lest_error err;
    size_t len;
    struct port *port = check_channel(L);
    const char *data = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, len > 0, 2, "a message has at least one byte");
    struct lest_sealed *sealed = lestL_test_sealed(L, 3);
    luaL_argcheck(L, lua_isnoneornil(L, 3) || (sealed && sealed->fd >= 0), 3,
                  "a lest.sealed of this process");
    if (net_channel_send(port->channel, data, len, sealed, &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* channel:send_wait(bytes, milliseconds): send(), but wait for room here and now, without the loop. Error
 * codes: timeout, too_large, closed */
static int channel_send_wait(lua_State *L)
{
    struct lest_error err;
    size_t len;
    struct port *port = check_channel(L);
    const char *data = luaL_checklstring(L, 2, &len);
    lua_Integer timeout_ms = luaL_checkinteger(L, 3);
    luaL_argcheck(L, timeout_ms >= 0 && timeout_ms <= INT_MAX, 3, "a time is no shorter than 0");
    if (net_channel_send_wait(port->channel, data, len, (int)timeout_ms, &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static void set_callback(lua_State *L, int idx, struct lestL_callback *callback)
{
    if (lua_isnoneornil(L, idx))
        lestL_callback_clear(callback);
    else
        lestL_callback_set(L, idx, callback);
}

/* channel:on_message(fn or nil): nothing is read while there is none */
static int channel_on_message(lua_State *L)
{
    struct port *port = check_channel(L);
    set_callback(L, 2, &port->on_message);
    set_handlers(port);
    return 0;
}

static int channel_on_close(lua_State *L)
{
    set_callback(L, 2, &check_channel(L)->on_close);
    return 0;
}

/* channel:limit(messages, bytes): how much may wait to be sent */
static int channel_limit(lua_State *L)
{
    struct port *port = check_channel(L);
    lua_Integer messages = luaL_checkinteger(L, 2), bytes = luaL_checkinteger(L, 3);
    luaL_argcheck(L, messages > 0, 2, "a limit is positive");
    luaL_argcheck(L, bytes > 0, 3, "a limit is positive");
    net_channel_set_limits(port->channel, (struct net_channel_limits){ (size_t)messages, (size_t)bytes });
    return 0;
}

/* channel:take_sealed(size): take a sealed file of at most so many bytes with a packet */
static int channel_take_sealed(lua_State *L)
{
    struct port *port = check_channel(L);
    lua_Integer max = luaL_checkinteger(L, 2);
    luaL_argcheck(L, max > 0, 2, "a size is positive");
    net_channel_take_sealed(port->channel, (size_t)max);
    return 0;
}

static int channel_queued(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)net_channel_queued(check_channel(L)->channel));
    return 1;
}

/* The index of a function in an option table at 1, pushed; 0 if absent */
static int push_function(lua_State *L, const char *key)
{
    int type = lua_getfield(L, 1, key);
    if (type == LUA_TNIL)
        return 0;
    if (type != LUA_TFUNCTION)
        return luaL_error(L, "option '%s' is a %s, not a function", key, lua_typename(L, type));
    return lua_gettop(L);
}

/* channel.adopt{ fd =, on_message =, on_close =, messages_max =, bytes_max = }: the channel's from now on */
static int adopt(lua_State *L)
{
    static const char *const known[] = { "fd", "on_message", "on_close", "messages_max", "bytes_max", NULL };
    struct lest_error err;
    luaL_checktype(L, 1, LUA_TTABLE);
    lestL_check_options(L, 1, known);
    lua_Integer fd = lestL_opt_integer(L, 1, "fd", -1);
    lua_Integer messages_max = lestL_opt_integer(L, 1, "messages_max", 0);
    lua_Integer bytes_max = lestL_opt_integer(L, 1, "bytes_max", 0);
    if (fd < 0 || fd > INT_MAX)
        return luaL_error(L, "the option 'fd' is a descriptor");
    if (messages_max < 0 || bytes_max < 0)
        return luaL_error(L, "a limit is not negative");
    int on_message = push_function(L, "on_message");
    int on_close = push_function(L, "on_close");
    struct port *port = new_port(L);
    if (on_message)
        lestL_callback_set(L, on_message, &port->on_message);
    if (on_close)
        lestL_callback_set(L, on_close, &port->on_close);
    if (net_channel_adopt(lestL_loop(L), (int)fd, &port->channel, &err)) {
        let_go(port);
        return lestL_fail(L, &err);
    }
    net_channel_set_limits(port->channel,
                           (struct net_channel_limits){ (size_t)messages_max, (size_t)bytes_max });
    set_handlers(port);
    return 1;
}

enum lest_status lestL_channel_push(lua_State *L, int *fd, struct lest_error *err)
{
    struct port *port = new_port(L);
    enum lest_status status = net_channel_adopt(lestL_loop(L), *fd, &port->channel, err);
    *fd = -1;
    if (!status) {
        set_handlers(port);
        return LEST_OK;
    }
    let_go(port);
    lua_pop(L, 1);
    return status;
}

int lestL_channel_fd(lua_State *L, int idx)
{
    const struct port *port = lestL_check_object(L, idx, &channel_class);
    return net_channel_fd(port->channel);
}

int lestL_open_channel(lua_State *L)
{
    static const luaL_Reg functions[] = { { "adopt", adopt }, { NULL, NULL } };
    lestL_class_register(L, &channel_class);
    luaL_newlib(L, functions);
    lua_pushinteger(L, NET_CHANNEL_MESSAGE_MAX);
    lua_setfield(L, -2, "message_max");
    return 1;
}
