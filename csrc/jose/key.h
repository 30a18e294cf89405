/* Public keys of a JWK Set (RFC 7517), with which signatures of tokens are checked. */
#ifndef LEST_JOSE_KEY_H
#define LEST_JOSE_KEY_H

#include "base/buf.h"

#include <stdbool.h>

struct jose_key;

/** The algorithms of signatures that are verified (RFC 7518 3.1), from 0; NULL after the last. None is
 *  without a signature, and none is a MAC: who can check such a token can make one. */
const char *jose_algorithm(size_t i);

/** Import one JWK: RSA of 2048 to 8192 bits, or EC on P-256, P-384 or P-521.
 *  json, len  an object of kty, and n and e, or crv, x and y, and nothing else; borrowed for the call
 *  out        the caller's, free it with jose_key_free(); NULL on failure
 *  Errors: LEST_E_KEY_MALFORMED, LEST_E_KEY_UNSUPPORTED, LEST_E_NOMEM, LEST_E_INTERNAL (no libcjose) */
enum lest_status jose_key_import(const char *json, size_t len, struct jose_key **out,
                                 struct lest_error *err) LEST_MUST_USE;
void jose_key_free(struct jose_key *key);

/** Whether an algorithm is for keys of this kind: ES256 is for P-256 alone (RFC 7518 3.4). */
bool jose_key_fits(const struct jose_key *key, const char *algorithm);

/** Verify a token (RFC 7515 5.2). The only way to what it says.
 *  algorithm  the one that its header must name, chosen by the caller
 *  token      as jose_token_read() takes it; borrowed for the call
 *  payload    the caller's; gets what was signed, and stays empty on failure
 *  Errors: LEST_E_UNAUTHENTICATED (the signature is not right, or the algorithm is another),
 *          LEST_E_MALFORMED, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status jose_key_verify(const struct jose_key *key, const char *algorithm, const char *token,
                                 size_t len, struct lest_buf *payload, struct lest_error *err) LEST_MUST_USE;

#endif
