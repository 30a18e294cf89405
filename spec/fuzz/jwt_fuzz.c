/* A Bearer token in the Authorization header: what is taken of the header is in it, and what of a token is
 * verified with a key is nothing that a stranger wrote. The input up to the first line's end is the header,
 * the rest is a JWK. */
#include "fuzz.h"

#include "base/json.h"
#include "http/value.h"
#include "jose/key.h"
#include "jose/token.h"

/* RFC 7515 A.3, and the only token of it that is known. */
static const char known_key[] =
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
static const char known_payload[] =
    "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";

static void check_token(const struct jose_key *key, struct http_slice token, bool is_known)
{
    struct lest_buf header, payload, signed_text;
    struct lest_error err;
    lest_buf_init(&header, JOSE_TOKEN_MAX);
    lest_buf_init(&payload, JOSE_TOKEN_MAX);
    lest_buf_init(&signed_text, JOSE_TOKEN_MAX);
    bool is_token = jose_token_read(token.data, token.len, &header, &payload, &err) == LEST_OK;
    FUZZ_CHECK(!is_token || (token.len <= JOSE_TOKEN_MAX && header.len && payload.len));
    for (size_t i = 0; jose_algorithm(i); i++) {
        enum lest_status status =
            jose_key_verify(key, jose_algorithm(i), token.data, token.len, &signed_text, &err);
        FUZZ_CHECK(status == LEST_OK || signed_text.len == 0);
        FUZZ_CHECK(status == LEST_OK || status == LEST_E_UNAUTHENTICATED || status == LEST_E_MALFORMED ||
                   status == LEST_E_TOO_LARGE);
        if (status == LEST_OK) {
            FUZZ_CHECK(is_token && jose_key_fits(key, jose_algorithm(i)));
            FUZZ_CHECK(signed_text.len == payload.len &&
                       memcmp(signed_text.data, payload.data, payload.len) == 0);
            FUZZ_CHECK(!is_known || (signed_text.len == sizeof known_payload - 1 &&
                                     memcmp(signed_text.data, known_payload, signed_text.len) == 0));
        }
        lest_buf_free(&signed_text);
    }
    lest_buf_free(&header);
    lest_buf_free(&payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jose_key *known;
    struct lest_error err;
    if (!known)
        FUZZ_CHECK(jose_key_import(known_key, sizeof known_key - 1, &known, &err) == LEST_OK);
    char *copy = (char *)fuzz_copy(data, size);
    const char *line = size ? memchr(copy, '\n', size) : NULL;
    size_t header_len = line ? (size_t)(line - copy) : size;
    struct http_slice header = { copy, header_len };
    struct http_challenge credentials;
    if (http_credentials_parse(header, &credentials) && credentials.token68.len) {
        FUZZ_CHECK(credentials.token68.data > copy &&
                   credentials.token68.data + credentials.token68.len <= copy + header_len);
        header = credentials.token68;
    }
    check_token(known, header, true);
    struct jose_key *key = NULL;
    if (line && jose_key_import(line + 1, size - header_len - 1, &key, &err) == LEST_OK)
        check_token(key, header, false);
    jose_key_free(key);
    free(copy);
    return 0;
}
