/* Rows of a ledger's results as tables. */
#ifndef LEST_LUA_LEDGER_ROW_H
#define LEST_LUA_LEDGER_ROW_H

#include "ledger/value.h"
#include "lua/binding.h"

/** Push a row as a table by column name: NULL is nil, TEXT and BLOB are strings. It may raise. */
void lestL_push_row(lua_State *L, const struct ledger_result *result, size_t row);

#endif
