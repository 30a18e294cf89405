/* CSR attributes and templates: what decodes is read twice to the same, what it requires lies inside it, what
 * may be sent may also be received, and a template that was filled in is filled in by its own result. */
#include "fuzz.h"

#include "pki/asn1/ext.h"
#include "pki/x509/csrattrs.h"
#include "pki/x509/template.h"

static bool inside(struct pki_bytes part, struct pki_bytes whole)
{
    return !part.data || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void check_requirements(struct pki_bytes der)
{
    struct pki_der_doc doc;
    struct pki_der in;
    struct pki_attr attr;
    struct pki_csr_requirements required = { .key = "" };
    size_t count = 0;
    FUZZ_CHECK(pki_csrattrs_open(der, &doc, &in, NULL) == LEST_OK);
    for (; pki_csrattrs_next(&in, &attr); count++) {
        const char *problem;
        FUZZ_CHECK(inside(attr.oid, der) && inside(attr.values, der) && pki_der_oid_valid(attr.oid));
        pki_csr_requirements_add(&required, &attr, &problem);
    }
    FUZZ_CHECK(in.left == 0 && doc.status == LEST_OK && count <= PKI_CSRATTRS_COUNT_MAX);
    FUZZ_CHECK(inside(required.extensions, der));
    if (required.extensions.data) {
        pki_der_open(&in, &doc, required.extensions.data, required.extensions.len);
        FUZZ_CHECK(pki_ext_check(in));
    }
    /* A kind of key that can be written is understood again. */
    struct lest_buf again;
    lest_buf_init(&again, 1024);
    if (required.key[0] && pki_csrattrs_put_key(&again, required.key, NULL) == LEST_OK)
        FUZZ_CHECK(again.len > 2);
    lest_buf_free(&again);
}

/* A subject with its openings closed: the attribute of each as it is, with a value. */
static void close_subject(struct pki_bytes subject, struct lest_buf *own)
{
    struct pki_der_doc doc = { .noun = "subject", .malformed = LEST_E_MALFORMED };
    struct pki_template_reader reader;
    struct pki_template_part part;
    size_t name = pki_der_put_open(own, PKI_DER_SEQUENCE);
    FUZZ_CHECK(pki_template_open_name(&reader, &doc, subject));
    while (pki_template_next_part(&reader, &part)) {
        size_t rdn = pki_der_put_open(own, PKI_DER_SET), single = pki_der_put_open(own, PKI_DER_SEQUENCE);
        pki_der_put(own, PKI_DER_OID, part.type.data, part.type.len);
        if (part.value.data)
            lest_buf_append(own, part.value.data, part.value.len);
        else
            pki_der_put(own, PKI_DER_UTF8_STRING, "x", 1);
        pki_der_put_close(own, single);
        pki_der_put_close(own, rdn);
    }
    pki_der_put_close(own, name);
    FUZZ_CHECK(doc.status == LEST_OK);
}

static struct pki_bytes of(const struct lest_buf *buf)
{
    return (struct pki_bytes){ buf->data, buf->len };
}

static void check_subject(struct pki_bytes subject)
{
    struct lest_buf own, once, twice;
    lest_buf_init(&own, 2 * PKI_NAME_MAX);
    lest_buf_init(&once, 2 * PKI_NAME_MAX);
    lest_buf_init(&twice, 2 * PKI_NAME_MAX);
    close_subject(subject, &own);
    if (pki_template_fill_name(subject, of(&own), &once, NULL) == LEST_OK) {
        FUZZ_CHECK(pki_template_fill_name(subject, of(&once), &twice, NULL) == LEST_OK);
        FUZZ_CHECK(once.len == twice.len);
    }
    lest_buf_free(&own);
    lest_buf_free(&once);
    lest_buf_free(&twice);
}

static void check_san(struct pki_bytes value)
{
    static const uint8_t own[] = { 0x30, 0x09, 0x82, 0x01, 'x', 0x87, 0x04, 192, 0, 2, 1 };
    struct lest_buf once, twice;
    lest_buf_init(&once, 2 * PKI_SAN_MAX);
    lest_buf_init(&twice, 2 * PKI_SAN_MAX);
    if (pki_template_fill_san(value, (struct pki_bytes){ own, sizeof own }, &once, NULL) == LEST_OK)
        FUZZ_CHECK(pki_template_fill_san(value, of(&once), &twice, NULL) == LEST_OK);
    lest_buf_free(&once);
    lest_buf_free(&twice);
}

static void check_template(struct pki_bytes der)
{
    struct pki_der_doc doc = { .noun = "template", .malformed = LEST_E_MALFORMED };
    struct pki_template template;
    struct pki_der in;
    struct pki_ext ext;
    bool found;
    FUZZ_CHECK(pki_csrattrs_open(der, &doc, &in, NULL) == LEST_OK);
    if (pki_template_find(in, &template, &found, NULL) != LEST_OK || !found)
        return;
    FUZZ_CHECK(inside(template.subject, der) && inside(template.extensions, der) &&
               inside(template.attributes, der));
    if (template.subject.data)
        check_subject(template.subject);
    pki_der_open(&in, &doc, template.extensions.data, template.extensions.len);
    while (in.left) {
        FUZZ_CHECK(pki_ext_next_template(&in, &ext));
        if (ext.value.data && pki_oid_is(ext.oid, PKI_OID_SAN))
            check_san(ext.value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    struct pki_bytes der = { copy, size };
    struct pki_der_doc doc;
    struct pki_der in;
    struct lest_error err = { .status = LEST_OK };
    enum lest_status status = pki_csrattrs_open(der, &doc, &in, &err);
    FUZZ_CHECK(status == err.status);
    if (status == LEST_OK) {
        check_requirements(der);
        check_template(der);
    }
    if (pki_csrattrs_check_ours(der, &err) == LEST_OK)
        FUZZ_CHECK(status == LEST_OK);
    free(copy);
    return 0;
}
