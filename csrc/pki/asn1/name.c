#include "pki/asn1/name.h"

#include "base/hex.h"
#include "base/utf8.h"
#include "pki/asn1/string.h"
#include "pki/error.h"

#include <openssl/x509.h>

#include <string.h>

void pki_name_open(struct pki_name_reader *reader, struct pki_der_doc *doc, const uint8_t *der, size_t len)
{
    struct pki_der in;
    *reader = (struct pki_name_reader){ .rdns = { .doc = doc } };
    pki_der_open(&in, doc, der, len);
    if (len > PKI_NAME_MAX)
        pki_der_fail(&in, "the name is longer than %d bytes", PKI_NAME_MAX);
    else if (pki_der_read(&in, PKI_DER_SEQUENCE, "the name", &reader->rdns) && !pki_der_end(&in, "the name"))
        reader->rdns.left = 0;
}

/* Reads one AttributeTypeAndValue; type and item are set. */
static bool read_attribute(struct pki_name_reader *reader, bool *plus, struct pki_bytes *type,
                           struct pki_der_item *item)
{
    struct pki_der attribute;
    *plus = reader->rdn.left != 0;
    if (!*plus) {
        if (!pki_der_read(&reader->rdns, PKI_DER_SET, "an RDN of the name", &reader->rdn))
            return false;
        if (reader->rdn.left == 0)
            return pki_der_fail(&reader->rdn, "an RDN of the name is empty");
    }
    if (++reader->count > PKI_NAME_PARTS_MAX)
        return pki_der_fail(&reader->rdn, "the name has more than %d parts", PKI_NAME_PARTS_MAX);
    return pki_der_read(&reader->rdn, PKI_DER_SEQUENCE, "a part of the name", &attribute) &&
           pki_der_oid(&attribute, "the type of a part of the name", type) &&
           pki_der_item(&attribute, PKI_DER_ANY, "the value of a part of the name", item) &&
           pki_der_end(&attribute, "the value of a part of the name");
}

bool pki_name_next(struct pki_name_reader *reader, struct lest_buf *text, struct pki_name_part *part)
{
    struct pki_bytes type;
    struct pki_der_item item;
    if (reader->rdns.doc->status != LEST_OK || (!reader->rdns.left && !reader->rdn.left))
        return false;
    *part = (struct pki_name_part){ 0 };
    if (!read_attribute(reader, &part->plus, &type, &item))
        return false;
    pki_oid_describe(type, reader->type);
    text->len = 0;
    if (!pki_string_tag(item.tag) || !pki_string_append(&item, text)) {
        struct pki_der at = { item.whole.data, 0, reader->rdns.doc };
        if (pki_string_tag(item.tag) && !pki_der_tolerates(&at, PKI_FLAW_NAME))
            return pki_der_fail(&at, "%s of the name has characters that its type does not allow",
                                reader->type);
        part->der = true;
        text->len = 0;
        lest_buf_append_byte(text, '#');
        lest_hex_append(text, item.whole.data, item.whole.len);
    }
    if (text->failed) {
        reader->rdns.doc->status = lest_buf_status(text, reader->rdns.doc->err);
        return false;
    }
    part->type = reader->type;
    part->type_len = strlen(reader->type);
    part->value = text->data ? (const char *)text->data : "";
    part->value_len = text->len;
    return true;
}

/* Without names of types: parsing a request is on the hot path, and asking OpenSSL for them is not free. */
bool pki_name_check(struct pki_der_doc *doc, const uint8_t *der, size_t len)
{
    struct pki_name_reader reader;
    struct lest_buf text;
    bool ok = true;
    lest_buf_init(&text, PKI_NAME_MAX * 3);
    pki_name_open(&reader, doc, der, len);
    while (ok && doc->status == LEST_OK && (reader.rdns.left || reader.rdn.left)) {
        bool plus;
        struct pki_bytes type;
        struct pki_der_item item;
        if (!read_attribute(&reader, &plus, &type, &item))
            break;
        text.len = 0;
        struct pki_der at = { item.whole.data, 0, doc };
        size_t count = PKI_NAME_PARTS_MAX;
        struct pki_der value = { item.whole.data, item.whole.len, doc };
        if (pki_string_tag(item.tag) && !pki_string_append(&item, &text) &&
            !pki_der_tolerates(&at, PKI_FLAW_NAME))
            ok = pki_der_fail(&at, "the name has characters that their type does not allow");
        else if (item.tag & PKI_DER_CONSTRUCTED)
            ok = pki_der_check(value, "the name", 8, &count);
    }
    if (text.failed && doc->status == LEST_OK)
        doc->status = lest_buf_status(&text, doc->err);
    lest_buf_free(&text);
    return doc->status == LEST_OK;
}

bool pki_name_is_text(struct pki_bytes der)
{
    struct pki_der_doc doc = { .noun = "name", .malformed = LEST_E_NAME_MALFORMED };
    struct pki_name_reader reader;
    struct lest_buf text;
    bool plus, is_text = true;
    struct pki_bytes type;
    struct pki_der_item item;
    lest_buf_init(&text, PKI_NAME_MAX * 3);
    pki_name_open(&reader, &doc, der.data, der.len);
    while (is_text && (reader.rdns.left || reader.rdn.left))
        is_text = read_attribute(&reader, &plus, &type, &item) && pki_string_tag(item.tag) &&
                  pki_string_append(&item, &text);
    lest_buf_free(&text);
    return is_text && doc.status == LEST_OK;
}

/* What RFC 5280 appendix A allows for a type, as OpenSSL's table has it. */
static enum lest_status value_rules(const struct pki_name_part *part, int nid, uint8_t *tag,
                                    struct lest_error *err)
{
    const ASN1_STRING_TABLE *rules = ASN1_STRING_TABLE_get(nid);
    size_t characters = 0, max = rules && rules->maxsize > 0 ? (size_t)rules->maxsize : PKI_NAME_MAX;
    size_t min = rules && rules->minsize > 0 ? (size_t)rules->minsize : 0;
    int type_len = (int)part->type_len;
    if (nid == NID_pkcs9_emailAddress)
        max = 255; /* RFC 5280 ub-emailaddress-length; the table still has RFC 3280's 128 */
    for (size_t i = 0; i < part->value_len; i++)
        characters += ((uint8_t)part->value[i] & 0xc0) != 0x80;
    if (!lest_utf8_is_text(part->value, part->value_len))
        return lest_error_set(err, LEST_E_NAME_MALFORMED, "name: the value of %.*s is no UTF-8 text",
                              type_len, part->type);
    if (characters < min || characters > max)
        return lest_error_set(err, LEST_E_NAME_MALFORMED,
                              "name: the value of %.*s has %zu characters, allowed are %zu to %zu", type_len,
                              part->type, characters, min, max);
    bool printable = rules && rules->mask == B_ASN1_PRINTABLESTRING;
    bool ia5 = rules && rules->mask == B_ASN1_IA5STRING;
    if (printable && !pki_string_is_printable(part->value, part->value_len))
        return lest_error_set(err, LEST_E_NAME_MALFORMED,
                              "name: the value of %.*s has characters outside PrintableString", type_len,
                              part->type);
    if (ia5 && !pki_string_is_visible(part->value, part->value_len, true))
        return lest_error_set(err, LEST_E_NAME_MALFORMED,
                              "name: the value of %.*s has characters outside ASCII", type_len, part->type);
    *tag = printable ? PKI_DER_PRINTABLE_STRING : ia5 ? PKI_DER_IA5_STRING : PKI_DER_UTF8_STRING;
    return LEST_OK;
}

/* '#' and hex: written as it is, so that what was read goes out the same. */
static enum lest_status put_der(const struct pki_name_part *part, struct lest_buf *out,
                                struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "name", .malformed = LEST_E_NAME_MALFORMED, .err = err };
    size_t len = part->value_len / 2;
    uint8_t *der = lest_buf_reserve(out, len);
    if (!der)
        return lest_buf_status(out, err);
    if (part->value_len == 0 || part->value[0] != '#' ||
        !lest_hex_decode(part->value + 1, part->value_len - 1, der))
        return lest_error_set(err, LEST_E_NAME_MALFORMED,
                              "name: the value of %.*s is not '#' and bytes in hex", (int)part->type_len,
                              part->type);
    out->len += len;
    return pki_der_one(&doc, (struct pki_bytes){ der, len }, "a value") ? LEST_OK : doc.status;
}

static enum lest_status put_part(const struct pki_name_part *part, struct lest_buf *out,
                                 struct lest_error *err)
{
    uint8_t tag = PKI_DER_UTF8_STRING;
    struct lest_error why = { .status = LEST_OK };
    size_t attribute = pki_der_put_open(out, PKI_DER_SEQUENCE);
    size_t oid = out->len + 2;
    enum lest_status status = pki_oid_put_text(out, part->type, part->type_len, &why);
    if (status)
        return status == LEST_E_MALFORMED
                   ? lest_error_set(err, LEST_E_NAME_MALFORMED, "name: the type %s", why.message)
                   : lest_error_set(err, status, "name: %s", why.message);
    struct pki_bytes type = { out->data + oid, out->len - oid };
    status = part->der ? put_der(part, out, err) : value_rules(part, pki_oid_nid(type), &tag, err);
    if (status)
        return status;
    if (!part->der)
        pki_der_put(out, tag, part->value, part->value_len);
    pki_der_put_close(out, attribute);
    return LEST_OK;
}

enum lest_status pki_name_encode(const struct pki_name_part *parts, size_t count, struct lest_buf *out,
                                 struct lest_error *err)
{
    if (count > PKI_NAME_PARTS_MAX)
        return lest_error_set(err, LEST_E_NAME_MALFORMED, "name: more than %d parts", PKI_NAME_PARTS_MAX);
    size_t name = pki_der_put_open(out, PKI_DER_SEQUENCE);
    for (size_t i = 0; i < count;) {
        if (i == 0 && parts[i].plus)
            return lest_error_set(err, LEST_E_NAME_MALFORMED, "name: the first part has no RDN to join");
        size_t rdn = pki_der_put_open(out, PKI_DER_SET);
        do {
            enum lest_status status = put_part(&parts[i], out, err);
            if (status)
                return status;
        } while (++i < count && parts[i].plus);
        pki_der_put_sort(out, rdn);
        pki_der_put_close(out, rdn);
    }
    pki_der_put_close(out, name);
    return lest_buf_status(out, err);
}

const struct pki_bytes pki_name_empty = { (const uint8_t[]){ PKI_DER_SEQUENCE, 0 }, 2 };

bool pki_name_is_empty(struct pki_bytes der)
{
    return der.len == 2;
}

static X509_NAME *parse_x509(struct pki_bytes der)
{
    const uint8_t *at = der.data;
    X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)der.len);
    if (name && at != der.data + der.len) {
        X509_NAME_free(name);
        name = NULL;
    }
    return name;
}

bool pki_name_equal(struct pki_bytes a, struct pki_bytes b)
{
    if (pki_bytes_equal(a, b))
        return true;
    if (!a.data || !b.data || a.len > PKI_NAME_MAX || b.len > PKI_NAME_MAX)
        return false;
    /* OpenSSL compares the canonical encoding: UTF-8, lower case, white space folded. */
    X509_NAME *left = parse_x509(a), *right = parse_x509(b);
    bool equal = left && right && X509_NAME_cmp(left, right) == 0;
    X509_NAME_free(left);
    X509_NAME_free(right);
    pki_error_clear();
    return equal;
}
