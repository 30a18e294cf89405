#include "pki/asn1/ext.h"

#include <string.h>

static bool next(struct pki_der *in, bool template, struct pki_ext *ext)
{
    struct pki_der body, value;
    ext->critical = false;
    ext->value = (struct pki_bytes){ NULL, 0 };
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "an extension", &body) ||
        !pki_der_oid(&body, "an extension's identifier", &ext->oid))
        return false;
    /* DER leaves FALSE out; certificates that write it exist, and mean what they say. */
    if (pki_der_peek(&body) == PKI_DER_BOOLEAN &&
        !pki_der_boolean(&body, "an extension's critical flag", &ext->critical))
        return false;
    if (template && !body.left)
        return true;
    if (!pki_der_read(&body, PKI_DER_OCTET_STRING, "an extension's value", &value) ||
        !pki_der_end(&body, "an extension"))
        return false;
    ext->value = (struct pki_bytes){ value.at, value.left };
    return true;
}

bool pki_ext_next(struct pki_der *in, struct pki_ext *ext)
{
    return next(in, false, ext);
}

bool pki_ext_next_template(struct pki_der *in, struct pki_ext *ext)
{
    return next(in, true, ext);
}

static bool check(struct pki_der in, bool template)
{
    struct pki_bytes seen[PKI_EXT_COUNT_MAX];
    size_t count = 0;
    while (in.left) {
        struct pki_ext ext;
        if (count == PKI_EXT_COUNT_MAX)
            return pki_der_fail(&in, "there are more than %d extensions", PKI_EXT_COUNT_MAX);
        if (!next(&in, template, &ext))
            return false;
        for (size_t i = 0; i < count; i++)
            if (pki_bytes_equal(seen[i], ext.oid))
                return pki_der_fail(&in, "an extension stands twice");
        seen[count++] = ext.oid;
    }
    return true;
}

bool pki_ext_check(struct pki_der in)
{
    return check(in, false);
}

bool pki_ext_check_template(struct pki_der in)
{
    return check(in, true);
}

bool pki_ext_list(struct pki_der *in, struct pki_der *list)
{
    static const char what[] = "the extensions";
    struct pki_der outer;
    return pki_der_read(in, PKI_DER_ANY, what, &outer) &&
           pki_der_read(&outer, PKI_DER_SEQUENCE, what, list) && pki_der_end(&outer, what) &&
           pki_ext_check(*list);
}

static const char *const key_usages[] = {
    "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
    "keyCertSign",      "cRLSign",        "encipherOnly",    "decipherOnly",
};
enum { KEY_USAGES = sizeof key_usages / sizeof *key_usages };

bool pki_ext_key_usage(struct pki_der *in, int *key_usage)
{
    struct pki_bytes bits;
    unsigned unused;
    if (!pki_der_bits(in, "keyUsage", &bits, &unused) || !pki_der_end(in, "keyUsage"))
        return false;
    *key_usage = 0;
    for (unsigned bit = 0; bit < KEY_USAGES && bit / 8 < bits.len; bit++)
        if (bits.data[bit / 8] & 0x80 >> bit % 8)
            *key_usage |= 1 << bit;
    return true;
}

bool pki_ext_eku(struct pki_der *in, struct pki_bytes *purposes)
{
    struct pki_der list;
    struct pki_bytes oid;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "extendedKeyUsage", &list) ||
        !pki_der_end(in, "extendedKeyUsage"))
        return false;
    *purposes = (struct pki_bytes){ list.at, list.left };
    /* "SEQUENCE SIZE (1..MAX) OF KeyPurposeId" */
    if (list.left == 0)
        return pki_der_fail(&list, "extendedKeyUsage is empty");
    while (list.left)
        if (!pki_der_oid(&list, "a purpose of extendedKeyUsage", &oid))
            return false;
    return true;
}

bool pki_ext_aki(struct pki_der *in, struct pki_bytes *key_id)
{
    static const char what[] = "the authority key identifier";
    struct pki_der body;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, what, &body) || !pki_der_end(in, what))
        return false;
    *key_id = (struct pki_bytes){ NULL, 0 };
    while (body.left) {
        struct pki_der_item item;
        if (!pki_der_item(&body, PKI_DER_ANY, what, &item))
            return false;
        if (item.tag == (PKI_DER_CONTEXT | 0))
            *key_id = item.body;
    }
    return true;
}

const char *pki_ext_key_usage_name(unsigned bit)
{
    return bit < KEY_USAGES ? key_usages[bit] : NULL;
}

int pki_ext_key_usage_bit(const char *name, size_t len)
{
    for (int bit = 0; bit < KEY_USAGES; bit++)
        if (strlen(key_usages[bit]) == len && memcmp(key_usages[bit], name, len) == 0)
            return bit;
    return -1;
}

/* What follows the identifier, up to the inside of the OCTET STRING. */
static size_t open_value(struct lest_buf *out, bool critical)
{
    if (critical)
        pki_der_put_boolean(out, true);
    return pki_der_put_open(out, PKI_DER_OCTET_STRING);
}

struct pki_ext_mark pki_ext_put_open(struct lest_buf *out, enum pki_oid oid, bool critical)
{
    struct pki_ext_mark mark = { .whole = pki_der_put_open(out, PKI_DER_SEQUENCE) };
    pki_oid_put(out, oid);
    mark.value = open_value(out, critical);
    return mark;
}

void pki_ext_put_close(struct lest_buf *out, struct pki_ext_mark mark)
{
    pki_der_put_close(out, mark.value);
    pki_der_put_close(out, mark.whole);
}

void pki_ext_put(struct lest_buf *out, enum pki_oid oid, bool critical, struct pki_bytes value)
{
    struct pki_ext_mark mark = pki_ext_put_open(out, oid, critical);
    lest_buf_append(out, value.data, value.len);
    pki_ext_put_close(out, mark);
}

enum lest_status pki_ext_put_text(struct lest_buf *out, const char *oid, size_t oid_len, bool critical,
                                  struct pki_bytes value, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "extensions", .malformed = LEST_E_MALFORMED, .err = err };
    if (!pki_der_one(&doc, value, "a value"))
        return doc.status;
    struct pki_ext_mark mark = { .whole = pki_der_put_open(out, PKI_DER_SEQUENCE) };
    enum lest_status status = pki_oid_put_text(out, oid, oid_len, err);
    if (status)
        return status;
    mark.value = open_value(out, critical);
    lest_buf_append(out, value.data, value.len);
    pki_ext_put_close(out, mark);
    return lest_buf_status(out, err);
}

enum lest_status pki_ext_put_open_text(struct lest_buf *out, const char *oid, size_t oid_len, bool critical,
                                       struct lest_error *err)
{
    size_t whole = pki_der_put_open(out, PKI_DER_SEQUENCE);
    enum lest_status status = pki_oid_put_text(out, oid, oid_len, err);
    if (status)
        return status;
    if (critical)
        pki_der_put_boolean(out, true);
    pki_der_put_close(out, whole);
    return lest_buf_status(out, err);
}
