#include "pki/x509/crl.h"

#include "pki/asn1/ext.h"
#include "pki/asn1/input.h"
#include "pki/asn1/name.h"
#include "pki/asn1/oid.h"
#include "pki/error.h"
#include "pki/key/signature.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct pki_crl_own {
    atomic_uint refs;
    _Atomic(X509_CRL *) x509;
    uint8_t der[];
};

/* RFC 5280 5.3.1; 7 is not used. */
static const char *const reasons[] = {
    "unspecified",   "keyCompromise",        "cACompromise",    "affiliationChanged",
    "superseded",    "cessationOfOperation", "certificateHold", NULL,
    "removeFromCRL", "privilegeWithdrawn",   "aACompromise"
};

const char *pki_crl_reason_name(int reason)
{
    return reason >= 0 && reason < (int)(sizeof reasons / sizeof *reasons) ? reasons[reason] : NULL;
}

int pki_crl_reason_number(const char *name)
{
    for (int i = 0; i < (int)(sizeof reasons / sizeof *reasons); i++)
        if (reasons[i] && strcmp(reasons[i], name) == 0)
            return i;
    return -1;
}

static bool next_is_time(const struct pki_der *in)
{
    return pki_der_peek(in) == PKI_DER_UTC_TIME || pki_der_peek(in) == PKI_DER_GENERALIZED_TIME;
}

static bool read_reason(struct pki_der_doc *doc, struct pki_bytes value, int *reason)
{
    struct pki_der in, body;
    pki_der_open(&in, doc, value.data, value.len);
    if (!pki_der_read(&in, PKI_DER_ENUMERATED, "a reason", &body) || !pki_der_end(&in, "a reason"))
        return false;
    if (body.left != 1 || body.at[0] > 127)
        return pki_der_fail(&body, "a reason is no small number");
    *reason = body.at[0];
    return true;
}

static bool read_entry(struct pki_der *in, struct pki_crl_entry *entry)
{
    struct pki_der body, list;
    entry->reason = -1;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "an entry", &body) ||
        !pki_der_integer(&body, "an entry's serial number", &entry->serial) ||
        !pki_der_time(&body, "an entry's date", &entry->date))
        return false;
    if (!body.left)
        return true;
    if (!pki_der_read(&body, PKI_DER_SEQUENCE, "an entry's extensions", &list) ||
        !pki_der_end(&body, "an entry"))
        return false;
    while (list.left) {
        struct pki_ext ext;
        if (!pki_ext_next(&list, &ext))
            return false;
        if (pki_oid_is(ext.oid, PKI_OID_CRL_REASON) && !read_reason(in->doc, ext.value, &entry->reason))
            return false;
    }
    return true;
}

bool pki_crl_next(struct pki_der *entries, struct pki_crl_entry *entry)
{
    return entries->left && read_entry(entries, entry);
}

void pki_crl_open(const struct pki_crl *crl, struct pki_der_doc *doc, struct pki_der *entries)
{
    *doc = (struct pki_der_doc){ .noun = "CRL",
                                 .malformed = LEST_E_CRL_MALFORMED,
                                 .tolerated = PKI_FLAW_BOOLEAN,
                                 .start = crl->der.data };
    pki_der_open(entries, doc, crl->entries.data, crl->entries.data ? crl->entries.len : 0);
}

static bool read_entries(struct pki_der *in, struct pki_crl *crl)
{
    struct pki_der list;
    struct pki_crl_entry entry;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the entries", &list))
        return false;
    crl->entries = (struct pki_bytes){ list.at, list.left };
    for (; list.left; crl->count++)
        if (!read_entry(&list, &entry))
            return false;
    return true;
}

static bool read_extensions(struct pki_der *in, struct pki_crl *crl)
{
    struct pki_der list;
    if (!pki_ext_list(in, &list))
        return false;
    crl->extensions = (struct pki_bytes){ list.at, list.left };
    while (list.left) {
        struct pki_ext ext;
        struct pki_der value;
        if (!pki_ext_next(&list, &ext))
            return false;
        pki_der_open(&value, in->doc, ext.value.data, ext.value.len);
        if (pki_oid_is(ext.oid, PKI_OID_CRL_NUMBER)) {
            if (!pki_der_integer(&value, "the CRL number", &crl->number) ||
                !pki_der_end(&value, "the CRL number"))
                return false;
        } else if (pki_oid_is(ext.oid, PKI_OID_AKI) && !pki_ext_aki(&value, &crl->aki)) {
            return false;
        }
    }
    return true;
}

static bool read_tbs(struct pki_der *in, struct pki_crl *crl, struct pki_der_item *algorithm)
{
    struct pki_der_item issuer;
    int64_t version = 0;
    if (pki_der_peek(in) == PKI_DER_INTEGER && !pki_der_small(in, "the version", &version))
        return false;
    if (version > 1)
        return pki_der_fail(in, "the version %lld is unknown", (long long)version);
    crl->version = (unsigned)version + 1;
    if (!pki_signature_algorithm(in, algorithm, &crl->signature_algorithm) ||
        !pki_der_item(in, PKI_DER_SEQUENCE, "the issuer", &issuer) ||
        !pki_name_check(in->doc, issuer.whole.data, issuer.whole.len) ||
        !pki_der_time(in, "thisUpdate", &crl->this_update))
        return false;
    crl->issuer = issuer.whole;
    if (next_is_time(in) && !pki_der_time(in, "nextUpdate", &crl->next_update))
        return false;
    if (pki_der_peek(in) == PKI_DER_SEQUENCE && !read_entries(in, crl))
        return false;
    if (pki_der_peek(in) == (PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 0) && !read_extensions(in, crl))
        return false;
    return pki_der_end(in, "the CRL's content");
}

static bool read_crl(struct pki_der *in, struct pki_crl *crl)
{
    struct pki_der body, tbs;
    struct pki_der_item algorithm;
    return pki_der_read(in, PKI_DER_SEQUENCE, "the CRL", &body) && pki_der_end(in, "the CRL") &&
           pki_der_read(&body, PKI_DER_SEQUENCE, "the CRL's content", &tbs) &&
           read_tbs(&tbs, crl, &algorithm) && pki_signature_end(&body, algorithm.whole);
}

static enum lest_status parse_der(struct pki_bytes der, struct pki_crl **out, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "CRL",
                               .malformed = LEST_E_CRL_MALFORMED,
                               .err = err,
                               .tolerated = PKI_FLAW_BOOLEAN | PKI_FLAW_NAME };
    struct pki_der in;
    if (der.len > PKI_CRL_MAX)
        return lest_error_set(err, LEST_E_TOO_LARGE, "CRL: more than %d bytes", PKI_CRL_MAX);
    struct pki_crl *crl = calloc(1, sizeof *crl);
    struct pki_crl_own *own = malloc(sizeof *own + der.len);
    if (!crl || !own) {
        free(crl);
        free(own);
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    atomic_init(&own->refs, 1);
    atomic_init(&own->x509, NULL);
    memcpy(own->der, der.data, der.len);
    crl->own = own;
    crl->der = (struct pki_bytes){ own->der, der.len };
    crl->next_update = PKI_CRL_NEVER;
    pki_der_open(&in, &doc, own->der, der.len);
    if (!read_crl(&in, crl)) {
        pki_crl_free(crl);
        return doc.status; /* NOLINT(clang-analyzer-unix.Malloc): the only reference, so it is freed */
    }
    *out = crl;
    return LEST_OK;
}

static const char *const labels[] = { "X509 CRL", NULL };
static const struct pki_input input = { "CRL", labels, LEST_E_CRL_MALFORMED };

enum lest_status pki_crl_parse(const void *data, size_t len, struct pki_crl **out, struct lest_error *err)
{
    struct lest_buf storage;
    struct pki_bytes der;
    *out = NULL;
    lest_buf_init(&storage, PKI_CRL_MAX);
    enum lest_status status = pki_input_read(&input, data, len, &storage, &der, err);
    if (!status)
        status = pki_input_result(&input, der, parse_der(der, out, err), err);
    lest_buf_free(&storage);
    return status;
}

struct pki_crl *pki_crl_ref(struct pki_crl *crl)
{
    atomic_fetch_add(&crl->own->refs, 1);
    return crl;
}

void pki_crl_free(struct pki_crl *crl)
{
    if (!crl || atomic_fetch_sub(&crl->own->refs, 1) != 1)
        return;
    X509_CRL_free(atomic_load(&crl->own->x509));
    free(crl->own);
    free(crl);
}

bool pki_crl_find(const struct pki_crl *crl, struct pki_bytes serial, struct pki_crl_entry *entry)
{
    struct pki_der_doc doc;
    struct pki_der entries;
    pki_crl_open(crl, &doc, &entries);
    while (pki_crl_next(&entries, entry))
        if (pki_bytes_equal(entry->serial, serial))
            return true;
    return false;
}

X509_CRL *pki_crl_get0_x509(const struct pki_crl *crl, struct lest_error *err)
{
    X509_CRL *known = atomic_load(&crl->own->x509);
    if (known)
        return known;
    const uint8_t *at = crl->der.data;
    pki_error_clear();
    X509_CRL *made = d2i_X509_CRL(NULL, &at, (long)crl->der.len);
    if (!made) {
        pki_error(err, LEST_E_CRL_MALFORMED, "OpenSSL cannot read the CRL");
        return NULL;
    }
    if (!atomic_compare_exchange_strong(&crl->own->x509, &known, made)) {
        X509_CRL_free(made);
        return known;
    }
    return made;
}

enum lest_status pki_crl_verify(const struct pki_crl *crl, const struct pki_cert *issuer,
                                struct lest_error *err)
{
    enum { CRL_SIGN = 1 << 6 };
    if (!pki_name_equal(crl->issuer, issuer->subject))
        return lest_error_set(err, LEST_E_CERT_UNTRUSTED, "the CRL is from another issuer");
    if (issuer->key_usage >= 0 && !(issuer->key_usage & CRL_SIGN))
        return lest_error_set(err, LEST_E_CERT_UNTRUSTED, "the issuer's key usage does not allow CRLs");
    X509 *x509 = pki_cert_get0_x509(issuer, err);
    X509_CRL *list = x509 ? pki_crl_get0_x509(crl, err) : NULL;
    if (!list)
        return x509 ? LEST_E_CRL_MALFORMED : LEST_E_CERT_MALFORMED;
    pki_error_clear();
    EVP_PKEY *key = X509_get0_pubkey(x509);
    if (!key || X509_CRL_verify(list, key) != 1)
        return pki_error(err, LEST_E_CERT_UNTRUSTED, "the CRL's signature does not verify");
    return LEST_OK;
}
