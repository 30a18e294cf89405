#include "lua/ledger_row.h"

#include <string.h>

void lestL_push_row(lua_State *L, const struct ledger_result *result, size_t row)
{
    const char *name = (const char *)result->names.data;
    lua_createtable(L, 0, (int)result->columns);
    for (size_t column = 0; column < result->columns; column++, name += strlen(name) + 1) {
        struct ledger_value value = ledger_result_get(result, row, column);
        switch (value.type) {
        case LEDGER_NULL: continue;
        case LEDGER_INTEGER: lua_pushinteger(L, value.integer); break;
        case LEDGER_TEXT:
        case LEDGER_BLOB: lua_pushlstring(L, value.bytes, value.len); break;
        }
        lua_setfield(L, -2, name);
    }
}
