/* Request targets. What is routed must be routed alike in its normal form, and its label could be configured.
 */
#include "fuzz.h"

#include "est/path.h"

static void check_again(const struct est_route *route, const char *suffix)
{
    struct est_route again;
    struct http_refusal why;
    char path[512];
    int len = snprintf(path, sizeof path, "/.well-known/est%s%s/%s%s", route->label[0] ? "/" : "",
                       route->label, est_operation_info(route->operation)->name, suffix);
    FUZZ_CHECK(len > 0 && (size_t)len < sizeof path);
    FUZZ_CHECK(est_route_parse(http_text(path), &again, &why));
    FUZZ_CHECK(again.operation == route->operation && strcmp(again.label, route->label) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct est_route route;
    struct http_refusal why = { 0, NULL };
    struct lest_error err;
    char *copy = (char *)fuzz_copy(data, size);
    struct http_slice input = { copy, size };
    if (est_route_parse(input, &route, &why)) {
        FUZZ_CHECK((unsigned)route.operation < EST_OPERATION_COUNT);
        FUZZ_CHECK(est_operation_info(route.operation)->offered);
        FUZZ_CHECK(!strchr(route.label, '/') && strcmp(route.label, "..") != 0);
        if (route.label[0])
            FUZZ_CHECK(est_label_check(http_text(route.label), &err) == LEST_OK);
        check_again(&route, "");
        check_again(&route, "?a/../b");
    } else {
        FUZZ_CHECK(why.status == 404 && why.reason);
    }
    if (est_label_check(input, &err) == LEST_OK) {
        FUZZ_CHECK(size >= 1 && size <= EST_LABEL_MAX && !memchr(copy, '/', size));
        route.operation = EST_CSRATTRS;
        memcpy(route.label, copy, size);
        route.label[size] = '\0';
        check_again(&route, "");
    }
    free(copy);
    return 0;
}
