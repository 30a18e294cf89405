/* libcjose, loaded when the first key of a JWK Set is read: no server without JSON Web Tokens, and no
 * command, has it or Jansson in its memory. */
#ifndef LEST_JOSE_CJOSE_H
#define LEST_JOSE_CJOSE_H

#include "base/error.h"

#include <cjose/cjose.h>

/** Every function of libcjose that is used, without "cjose_" before its name. */
#define JOSE_CJOSE_FUNCTIONS(X)                                                                              \
    X(header_get)                                                                                            \
    X(jwk_EC_get_curve)                                                                                      \
    X(jwk_get_keysize)                                                                                       \
    X(jwk_get_kty)                                                                                           \
    X(jwk_import)                                                                                            \
    X(jwk_release)                                                                                           \
    X(jws_get_plaintext)                                                                                     \
    X(jws_get_protected)                                                                                     \
    X(jws_import)                                                                                            \
    X(jws_release)                                                                                           \
    X(jws_verify)

struct jose_cjose {
#define X(name) __typeof__(cjose_##name) *(name);
    JOSE_CJOSE_FUNCTIONS(X)
#undef X
};

/** The functions; NULL until jose_cjose_load() has succeeded. */
extern struct jose_cjose jose_cjose;

/** Load libcjose, under the name that it had when lest was built; once a process.
 *  Errors: LEST_E_INTERNAL (it is not there) */
enum lest_status jose_cjose_load(struct lest_error *err) LEST_MUST_USE;

#endif
