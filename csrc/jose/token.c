#include "jose/token.h"

#include "base/base64.h"

#include <string.h>

enum { PARTS = 3, PARTS_ENCRYPTED = 5 };

static size_t count_parts(const char *text, size_t len)
{
    size_t count = 1;
    for (size_t i = 0; i < len; i++)
        count += text[i] == '.';
    return count;
}

enum lest_status jose_token_read(const char *text, size_t len, struct lest_buf *header,
                                 struct lest_buf *payload, struct lest_error *err)
{
    if (len > JOSE_TOKEN_MAX)
        return lest_error_set(err, LEST_E_TOO_LARGE, "the token has more than %d bytes", JOSE_TOKEN_MAX);
    size_t count = count_parts(text, len);
    if (count == PARTS_ENCRYPTED)
        return lest_error_set(err, LEST_E_MALFORMED, "the token is encrypted");
    if (count != PARTS)
        return lest_error_set(err, LEST_E_MALFORMED, "the token does not have three parts");
    struct lest_buf signature;
    lest_buf_init(&signature, JOSE_TOKEN_MAX);
    struct lest_buf *const wanted[PARTS] = { header, payload, &signature };
    enum lest_status status = LEST_OK;
    const char *at = text, *end = text + len;
    for (size_t i = 0; i < PARTS && !status; i++) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        size_t part_len = (size_t)((dot ? dot : end) - at);
        struct lest_buf *out = wanted[i] ? wanted[i] : &signature;
        if (part_len == 0)
            status = lest_error_set(err, LEST_E_MALFORMED, "a part of the token is empty");
        else if ((status = lest_base64url_decode(at, part_len, out, err)) == LEST_E_BASE64)
            status = lest_error_set(err, LEST_E_MALFORMED, "a part of the token is not base64url");
        at += part_len + 1;
    }
    lest_buf_free(&signature);
    return status;
}
