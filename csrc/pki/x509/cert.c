#include "pki/x509/cert.h"

#include "base/hex.h"
#include "pki/asn1/input.h"
#include "pki/asn1/name.h"
#include "pki/asn1/oid.h"
#include "pki/asn1/pem.h"
#include "pki/asn1/san.h"
#include "pki/asn1/string.h"
#include "pki/error.h"
#include "pki/key/signature.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* What a certificate owns. The bytes stand behind the struct. */
struct pki_cert_own {
    atomic_uint refs;
    _Atomic(X509 *) x509;
    uint8_t der[];
};

static bool read_validity(struct pki_der *in, struct pki_cert *cert)
{
    struct pki_der body;
    return pki_der_read(in, PKI_DER_SEQUENCE, "the validity", &body) &&
           pki_der_time(&body, "notBefore", &cert->not_before) &&
           pki_der_time(&body, "notAfter", &cert->not_after) && pki_der_end(&body, "the validity");
}

static bool read_name(struct pki_der *in, const char *what, struct pki_bytes *name)
{
    struct pki_der_item item;
    if (!pki_der_item(in, PKI_DER_SEQUENCE, what, &item))
        return false;
    *name = item.whole;
    return pki_name_check(in->doc, item.whole.data, item.whole.len);
}

static bool read_version(struct pki_der *in, struct pki_cert *cert)
{
    struct pki_der body;
    int64_t value;
    cert->version = 1;
    if (pki_der_peek(in) != (PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 0))
        return true;
    if (!pki_der_read(in, PKI_DER_ANY, "the version", &body) ||
        !pki_der_small(&body, "the version", &value) || !pki_der_end(&body, "the version"))
        return false;
    if (value > 2)
        return pki_der_fail(in, "the version %lld is unknown", (long long)value);
    cert->version = (unsigned)value + 1;
    return true;
}

static bool read_basic_constraints(struct pki_der *in, struct pki_cert *cert)
{
    static const char what[] = "the basic constraints";
    struct pki_der body;
    int64_t len;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, what, &body))
        return false;
    if (pki_der_peek(&body) == PKI_DER_BOOLEAN && !pki_der_boolean(&body, what, &cert->is_ca))
        return false;
    if (body.left) {
        if (!pki_der_small(&body, "the path length", &len))
            return false;
        cert->path_len = len > INT_MAX ? INT_MAX : (int)len;
    }
    return pki_der_end(&body, what) && pki_der_end(in, what);
}

static bool read_key_usage(struct pki_der *in, struct pki_cert *cert)
{
    return pki_ext_key_usage(in, &cert->key_usage);
}

static bool read_eku(struct pki_der *in, struct pki_cert *cert)
{
    return pki_ext_eku(in, &cert->eku);
}

static bool read_aki(struct pki_der *in, struct pki_cert *cert)
{
    return pki_ext_aki(in, &cert->aki);
}

static bool read_ski(struct pki_der *in, struct pki_cert *cert)
{
    struct pki_der body;
    if (!pki_der_read(in, PKI_DER_OCTET_STRING, "the subject key identifier", &body))
        return false;
    cert->ski = (struct pki_bytes){ body.at, body.left };
    return pki_der_end(in, "the subject key identifier");
}

static bool read_san(struct pki_der *in, struct pki_cert *cert)
{
    cert->san = (struct pki_bytes){ in->at, in->left };
    return pki_san_check(in->doc, in->at, in->left);
}

/* The extensions that fields are made of; others stay as they are. */
static bool read_extension(struct pki_der_doc *doc, const struct pki_ext *ext, struct pki_cert *cert)
{
    static const struct {
        enum pki_oid oid;
        bool (*read)(struct pki_der *in, struct pki_cert *cert);
    } readers[] = {
        { PKI_OID_BASIC_CONSTRAINTS, read_basic_constraints },
        { PKI_OID_KEY_USAGE, read_key_usage },
        { PKI_OID_EKU, read_eku },
        { PKI_OID_SKI, read_ski },
        { PKI_OID_AKI, read_aki },
        { PKI_OID_SAN, read_san },
    };
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        if (!pki_oid_is(ext->oid, readers[i].oid))
            continue;
        struct pki_der in;
        pki_der_open(&in, doc, ext->value.data, ext->value.len);
        return readers[i].read(&in, cert);
    }
    return true;
}

static bool read_extensions(struct pki_der *in, struct pki_cert *cert)
{
    struct pki_der list;
    if (!pki_ext_list(in, &list))
        return false;
    if (cert->version != 3)
        return pki_der_fail(in, "extensions in a certificate of version %u", cert->version);
    cert->extensions = (struct pki_bytes){ list.at, list.left };
    while (list.left) {
        struct pki_ext ext;
        if (!pki_ext_next(&list, &ext) || !read_extension(list.doc, &ext, cert))
            return false;
    }
    return true;
}

static bool read_tbs(struct pki_der *in, struct pki_cert *cert, struct pki_der_item *algorithm)
{
    struct pki_der_item spki;
    if (!read_version(in, cert) || !pki_der_integer(in, "the serial number", &cert->serial) ||
        !pki_signature_algorithm(in, algorithm, &cert->signature_algorithm) ||
        !read_name(in, "the issuer", &cert->issuer) || !read_validity(in, cert) ||
        !read_name(in, "the subject", &cert->subject) ||
        !pki_der_item(in, PKI_DER_SEQUENCE, "the public key", &spki))
        return false;
    cert->spki = spki.whole;
    /* issuerUniqueID and subjectUniqueID: old certificates may have them; their values are not used. */
    for (int tag = 1; tag <= 2; tag++)
        if (pki_der_peek(in) == (PKI_DER_CONTEXT | tag) &&
            !pki_der_read(in, PKI_DER_ANY, "a unique identifier", NULL))
            return false;
    if (in->left && pki_der_peek(in) != (PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 3))
        return pki_der_end(in, "the certificate's content");
    return (!in->left || read_extensions(in, cert)) && pki_der_end(in, "the certificate's content");
}

static bool read_cert(struct pki_der *in, struct pki_cert *cert)
{
    struct pki_der body, tbs;
    struct pki_der_item algorithm;
    return pki_der_read(in, PKI_DER_SEQUENCE, "the certificate", &body) &&
           pki_der_end(in, "the certificate") &&
           pki_der_read(&body, PKI_DER_SEQUENCE, "the certificate's content", &tbs) &&
           read_tbs(&tbs, cert, &algorithm) && pki_signature_end(&body, algorithm.whole);
}

static enum lest_status parse_der(struct pki_bytes der, struct pki_cert **out, struct lest_error *err)
{
    struct pki_der_doc doc = {
        .noun = "certificate", .malformed = LEST_E_CERT_MALFORMED, .err = err, .tolerated = PKI_CERT_FLAWS
    };
    struct pki_der in;
    *out = NULL;
    if (der.len == 0)
        return lest_error_set(err, LEST_E_CERT_MALFORMED, "certificate: there is no data");
    if (der.len > PKI_CERT_MAX)
        return lest_error_set(err, LEST_E_TOO_LARGE, "certificate: more than %d bytes", PKI_CERT_MAX);
    struct pki_cert *cert = calloc(1, sizeof *cert);
    struct pki_cert_own *own = malloc(sizeof *own + der.len);
    if (!cert || !own) {
        free(cert);
        free(own);
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    atomic_init(&own->refs, 1);
    atomic_init(&own->x509, NULL);
    memcpy(own->der, der.data, der.len);
    cert->own = own;
    cert->der = (struct pki_bytes){ own->der, der.len };
    cert->key_usage = cert->path_len = -1;
    pki_der_open(&in, &doc, own->der, der.len);
    if (!read_cert(&in, cert)) {
        pki_cert_free(cert);
        return doc.status; /* NOLINT(clang-analyzer-unix.Malloc): the only reference, so it is freed */
    }
    cert->flaws = doc.flaws;
    *out = cert;
    return LEST_OK;
}

static const char *const labels[] = { "CERTIFICATE", "X509 CERTIFICATE", NULL };
static const struct pki_input input = { "certificate", labels, LEST_E_CERT_MALFORMED };

enum lest_status pki_cert_parse(const void *data, size_t len, struct pki_cert **out, struct lest_error *err)
{
    struct lest_buf storage;
    struct pki_bytes der;
    *out = NULL;
    lest_buf_init(&storage, PKI_CERT_MAX);
    enum lest_status status = pki_input_read(&input, data, len, &storage, &der, err);
    if (!status)
        status = pki_input_result(&input, der, parse_der(der, out, err), err);
    lest_buf_free(&storage);
    return status;
}

static enum lest_status add_block(const struct pki_pem *block, struct pki_certs *out, struct lest_error *err)
{
    struct lest_buf der;
    struct pki_cert *cert = NULL;
    lest_buf_init(&der, PKI_CERT_MAX);
    enum lest_status status = pki_pem_decode(block, &der, err);
    if (!status)
        status = parse_der((struct pki_bytes){ der.data, der.len }, &cert, err);
    if (!status && out->count == PKI_CERTS_MAX) {
        status = lest_error_set(err, LEST_E_TOO_LARGE, "more than %d certificates", PKI_CERTS_MAX);
        pki_cert_free(cert);
    } else if (!status && !pki_certs_add(out, cert)) {
        status = lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    lest_buf_free(&der);
    return status;
}

/* The error of a block says which one of the text it is. */
static enum lest_status add_blocks(const uint8_t *text, size_t len, struct pki_certs *out,
                                   struct lest_error *err)
{
    enum lest_status status;
    struct lest_error why = { .status = LEST_OK };
    struct pki_pem block;
    const uint8_t *at = text;
    size_t left = len;
    unsigned number = 1;
    for (; pki_pem_next(&at, &left, &block, &status, &why); number++) {
        if (pki_pem_is(&block, labels[0]) || pki_pem_is(&block, labels[1]))
            status = add_block(&block, out, &why);
        if (status)
            break;
    }
    if (!status)
        return LEST_OK;
    if (number == 1 && !pki_pem_looks(at, left))
        return lest_error_set(err, status, "%s", why.message);
    return lest_error_set(err, status, "block %u (line %u): %s", number, pki_pem_line(text, &block),
                          why.message);
}

enum lest_status pki_certs_parse(const void *data, size_t len, struct pki_certs *out, struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    *out = (struct pki_certs){ NULL, 0 };
    if (len > PKI_CERTS_BYTES_MAX)
        return lest_error_set(err, LEST_E_TOO_LARGE, "certificates: more than %d bytes", PKI_CERTS_BYTES_MAX);
    if (!pki_pem_looks(data, len)) {
        struct pki_cert *cert;
        status = pki_cert_parse(data, len, &cert, err);
        if (!status && !pki_certs_add(out, cert))
            status = lest_error_set(err, LEST_E_NOMEM, "out of memory");
        return status;
    }
    status = add_blocks(data, len, out, err);
    if (!status && out->count == 0)
        status = pki_pem_missing(data, len, "certificate", labels[0], LEST_E_CERT_MALFORMED, err);
    if (status)
        pki_certs_free(out);
    return status;
}

enum lest_status pki_cert_from_x509(X509 *x509, struct pki_cert **out, struct lest_error *err)
{
    uint8_t *der = NULL;
    *out = NULL;
    pki_error_clear();
    int len = i2d_X509(x509, &der);
    if (len < 0)
        return pki_error(err, LEST_E_CERT_MALFORMED, "the certificate cannot be encoded");
    enum lest_status status = parse_der((struct pki_bytes){ der, (size_t)len }, out, err);
    OPENSSL_free(der);
    if (!status) {
        X509_up_ref(x509);
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): set where the status is LEST_OK */
        atomic_store(&(*out)->own->x509, x509);
    }
    return status;
}

struct pki_cert *pki_cert_ref(struct pki_cert *cert)
{
    atomic_fetch_add(&cert->own->refs, 1);
    return cert;
}

void pki_cert_free(struct pki_cert *cert)
{
    if (!cert || atomic_fetch_sub(&cert->own->refs, 1) != 1)
        return;
    X509_free(atomic_load(&cert->own->x509));
    free(cert->own);
    free(cert);
}

bool pki_certs_add(struct pki_certs *certs, struct pki_cert *cert)
{
    /* Grown to the next power of two. */
    if ((certs->count & (certs->count - 1)) == 0) {
        size_t cap = certs->count ? certs->count * 2 : 1;
        struct pki_cert **list = realloc(certs->list, cap * sizeof *list);
        if (!list) {
            pki_cert_free(cert);
            return false;
        }
        certs->list = list;
    }
    certs->list[certs->count++] = cert;
    return true;
}

void pki_certs_free(struct pki_certs *certs)
{
    for (size_t i = 0; i < certs->count; i++)
        pki_cert_free(certs->list[i]);
    free(certs->list);
    *certs = (struct pki_certs){ NULL, 0 };
}

X509 *pki_cert_get0_x509(const struct pki_cert *cert, struct lest_error *err)
{
    X509 *known = atomic_load(&cert->own->x509);
    if (known)
        return known;
    const uint8_t *at = cert->der.data;
    pki_error_clear();
    X509 *made = d2i_X509(NULL, &at, (long)cert->der.len);
    if (!made) {
        pki_error(err, LEST_E_CERT_MALFORMED, "OpenSSL cannot read the certificate");
        return NULL;
    }
    /* Another thread may have been faster; both made the same. */
    if (!atomic_compare_exchange_strong(&cert->own->x509, &known, made)) {
        X509_free(made);
        return known;
    }
    return made;
}

bool pki_cert_self_issued(const struct pki_cert *cert)
{
    return pki_name_equal(cert->issuer, cert->subject);
}

bool pki_cert_self_signed(const struct pki_cert *cert)
{
    X509 *x509 = pki_cert_get0_x509(cert, NULL);
    bool yes = x509 && X509_self_signed(x509, 1) == 1;
    pki_error_clear();
    return yes;
}

enum lest_status pki_cert_fingerprint(const struct pki_cert *cert, uint8_t sha256[32], struct lest_error *err)
{
    pki_error_clear();
    if (!EVP_Digest(cert->der.data, cert->der.len, sha256, NULL, EVP_sha256(), NULL))
        return pki_error(err, LEST_E_CRYPTO, "SHA-256 failed");
    return LEST_OK;
}

bool pki_cert_matches_host(const struct pki_cert *cert, const char *host, size_t len)
{
    X509 *x509 = pki_cert_get0_x509(cert, NULL);
    char name[256];
    /* A name with a space would match an alternative name that cannot be used. */
    if (!x509 || len == 0 || len >= sizeof name || !pki_string_is_visible(host, len, false))
        return false;
    memcpy(name, host, len);
    name[len] = '\0';
    pki_error_clear();
    /* RFC 2818 3.1: an address literal is matched against iPAddress alone. */
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);
    bool is_address = address != NULL;
    ASN1_OCTET_STRING_free(address);
    bool matches;
    if (is_address) {
        matches = X509_check_ip_asc(x509, name, 0) == 1;
    } else {
        if (name[len - 1] == '.')
            name[--len] = '\0';
        /* OpenSSL takes a dot in front for "any name below". */
        matches = name[0] && name[0] != '.' &&
                  X509_check_host(x509, name, len,
                                  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
                                  NULL) == 1;
    }
    pki_error_clear();
    return matches;
}

void pki_certs_pem(struct pki_cert *const list[], size_t count, struct lest_buf *out)
{
    for (size_t i = 0; i < count; i++)
        pki_pem_put(out, "CERTIFICATE", list[i]->der.data, list[i]->der.len);
}

void pki_serial_text(struct pki_bytes contents, struct lest_buf *out)
{
    const uint8_t *data = contents.data;
    size_t len = contents.len;
    if (!len)
        return;
    bool negative = data[0] & 0x80;
    if (negative)
        lest_buf_append_byte(out, '-');
    else if (data[0] == 0 && len > 1)
        data++, len--;
    /* The magnitude of a negative number is its complement plus one, which carries past zero bytes. */
    size_t carry_from = len;
    while (negative && carry_from > 0 && data[carry_from - 1] == 0)
        carry_from--;
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = data[i];
        if (negative)
            byte = (uint8_t)(i + 1 == carry_from ? ~byte + 1 : i + 1 < carry_from ? ~byte : 0);
        lest_hex_append(out, &byte, 1);
    }
}

bool pki_serial_parse(const char *text, size_t len, uint8_t storage[PKI_SERIAL_TEXT_MAX / 2 + 1],
                      struct pki_bytes *contents)
{
    storage[0] = 0;
    if (len == 0 || len > PKI_SERIAL_TEXT_MAX || !lest_hex_decode(text, len, storage + 1))
        return false;
    *contents = (struct pki_bytes){ storage, 1 + len / 2 };
    while (contents->len > 1 && contents->data[0] == 0 && contents->data[1] < 0x80) {
        contents->data++;
        contents->len--;
    }
    return true;
}
