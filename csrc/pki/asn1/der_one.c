/* What makes BER out of DER and shows without a schema (X.690 10 and 11). */
#include "pki/asn1/der.h"

#include <string.h>

enum { DEPTH_MAX = 16, ELEMENTS_MAX = 4096, UNIVERSAL_MAX = 0x3f };

/* X.690 10.2: a string type is not constructed. */
static bool is_string_in_parts(uint8_t tag)
{
    uint8_t type = (uint8_t)(tag & ~PKI_DER_CONSTRUCTED);
    return tag <= UNIVERSAL_MAX && tag & PKI_DER_CONSTRUCTED && tag != PKI_DER_SEQUENCE &&
           tag != PKI_DER_SET &&
           (type == PKI_DER_BIT_STRING || type == PKI_DER_OCTET_STRING || type >= PKI_DER_UTF8_STRING);
}

static bool check_value(struct pki_der at, const char *what, const struct pki_der_item *item)
{
    struct pki_bytes value;
    unsigned unused;
    bool boolean;
    if (is_string_in_parts(item->tag))
        return pki_der_fail(&at, "%s has a string in parts", what);
    switch (item->tag) {
    case PKI_DER_BOOLEAN: return pki_der_boolean(&at, what, &boolean);
    case PKI_DER_INTEGER: return pki_der_integer(&at, what, &value);
    case PKI_DER_OID: return pki_der_oid(&at, what, &value);
    case PKI_DER_BIT_STRING: return pki_der_bits(&at, what, &value, &unused);
    case PKI_DER_NULL: return item->body.len == 0 || pki_der_fail(&at, "%s has a NULL with contents", what);
    default: return true;
    }
}

/* X.690 11.6, as pki_der_put_sort() has it. */
static bool is_sorted(struct pki_bytes before, struct pki_bytes after)
{
    size_t shorter = before.len < after.len ? before.len : after.len;
    int order = memcmp(before.data, after.data, shorter);
    return order < 0 || (order == 0 && before.len <= after.len);
}

static bool check_elements(struct pki_der in, const char *what, bool in_set)
{
    struct pki_bytes before = { NULL, 0 };
    while (in.left) {
        struct pki_der at = in, body;
        struct pki_der_item item;
        if (!pki_der_item(&in, PKI_DER_ANY, what, &item) || !check_value(at, what, &item))
            return false;
        if (in_set && before.data && !is_sorted(before, item.whole))
            return pki_der_fail(&at, "%s has a SET that is not in order", what);
        before = item.whole;
        if (!(item.tag & PKI_DER_CONSTRUCTED))
            continue;
        pki_der_enter(&in, &item, &body);
        if (!check_elements(body, what, item.tag == PKI_DER_SET))
            return false;
    }
    return true;
}

bool pki_der_one(struct pki_der_doc *doc, struct pki_bytes der, const char *what)
{
    struct pki_der in;
    size_t count = ELEMENTS_MAX;
    doc->start = NULL;
    pki_der_open(&in, doc, der.data, der.len);
    struct pki_der all = in;
    /* The second look is bounded by the first. */
    return pki_der_read(&in, PKI_DER_ANY, what, NULL) && pki_der_end(&in, what) &&
           pki_der_check(all, what, DEPTH_MAX, &count) && check_elements(all, what, false);
}
