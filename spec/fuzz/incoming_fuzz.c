/* Answers that a client reads by itself: what comes of them does not depend on how the bytes were cut, what
 * belongs to one lies within what came, and its bounds hold. */
#include "fuzz.h"

#include "net/incoming.h"

enum { BODY_MAX = 4096 };

static enum lest_status feed(struct net_incoming *in, const uint8_t *data, size_t size, size_t step)
{
    struct lest_error err;
    net_incoming_init(in, BODY_MAX);
    net_incoming_next(in, size > 0 && data[0] == '#', BODY_MAX);
    enum lest_status status = LEST_OK;
    for (size_t at = 0; !status && at < size && !in->is_done; at += step) {
        size_t len = size - at < step ? size - at : step;
        uint8_t *part = fuzz_copy(data + at, len);
        status = net_incoming_take(in, part, len, &err);
        free(part);
    }
    if (!status && !in->is_done)
        status = net_incoming_end(in, true, &err);
    FUZZ_CHECK(in->at <= in->raw.len && in->reader.body.len <= BODY_MAX);
    FUZZ_CHECK(!in->is_done || (in->status >= 200 && in->reader.head_complete));
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_incoming whole, cut;
    enum lest_status status = feed(&whole, data, size, size ? size : 1);
    FUZZ_CHECK(feed(&cut, data, size, 1) == status);
    FUZZ_CHECK(whole.is_done == cut.is_done);
    if (whole.is_done) {
        FUZZ_CHECK(whole.status == cut.status && whole.at == cut.at);
        FUZZ_CHECK(whole.reader.header_count == cut.reader.header_count);
        FUZZ_CHECK(whole.reader.body.len == cut.reader.body.len);
        FUZZ_CHECK(whole.reader.body.len == 0 ||
                   memcmp(whole.reader.body.data, cut.reader.body.data, cut.reader.body.len) == 0);
    }
    net_incoming_free(&whole);
    net_incoming_free(&cut);
    return 0;
}
