/* multipart/mixed bodies, as a server answers serverkeygen. The first line of the input is the media type.
 * Parts stand in the body, in their order, and what is encoded comes back. */
#include "fuzz.h"

#include "est/body.h"
#include "est/mixed.h"

enum { OUT_MAX = 1024 * 1024, DER_MAX = 64 * 1024 };

static void check_round_trip(const uint8_t *data, size_t size, size_t wrap)
{
    struct est_content contents[] = { { "application/pkcs8", data, size }, { "text/x", data, size / 2 } };
    struct est_part parts[EST_MIXED_PARTS_MAX];
    struct lest_buf out, der;
    size_t count;
    lest_buf_init(&out, OUT_MAX);
    lest_buf_init(&der, DER_MAX);
    est_mixed_encode(contents, 2, wrap, wrap != 0, &out);
    FUZZ_CHECK(!out.failed);
    struct http_slice type = { EST_MIXED_TYPE, sizeof EST_MIXED_TYPE - 1 };
    FUZZ_CHECK(est_mixed_decode(type, out.data, out.len, parts, &count, NULL) == LEST_OK && count == 2);
    FUZZ_CHECK(strcmp(parts[0].type, contents[0].type) == 0 && strcmp(parts[1].type, "text/x") == 0);
    if (size && data[0] == 0x30 &&
        est_body_decode(parts[0].body.data, parts[0].body.len, &der, NULL) == LEST_OK)
        FUZZ_CHECK(der.len == size && memcmp(der.data, data, size) == 0);
    lest_buf_free(&out);
    lest_buf_free(&der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct est_part parts[EST_MIXED_PARTS_MAX];
    struct lest_error err = { .status = LEST_OK };
    size_t count = 99;
    if (size > DER_MAX)
        return 0;
    uint8_t *copy = fuzz_copy(data, size);
    const uint8_t *line = size ? memchr(copy, '\n', size) : NULL;
    size_t type_len = line ? (size_t)(line - copy) : size;
    const char *body = (char *)copy + (line ? type_len + 1 : type_len), *end = (char *)copy + size;
    struct http_slice type = { (char *)copy, type_len };
    if (est_mixed_decode(type, body, (size_t)(end - body), parts, &count, &err) == LEST_OK) {
        FUZZ_CHECK(count >= 1 && count <= EST_MIXED_PARTS_MAX);
        const char *at = body;
        for (size_t i = 0; i < count; i++) {
            FUZZ_CHECK(strlen(parts[i].type) <= EST_MIXED_TYPE_MAX);
            FUZZ_CHECK(parts[i].body.data >= at && parts[i].body.data + parts[i].body.len <= end);
            at = parts[i].body.data + parts[i].body.len;
        }
    } else {
        FUZZ_CHECK(count == 0 && err.status != LEST_OK && err.message[0]);
    }
    check_round_trip(copy, size, 64);
    check_round_trip(copy, size, 0);
    free(copy);
    return 0;
}
