/* PROXY headers: what comes of one depends neither on how the bytes were cut nor on what follows it, and what
 * is read of it lies within it. */
#include "fuzz.h"

#include "net/proxy.h"

static enum net_proxy_verdict parse(const uint8_t *data, size_t len, struct net_proxy *out)
{
    uint8_t *copy = fuzz_copy(data, len);
    enum net_proxy_verdict verdict = net_proxy_parse(copy, len, out);
    free(copy);
    FUZZ_CHECK((verdict == NET_PROXY_BAD) == (out->why != NULL));
    if (verdict == NET_PROXY_CLIENT || verdict == NET_PROXY_OWN)
        FUZZ_CHECK(out->len >= 15 && out->len <= len && out->len <= NET_PROXY_MAX);
    if (verdict == NET_PROXY_CLIENT)
        FUZZ_CHECK(out->client.ss_family == AF_INET || out->client.ss_family == AF_INET6);
    FUZZ_CHECK(verdict != NET_PROXY_MORE || len < NET_PROXY_MAX);
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_proxy whole, cut;
    enum net_proxy_verdict verdict = parse(data, size, &whole), before = NET_PROXY_MORE;
    for (size_t len = 0; len <= size && len <= 2 * NET_PROXY_MAX; len++) {
        enum net_proxy_verdict now = parse(data, len, &cut);
        FUZZ_CHECK(before == NET_PROXY_MORE || before == now);
        if (now == NET_PROXY_CLIENT || now == NET_PROXY_OWN) {
            FUZZ_CHECK(now == verdict && cut.len == whole.len && len >= whole.len);
            FUZZ_CHECK(memcmp(&cut.client, &whole.client, sizeof cut.client) == 0);
        }
        if (now == NET_PROXY_MORE && verdict != NET_PROXY_MORE && verdict != NET_PROXY_BAD)
            FUZZ_CHECK(len < whole.len);
        before = now;
    }
    return 0;
}
