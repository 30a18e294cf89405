/* A fixture: descriptors of message sockets, also with an address, for the stand-ins of specs. A server's own
 * are made by its supervisor, which hands them out. A module of Lua, which spec/support/sockets.lua loads. */
#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { TYPE = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK };

static socklen_t make_address(lua_State *L, struct sockaddr_un *out)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, len > 0 && len < sizeof out->sun_path, 1, "no address");
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    memcpy(out->sun_path, text, len);
    if (text[0] == '@')
        out->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static int push(lua_State *L, int fd)
{
    if (fd < 0)
        return 0;
    lua_pushinteger(L, fd);
    return 1;
}

/* listen(address) -> fd; an address is a path or "@name" */
static int listen_at(lua_State *L)
{
    struct sockaddr_un address;
    socklen_t len = make_address(L, &address);
    int fd = socket(AF_UNIX, TYPE, 0);
    if (bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, SOMAXCONN) == 0)
        return push(L, fd);
    close(fd);
    return luaL_error(L, "%s: cannot listen there", lua_tostring(L, 1));
}

/* accept(fd) -> fd, or nothing while there is none */
static int accept_one(lua_State *L)
{
    return push(L, accept4((int)luaL_checkinteger(L, 1), NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

/* connect(address) -> fd, or nothing where nobody listens */
static int connect_to(lua_State *L)
{
    struct sockaddr_un address;
    socklen_t len = make_address(L, &address);
    int fd = socket(AF_UNIX, TYPE, 0);
    if (connect(fd, (struct sockaddr *)&address, len) == 0)
        return push(L, fd);
    close(fd);
    return 0;
}

/* pair() -> fd, fd */
static int make_pair(lua_State *L)
{
    int ends[2];
    if (socketpair(AF_UNIX, TYPE, 0, ends) < 0)
        return luaL_error(L, "no pair of sockets can be made");
    return push(L, ends[0]) + push(L, ends[1]);
}

static int close_one(lua_State *L)
{
    close((int)luaL_checkinteger(L, 1));
    return 0;
}

int luaopen_sockets(lua_State *L)
{
    static const luaL_Reg functions[] = { { "listen", listen_at },   { "accept", accept_one },
                                          { "connect", connect_to }, { "pair", make_pair },
                                          { "close", close_one },    { NULL, NULL } };
    luaL_newlib(L, functions);
    return 1;
}
