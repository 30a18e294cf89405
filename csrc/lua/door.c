/* core.door: Unix sockets with a name, where processes of this machine come in (class lest.door). What comes
 * of a connection is a lest.channel. */
#include "net/door.h"

#include "lua/binding.h"
#include "lua/channel.h"
#include "lua/loop.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

struct door {
    struct net_door *door;
    struct lestL_callback on_connection;
};

static void close_door(void *h)
{
    struct door *door = h;
    net_door_free(door->door);
    lestL_callback_clear(&door->on_connection);
    free(door);
}

static const struct lestL_class door_class = { .name = "lest.door", .close = close_door };

static void set_number(lua_State *L, const char *key, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, key);
}

static void push_peer(lua_State *L, const struct net_door_peer *peer)
{
    lua_createtable(L, 0, 4);
    set_number(L, "pid", peer->pid);
    set_number(L, "uid", peer->uid);
    set_number(L, "gid", peer->gid);
    lua_createtable(L, (int)peer->groups_count, 0);
    for (size_t i = 0; i < peer->groups_count; i++) {
        lua_pushinteger(L, peer->groups[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "groups");
}

struct visit {
    int fd;
    const struct net_door_peer *peer;
    struct door *door;
};

/* on_connection(channel, peer), inside a protected call: making the channel may raise */
static int deliver(lua_State *L)
{
    struct lest_error err;
    struct visit *visit = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, visit->door->on_connection.ref);
    if (lestL_channel_push(L, &visit->fd, &err))
        return luaL_error(L, "%s", err.message);
    push_peer(L, visit->peer);
    lua_call(L, 2, 0);
    return 0;
}

static void on_visit(void *arg, int fd, const struct net_door_peer *peer)
{
    struct door *door = arg;
    lua_State *L = door->on_connection.L;
    struct visit visit = { fd, peer, door };
    if (lua_checkstack(L, LUA_MINSTACK)) {
        lua_pushcfunction(L, deliver);
        lua_pushlightuserdata(L, &visit);
        lestL_call(L, 1, 0, "connection");
    }
    if (visit.fd >= 0)
        close(visit.fd);
}

/* door.listen(fd, on_connection): on_connection(channel, peer) for each that comes in */
static int listen_at(lua_State *L)
{
    struct lest_error err;
    lua_Integer fd = luaL_checkinteger(L, 1);
    luaL_argcheck(L, fd >= 0 && fd <= INT_MAX, 1, "a descriptor is wanted");
    struct lestL_object *object = lestL_new_object(L, &door_class);
    struct door *door = object->h = calloc(1, sizeof *door);
    if (!door)
        lestL_no_memory(L);
    lestL_callback_set(L, 2, &door->on_connection);
    if (net_door_open(lestL_loop(L), (int)fd, on_visit, door, &door->door, &err))
        return lestL_fail(L, &err);
    return 1;
}

/* door.enter(path, milliseconds) -> channel, peer: who listens there */
static int enter(lua_State *L)
{
    struct lest_error err;
    struct net_door_peer peer;
    int fd;
    const char *path = luaL_checkstring(L, 1);
    lua_Integer timeout_ms = luaL_checkinteger(L, 2);
    luaL_argcheck(L, timeout_ms > 0 && timeout_ms <= INT_MAX, 2, "a time to wait is positive");
    if (net_door_enter(path, (int)timeout_ms, &fd, &peer, &err) || lestL_channel_push(L, &fd, &err))
        return lestL_fail(L, &err);
    push_peer(L, &peer);
    return 2;
}

int lestL_open_door(lua_State *L)
{
    static const luaL_Reg functions[] = { { "listen", listen_at }, { "enter", enter }, { NULL, NULL } };
    lestL_class_register(L, &door_class);
    luaL_newlib(L, functions);
    return 1;
}
