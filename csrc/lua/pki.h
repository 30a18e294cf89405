/* What the classes over pki share: names and SANs between Lua values and DER. */
#ifndef LEST_LUA_PKI_H
#define LEST_LUA_PKI_H

#include "lua/binding.h"
#include "lua/cert.h"
#include "pki/der.h"
#include "pki/key.h"

/** Push a name (a table, class lest.name) for the DER of a Name. False: nothing is pushed, err is set. */
bool lestL_push_name(lua_State *L, struct pki_bytes der, struct lest_error *err);

/** Append to out the DER of the name at idx: a lest.name or list of pairs, or a text. Something else raises.
 *  out is anchored by the caller. */
enum lest_status lestL_to_name(lua_State *L, int idx, struct lest_buf *out,
                               struct lest_error *err) LEST_MUST_USE;

/** Push the list of texts for the DER of GeneralNames; absent (data NULL) gives an empty list. */
bool lestL_push_san(lua_State *L, struct pki_bytes der, struct lest_error *err);

/** Append to out the DER of GeneralNames for the list of texts at idx. */
enum lest_status lestL_to_san(lua_State *L, int idx, struct lest_buf *out,
                              struct lest_error *err) LEST_MUST_USE;

/** The open lest.key at idx, or raise. */
struct pki_key *lestL_check_key(lua_State *L, int idx);

#endif
