#include "est/operation.h"

static const struct est_operation_info operations[] = {
#define X(id, text, method, offered, request, response)                                                      \
    [EST_##id] = { text, method, offered, request, response },
    EST_OPERATIONS(X)
#undef X
};
_Static_assert(sizeof operations / sizeof *operations == EST_OPERATION_COUNT, "every operation has its row");

static const char *const reserved[] = {
#define X(id, text, ...) text,
    EST_OPERATIONS(X)
#undef X
    /* RFC 8295 2.1.1; "return" comes after another segment */
    "pal",
    "eecerts", "crls", "symmetrickeys", "firmware", "tamp", "return",
    /* RFC 8995 8.3.1, once under /.well-known/est too */
    "requestvoucher", "voucher_status", "requestauditlog", "enrollstatus",
    /* RFC 9148 4.1 */
    "crts", "sen", "sren", "att", "skg", "skc"
};

enum { RESERVED_COUNT = sizeof reserved / sizeof *reserved };

const struct est_operation_info *est_operation_info(enum est_operation operation)
{
    return (unsigned)operation < EST_OPERATION_COUNT ? &operations[operation] : NULL;
}

bool est_operation_find(struct http_slice segment, enum est_operation *out)
{
    for (int i = 0; i < EST_OPERATION_COUNT; i++) {
        if (http_equal(segment, http_text(operations[i].name))) {
            *out = (enum est_operation)i;
            return true;
        }
    }
    return false;
}

const char *est_reserved_name(size_t i)
{
    return i < RESERVED_COUNT ? reserved[i] : NULL;
}

bool est_name_is_reserved(struct http_slice name)
{
    for (size_t i = 0; i < RESERVED_COUNT; i++)
        if (http_equal_nocase(name, http_text(reserved[i])))
            return true;
    return false;
}

int est_method_check(enum est_operation operation, enum http_method method, const char **allow)
{
    enum http_method wanted = operations[operation].method;
    *allow = wanted == HTTP_GET ? "GET, HEAD" : "POST";
    if (method == HTTP_METHOD_UNKNOWN)
        return 501;
    if (method == wanted || (method == HTTP_HEAD && wanted == HTTP_GET))
        return 0;
    return 405;
}
