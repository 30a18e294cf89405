/* CSR templates (RFC 9908 3.4) between Lua tables and DER, for core.csrattrs. */
#ifndef LEST_LUA_TEMPLATE_H
#define LEST_LUA_TEMPLATE_H

#include "lua/binding.h"
#include "pki/x509/template.h"

/** Push { subject =, subject_der =, key =, extensions =, attributes = }: openings have no value. */
void lestL_push_template(lua_State *L, const struct pki_template *template);

/** Append to out the attribute for the table at the top: { subject =, key =, san =, key_usage =, eku =,
 *  extensions =, attributes = }. Something else raises. */
enum lest_status lestL_put_template(lua_State *L, struct lest_buf *out, struct lest_error *err) LEST_MUST_USE;

/** csrattrs.fill_subject(subject_der, own_der) and csrattrs.fill_san(value, own_der | nil). */
int lestL_fill_subject(lua_State *L);
int lestL_fill_san(lua_State *L);

#endif
