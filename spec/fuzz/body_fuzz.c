/* Bodies of requests and responses. What is decoded must come back from each way of encoding it. */
#include "fuzz.h"

#include "est/body.h"
#include "est/media.h"

enum { BODY_MAX = 64 * 1024 };

static void check_round_trip(const struct lest_buf *der, size_t wrap)
{
    struct lest_buf text, again;
    lest_buf_init(&text, 2 * BODY_MAX);
    lest_buf_init(&again, BODY_MAX);
    est_body_encode(der->data, der->len, wrap, &text);
    FUZZ_CHECK(!text.failed && text.len >= der->len);
    FUZZ_CHECK(est_body_decode(text.data, text.len, &again, NULL) == LEST_OK);
    FUZZ_CHECK(again.len == der->len && memcmp(again.data, der->data, der->len) == 0);
    lest_buf_free(&text);
    lest_buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lest_buf der;
    struct lest_error err = { .status = LEST_OK };
    struct http_refusal why;
    uint8_t *copy = fuzz_copy(data, size);
    lest_buf_init(&der, BODY_MAX);
    if (est_body_decode(copy, size, &der, &err) == LEST_OK) {
        FUZZ_CHECK(der.len >= 2 && der.data[0] == 0x30);
        check_round_trip(&der, 64);
        check_round_trip(&der, 0);
        check_round_trip(&der, 4);
    } else {
        FUZZ_CHECK(err.status != LEST_OK && err.message[0] && der.len == 0);
    }
    struct http_slice type = { (char *)copy, size };
    for (int i = 0; i < EST_OPERATION_COUNT; i++) {
        if (!est_request_media_check((enum est_operation)i, type, type, &why))
            FUZZ_CHECK(why.status == 415);
        (void)est_response_media_fits((enum est_operation)i, type);
    }
    lest_buf_free(&der);
    free(copy);
    return 0;
}
