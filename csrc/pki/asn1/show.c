#include "pki/asn1/show.h"

#include "base/hex.h"
#include "pki/asn1/oid.h"
#include "pki/asn1/string.h"
#include "pki/error.h"

#include <openssl/bio.h>
#include <openssl/x509v3.h>

/* HEX_MAX: how many bytes of something unknown are shown. */
enum { DEPTH_MAX = 8, HEX_MAX = 32 };

static void show_hex(struct pki_bytes bytes, struct lest_buf *out)
{
    lest_hex_append(out, bytes.data, bytes.len < HEX_MAX ? bytes.len : HEX_MAX);
    if (bytes.len > HEX_MAX)
        lest_buf_append_fmt(out, "... (%zu bytes)", bytes.len);
}

bool pki_show_extension(struct pki_bytes oid, struct pki_bytes value, struct lest_buf *out)
{
    bool shown = false;
    char *text = NULL;
    pki_error_clear();
    const ASN1_OBJECT *object = pki_oid_nid(oid) ? OBJ_nid2obj(pki_oid_nid(oid)) : NULL;
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    if (object && octets && bio && value.len <= PKI_SHOW_MAX &&
        ASN1_OCTET_STRING_set(octets, value.data, (int)value.len))
        extension = X509_EXTENSION_create_by_OBJ(NULL, object, 0, octets);
    /* Without flags an unknown or malformed one is 0, and not dumped. */
    if (extension && X509V3_EXT_print(bio, extension, 0, 0) == 1) {
        long len = BIO_get_mem_data(bio, &text);
        while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
            len--;
        if (len > 0 && len <= PKI_SHOW_MAX) {
            lest_buf_append(out, text, (size_t)len);
            shown = true;
        }
    }
    BIO_free(bio);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
    pki_error_clear();
    return shown;
}

static bool show(struct pki_der *in, unsigned depth, struct lest_buf *out);

/* The elements of a constructed one. */
static bool show_list(struct pki_der in, unsigned depth, struct lest_buf *out)
{
    if (depth == DEPTH_MAX)
        return false;
    lest_buf_append_str(out, "{");
    for (bool first = true; in.left; first = false) {
        if (!first)
            lest_buf_append_str(out, ", ");
        if (!show(&in, depth, out))
            return false;
    }
    lest_buf_append_str(out, "}");
    return true;
}

static void show_integer(struct pki_bytes body, struct lest_buf *out)
{
    if (body.len == 0 || body.len > 8 || body.data[0] & 0x80) {
        show_hex(body, out);
        return;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < body.len; i++)
        value = value << 8 | body.data[i];
    lest_buf_append_fmt(out, "%llu", (unsigned long long)value);
}

static bool show(struct pki_der *in, unsigned depth, struct lest_buf *out)
{
    struct pki_der_item item;
    struct pki_der body;
    char text[PKI_OID_TEXT_MAX];
    if (!pki_der_item(in, PKI_DER_ANY, "a value", &item))
        return false;
    pki_der_enter(in, &item, &body);
    if (item.tag & PKI_DER_CONSTRUCTED) {
        if (item.tag & PKI_DER_CONTEXT)
            lest_buf_append_fmt(out, "[%u]", item.tag & 0x1f);
        return show_list(body, depth + 1, out);
    }
    size_t before = out->len;
    if (pki_string_tag(item.tag)) {
        if (!pki_string_append(&item, out)) {
            out->len = before;
            show_hex(item.body, out);
        }
    } else if (item.tag == PKI_DER_UTC_TIME || item.tag == PKI_DER_GENERALIZED_TIME) {
        lest_buf_append(out, item.body.data, item.body.len);
    } else if (item.tag == PKI_DER_OID && pki_der_oid_valid(item.body)) {
        pki_oid_describe(item.body, text);
        lest_buf_append_str(out, text);
    } else if (item.tag == PKI_DER_INTEGER || item.tag == PKI_DER_ENUMERATED) {
        show_integer(item.body, out);
    } else if (item.tag == PKI_DER_BOOLEAN && item.body.len == 1) {
        lest_buf_append_str(out, item.body.data[0] ? "true" : "false");
    } else if (item.tag == PKI_DER_NULL && item.body.len == 0) {
        lest_buf_append_str(out, "null");
    } else {
        show_hex(item.body, out);
    }
    return true;
}

void pki_show_value(struct pki_bytes der, struct lest_buf *out)
{
    struct pki_der_doc doc = { .noun = "value", .malformed = LEST_E_MALFORMED };
    struct pki_der in;
    size_t before = out->len;
    pki_der_open(&in, &doc, der.data, der.len);
    if (!show(&in, 0, out) || in.left) {
        out->len = before;
        show_hex(der, out);
    }
}
