/* The credentials of Digest (RFC 7616 3.4) as a client sends them: what is there and well formed. Whether
 * they are right is for others. */
#ifndef LEST_HTTP_DIGEST_H
#define LEST_HTTP_DIGEST_H

#include "base/error.h"
#include "http/value.h"

enum { HTTP_DIGEST_TEXT_MAX = 1024, HTTP_DIGEST_URI_MAX = 4096, HTTP_DIGEST_RESPONSE_MAX = 32 };

/** The parameters are those of the credentials they were read from: see http_unquote(). */
struct http_digest {
    const struct http_param *username, *realm, *nonce, *uri, *cnonce;
    struct http_slice nc;  /* 8 hex digits, as they were sent: they are hashed so */
    const char *algorithm; /* "SHA-256" or "MD5" */
    uint8_t response[HTTP_DIGEST_RESPONSE_MAX];
    size_t response_len; /* of the algorithm */
};

/** Read credentials of http_credentials_parse(). Only qop=auth and plain user names are taken, the
 *  algorithms SHA-256 and MD5, and no parameter over HTTP_DIGEST_TEXT_MAX bytes (the URI:
 *  HTTP_DIGEST_URI_MAX). What ought not to be quoted may be, as deployed clients have it (RFC 7030 A.3).
 *  Errors: LEST_E_MALFORMED, with a sentence for the client that holds nothing it has sent */
enum lest_status http_digest_read(const struct http_challenge *credentials, struct http_digest *out,
                                  struct lest_error *err) LEST_MUST_USE;

#endif
