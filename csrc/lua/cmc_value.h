/* Controls of CMC between Lua tables and DER. */
#ifndef LEST_LUA_CMC_VALUE_H
#define LEST_LUA_CMC_VALUE_H

#include "lua/binding.h"
#include "pki/cms/cmc_control.h"

/** Push a control as a table: { id =, oid =, name =, value =, values = { DER, ... } }. name and value are nil
 *  where it is not known, value is where its type is not read. */
void lestL_push_cmc_control(lua_State *L, const struct pki_cmc_control *control);

/** Append the control in the table on top of the stack: { id =, name =, value = }, or
 *  { id =, oid =, values = } for one that is not known. Wrong types raise.
 *  Errors: LEST_E_MALFORMED (an identifier), LEST_E_CMC_MALFORMED (a value), LEST_E_NOMEM */
enum lest_status lestL_put_cmc_control(lua_State *L, uint32_t id, struct lest_buf *out,
                                       struct lest_error *err) LEST_MUST_USE;

/** cmc.witness(bytes) -> DER, and cmc.read_witness(DER) -> { digest =, mac =, witness = } | nil, err */
int lestL_cmc_witness(lua_State *L);
int lestL_cmc_read_witness(lua_State *L);

#endif
