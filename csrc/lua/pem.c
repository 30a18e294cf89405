/* core.pem: the blocks of a PEM text, as every reader of the core finds them. */
#include "pki/asn1/pem.h"
#include "lua/binding.h"

static void push_block(lua_State *L, lua_Integer line, const uint8_t *end, const struct pki_pem *block)
{
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, line);
    lua_setfield(L, -2, "line");
    if (block->label.data) {
        lua_pushlstring(L, (const char *)block->label.data, block->label.len);
        lua_setfield(L, -2, "label");
    }
    lua_pushlstring(L, (const char *)block->begin, (size_t)(end - block->begin));
    lua_setfield(L, -2, "text");
}

/* pem.blocks(bytes) -> { { line =, label =, text = | problem = }, ... } */
static int blocks(lua_State *L)
{
    size_t len;
    struct lest_error err;
    struct pki_pem block;
    enum lest_status status = LEST_OK;
    const uint8_t *at = (const uint8_t *)luaL_checklstring(L, 1, &len), *before = at;
    lua_Integer line = 1;
    lua_newtable(L);
    for (lua_Integer i = 1; pki_pem_next(&at, &len, &block, &status, &err) || status; i++) {
        line += pki_pem_line(before, &block) - 1;
        before = block.begin;
        push_block(L, line, at, &block);
        if (status) {
            lua_pushstring(L, err.message);
            lua_setfield(L, -2, "problem");
        }
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* pem.looks(bytes) -> boolean */
static int looks(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_pushboolean(L, pki_pem_looks(text, len));
    return 1;
}

int lestL_open_pem(lua_State *L)
{
    static const luaL_Reg functions[] = { { "blocks", blocks }, { "looks", looks }, { NULL, NULL } };
    luaL_newlib(L, functions);
    return 1;
}
