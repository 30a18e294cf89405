/* What cert, store, crl and pkcs7 share: certificates and CRLs between Lua and C. */
#ifndef LEST_LUA_CERT_H
#define LEST_LUA_CERT_H

#include "lua/binding.h"
#include "pki/x509/cert.h"
#include "pki/x509/crl.h"

/** The certificate at idx, borrowed while it is on the stack; something else raises. */
struct pki_cert *lestL_check_cert(lua_State *L, int idx);
/** As above, or NULL. */
struct pki_cert *lestL_test_cert(lua_State *L, int idx);
struct pki_crl *lestL_test_crl(lua_State *L, int idx);

/** Push an object with one more reference to it. */
void lestL_push_cert(lua_State *L, struct pki_cert *cert);
void lestL_push_crl(lua_State *L, struct pki_crl *crl);

/** The entries of the open draft of a CRL at idx, borrowed; something else raises. */
struct lest_buf *lestL_check_crl_draft(lua_State *L, int idx);

/** Make its class; push a new one. */
void lestL_register_crl_draft(lua_State *L);
int lestL_new_crl_draft(lua_State *L);

/** Push an empty list that the collector frees; fill it next, borrow it while it is on the stack. */
struct pki_certs *lestL_certs(lua_State *L);

/** Push a Lua list of the certificates from number `first` (0 is the first) on. */
void lestL_push_certs(lua_State *L, const struct pki_certs *certs, size_t first);

/** Push a Lua list of the DER of OpenSSL's certificates; NULL gives {}. */
void lestL_push_x509s(lua_State *L, const STACK_OF(X509) * certs);

/** Add references to the certificates of the Lua list at idx (each a lest.cert, else it raises; `what` names
 *  the option) to certs, which is anchored. nil and none: nothing is added. */
void lestL_to_certs(lua_State *L, int idx, const char *what, struct pki_certs *certs);

#endif
