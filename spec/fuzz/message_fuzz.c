/* A packet on the authority's socket: what a worker in an attacker's hands may send. It is refused, or it is
 * a message that has one form: written again, from the items of the reader and from the table of the binding,
 * it has the same bytes. No Lua error escapes. */
#include "fuzz.h"

#include "wire/writer.h"

#include <lauxlib.h>
#include <lua.h>

int luaopen_lest_core(lua_State *L);

enum { ITEMS_MAX = 20000 };

/* Whether the packet is a message; then `out` has it as it is written again. */
static bool again(const uint8_t *packet, size_t size, struct lest_buf *out, struct lest_error *err)
{
    struct wire_reader reader;
    struct wire_writer writer;
    struct wire_item item;
    const struct wire_message *message = wire_reader_start(&reader, packet, size, err);
    if (!message)
        return false;
    wire_writer_start(&writer, message, out, err);
    for (size_t count = 0; count < ITEMS_MAX; count++) {
        if (!wire_reader_next(&reader, &item))
            return false;
        if (item.event == WIRE_END) {
            FUZZ_CHECK(wire_writer_end(&writer) == LEST_OK);
            return true;
        }
        FUZZ_CHECK(wire_writer_put(&writer, &item));
    }
    FUZZ_CHECK(!"a message with so many items");
    return false;
}

static lua_State *start(void)
{
    lua_State *L = luaL_newstate();
    FUZZ_CHECK(L);
    luaL_requiref(L, "lest.core", luaopen_lest_core, 0);
    lua_getfield(L, -1, "message");
    lua_createtable(L, 0, 3);
    for (size_t i = 0; i < wire_message_count; i++) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, wire_messages[i].name);
    }
    return L;
}

/* L: core.message and the types that are taken, which stay. */
static void call(lua_State *L, const char *name, int arguments)
{
    lua_getfield(L, 2, name);
    lua_insert(L, -1 - arguments);
    FUZZ_CHECK(lua_pcall(L, arguments, 1, 0) == LUA_OK);
}

static void check_binding(const uint8_t *packet, size_t size, bool good)
{
    static lua_State *L;
    if (!L)
        L = start();
    lua_pushlstring(L, (const char *)packet, size);
    lua_pushvalue(L, 3);
    call(L, "decode", 2);
    FUZZ_CHECK(lua_istable(L, -1) == good);
    if (good) {
        size_t len;
        call(L, "encode", 1);
        const char *written = lua_tolstring(L, -1, &len);
        FUZZ_CHECK(written && len == size && memcmp(written, packet, size) == 0);
    }
    lua_settop(L, 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *packet = fuzz_copy(data, size);
    struct lest_error err = { .status = LEST_OK };
    struct lest_buf out;
    lest_buf_init(&out, WIRE_SIZE_MAX);
    bool good = again(packet, size, &out, &err);
    if (good)
        FUZZ_CHECK(out.len == size && memcmp(out.data, packet, size) == 0);
    else
        FUZZ_CHECK(err.status == LEST_E_MALFORMED || err.status == LEST_E_TOO_LARGE);
    check_binding(packet, size, good);
    lest_buf_free(&out);
    free(packet);
    return 0;
}
