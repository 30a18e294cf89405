/* Signed tokens in their compact form (RFC 7515 7.1), before anything of them is believed. */
#ifndef LEST_JOSE_TOKEN_H
#define LEST_JOSE_TOKEN_H

#include "base/buf.h"

/** Bytes of a token: those of Kubernetes have 1 to 2 KiB. */
enum { JOSE_TOKEN_MAX = 8192 };

/** Read a token of three parts in strict base64url, none of them empty: nothing before, between or after
 *  them. What is encrypted has five, and is refused as such. Nothing is verified.
 *  text, len        borrowed for the call
 *  header, payload  the caller's; get what the first two parts stand for. NULL: not wanted
 *  Errors: LEST_E_MALFORMED, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status jose_token_read(const char *text, size_t len, struct lest_buf *header,
                                 struct lest_buf *payload, struct lest_error *err) LEST_MUST_USE;

#endif
