#include "pki/x509/issuer.h"

#include "base/clock.h"
#include "pki/asn1/name.h"
#include "pki/asn1/san.h"
#include "pki/asn1/string.h"
#include "pki/error.h"

#include <openssl/rand.h>

#include <stdlib.h>
#include <string.h>

enum {
    KEY_ID_LEN = 20,
    TBS_MAX = 64 * 1024,
    DIGITAL_SIGNATURE = 1 << 0,
    KEY_CERT_SIGN = 1 << 5,
    CRL_SIGN = 1 << 6
};

/* aki  the whole AuthorityKeyIdentifier value, made once */
struct pki_issuer {
    struct pki_cert *cert;
    struct pki_signer *signer;
    struct lest_buf aki;
};

void pki_issuer_free(struct pki_issuer *issuer)
{
    if (!issuer)
        return;
    if (issuer->cert)
        pki_cert_free(issuer->cert);
    pki_signer_free(issuer->signer);
    lest_buf_free(&issuer->aki);
    free(issuer);
}

struct pki_cert *pki_issuer_get0_cert(const struct pki_issuer *issuer)
{
    return issuer->cert;
}

struct pki_signer *pki_issuer_get0_signer(const struct pki_issuer *issuer)
{
    return issuer->signer;
}

struct pki_bytes pki_issuer_aki(const struct pki_issuer *issuer)
{
    return (struct pki_bytes){ issuer->aki.data, issuer->aki.len };
}

static enum lest_status check_ca(const struct pki_cert *cert, const struct pki_key *key,
                                 struct lest_error *err)
{
    struct lest_buf storage;
    lest_buf_init(&storage, PKI_PUBLIC_MAX);
    bool same = pki_bytes_equal(pki_public_canonical(cert->spki, &storage), pki_key_spki(key));
    lest_buf_free(&storage);
    if (!same)
        return lest_error_set(err, LEST_E_ISSUE, "the key (%s) is not that of the CA certificate", key->type);
    if (!cert->is_ca)
        return lest_error_set(err, LEST_E_ISSUE, "the certificate is not a CA's (basicConstraints)");
    if (cert->key_usage >= 0 && !(cert->key_usage & KEY_CERT_SIGN))
        return lest_error_set(err, LEST_E_ISSUE, "the CA certificate's keyUsage has no keyCertSign");
    if (pki_name_is_empty(cert->subject))
        return lest_error_set(err, LEST_E_ISSUE, "the CA certificate has an empty subject");
    return LEST_OK;
}

/* RFC 5280 4.2.1.1: the key identifier that the CA's certificate has, by whichever method it was made. */
static enum lest_status make_aki(struct pki_issuer *issuer, struct lest_error *err)
{
    uint8_t id[KEY_ID_LEN];
    struct pki_bytes ski = issuer->cert->ski;
    if (!ski.data) {
        enum lest_status status = pki_public_key_id(issuer->cert->spki, id, err);
        if (status)
            return status;
        ski = (struct pki_bytes){ id, sizeof id };
    }
    size_t mark = pki_der_put_open(&issuer->aki, PKI_DER_SEQUENCE);
    pki_der_put(&issuer->aki, PKI_DER_CONTEXT | 0, ski.data, ski.len);
    pki_der_put_close(&issuer->aki, mark);
    return lest_buf_status(&issuer->aki, err);
}

enum lest_status pki_issuer_new(struct pki_cert *cert, const struct pki_key *key, const char *digest,
                                struct pki_issuer **out, struct lest_error *err)
{
    *out = NULL;
    enum lest_status status = check_ca(cert, key, err);
    if (status)
        return status;
    struct pki_issuer *issuer = calloc(1, sizeof *issuer);
    if (!issuer)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    issuer->cert = pki_cert_ref(cert);
    lest_buf_init(&issuer->aki, 4096);
    status = make_aki(issuer, err);
    if (status == LEST_OK)
        status = pki_signer_new(key, digest, &issuer->signer, err);
    if (status)
        pki_issuer_free(issuer);
    else
        *out = issuer;
    return status;
}

static enum lest_status put_ski(struct lest_buf *out, struct pki_bytes spki, struct lest_error *err)
{
    uint8_t id[KEY_ID_LEN];
    struct lest_error why;
    enum lest_status status = pki_public_key_id(spki, id, &why);
    if (status)
        return lest_error_set(err, status == LEST_E_KEY_MALFORMED ? LEST_E_ISSUE : status, "%s", why.message);
    struct pki_ext_mark e = pki_ext_put_open(out, PKI_OID_SKI, false);
    pki_der_put(out, PKI_DER_OCTET_STRING, id, sizeof id);
    pki_ext_put_close(out, e);
    return LEST_OK;
}

static void put_basic_constraints(struct lest_buf *out, bool ca, int path_len)
{
    struct pki_ext_mark e = pki_ext_put_open(out, PKI_OID_BASIC_CONSTRAINTS, true);
    /* DER leaves out what is the default: cA FALSE is an empty SEQUENCE. */
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    if (ca)
        pki_der_put_boolean(out, true);
    if (ca && path_len >= 0)
        pki_der_put_small(out, path_len);
    pki_der_put_close(out, mark);
    pki_ext_put_close(out, e);
}

static void put_key_usage(struct lest_buf *out, unsigned bits)
{
    struct pki_ext_mark e = pki_ext_put_open(out, PKI_OID_KEY_USAGE, true);
    pki_der_put_named_bits(out, bits);
    pki_ext_put_close(out, e);
}

static bool valid_url(struct pki_bytes url)
{
    const uint8_t *colon = url.len ? memchr(url.data, ':', url.len) : NULL;
    return colon && colon > url.data && pki_string_is_visible(url.data, url.len, false);
}

static enum lest_status check_urls(const struct pki_bytes *urls, size_t count, const char *what,
                                   struct lest_error *err)
{
    if (count > PKI_ISSUER_URLS_MAX)
        return lest_error_set(err, LEST_E_ISSUE, "there are more than %d %s URLs", PKI_ISSUER_URLS_MAX, what);
    for (size_t i = 0; i < count; i++)
        if (!valid_url(urls[i]))
            return lest_error_set(err, LEST_E_ISSUE, "'%.*s' is no %s URL",
                                  (int)(urls[i].len < 100 ? urls[i].len : 100), (const char *)urls[i].data,
                                  what);
    return LEST_OK;
}

/* RFC 5280 4.2.1.13: a distribution point a URL. */
static void put_crl_urls(struct lest_buf *out, const struct pki_issue *plan)
{
    if (!plan->crl_url_count)
        return;
    struct pki_ext_mark e = pki_ext_put_open(out, PKI_OID_CRL_URLS, false);
    size_t all = pki_der_put_open(out, PKI_DER_SEQUENCE);
    for (size_t i = 0; i < plan->crl_url_count; i++) {
        size_t point = pki_der_put_open(out, PKI_DER_SEQUENCE);
        size_t name = pki_der_put_open(out, PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED);
        size_t full = pki_der_put_open(out, PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED);
        pki_der_put(out, PKI_DER_CONTEXT | 6, plan->crl_urls[i].data, plan->crl_urls[i].len);
        pki_der_put_close(out, full);
        pki_der_put_close(out, name);
        pki_der_put_close(out, point);
    }
    pki_der_put_close(out, all);
    pki_ext_put_close(out, e);
}

static void put_access(struct lest_buf *out, enum pki_oid method, const struct pki_bytes *urls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
        pki_oid_put(out, method);
        pki_der_put(out, PKI_DER_CONTEXT | 6, urls[i].data, urls[i].len);
        pki_der_put_close(out, mark);
    }
}

/* RFC 5280 4.2.2.1. */
static void put_aia(struct lest_buf *out, const struct pki_issue *plan)
{
    if (!plan->ocsp_url_count && !plan->ca_issuer_url_count)
        return;
    struct pki_ext_mark e = pki_ext_put_open(out, PKI_OID_AIA, false);
    size_t all = pki_der_put_open(out, PKI_DER_SEQUENCE);
    put_access(out, PKI_OID_OCSP, plan->ocsp_urls, plan->ocsp_url_count);
    put_access(out, PKI_OID_CA_ISSUERS, plan->ca_issuer_urls, plan->ca_issuer_url_count);
    pki_der_put_close(out, all);
    pki_ext_put_close(out, e);
}

/* The time comes first so that new serials stand together in a ledger's index, whatever its size: a random
 * one touches a page of its own. It says what notBefore says too, the second of issue (notBefore may stand
 * a constant time before it). What follows cannot be guessed: 96 bits of a CSPRNG, where the CA/Browser
 * Forum's Baseline Requirements (7.1) ask for 64, so that nobody can choose a key
 * whose certificate collides. */
static enum lest_status make_serial(uint8_t out[PKI_SERIAL_LEN], struct lest_error *err)
{
    uint64_t now_s = (uint64_t)lest_clock_wall_s();
    pki_error_clear();
    for (size_t i = 0; i < PKI_SERIAL_TIME_LEN; i++)
        out[i] = (uint8_t)(now_s >> (8 * (PKI_SERIAL_TIME_LEN - 1 - i)));
    if (RAND_bytes(out + PKI_SERIAL_TIME_LEN, PKI_SERIAL_LEN - PKI_SERIAL_TIME_LEN) != 1)
        return pki_error(err, LEST_E_CRYPTO, "there are no random bytes for a serial number");
    return LEST_OK;
}

static enum lest_status put_serial(struct lest_buf *out, struct pki_bytes serial, struct lest_error *err)
{
    uint8_t made[PKI_SERIAL_LEN];
    if (!serial.data) {
        enum lest_status status = make_serial(made, err);
        if (status)
            return status;
        serial = (struct pki_bytes){ made, sizeof made };
    }
    while (serial.len > 0 && serial.data[0] == 0) {
        serial.data++;
        serial.len--;
    }
    /* "MUST be a positive integer", "not longer than 20 octets" (RFC 5280 4.1.2.2). */
    if (serial.len == 0 || serial.len + (serial.data[0] >> 7) > PKI_SERIAL_MAX)
        return lest_error_set(err, LEST_E_ISSUE, "the serial number is zero or longer than %d bytes",
                              PKI_SERIAL_MAX);
    pki_der_put_unsigned(out, PKI_DER_INTEGER, serial.data, serial.len);
    return LEST_OK;
}

/* Everything of a TBSCertificate before its extensions (RFC 5280 4.1). */
static enum lest_status put_head(struct lest_buf *out, const struct pki_signer *signer,
                                 struct pki_bytes issuer, const struct pki_issue *plan,
                                 struct lest_error *err)
{
    struct pki_bytes algorithm = pki_signer_algorithm(signer);
    struct pki_bytes subject = plan->subject.data ? plan->subject : pki_name_empty;
    size_t version = pki_der_put_open(out, PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED);
    pki_der_put_small(out, 2);
    pki_der_put_close(out, version);
    enum lest_status status = put_serial(out, plan->serial, err);
    if (status)
        return status;
    lest_buf_append(out, algorithm.data, algorithm.len);
    lest_buf_append(out, issuer.data, issuer.len);
    size_t validity = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_der_put_time(out, plan->not_before);
    pki_der_put_time(out, plan->not_after);
    pki_der_put_close(out, validity);
    lest_buf_append(out, subject.data, subject.len);
    lest_buf_append(out, plan->spki.data, plan->spki.len);
    return LEST_OK;
}

static enum lest_status check_times(const struct pki_issue *plan, struct lest_error *err)
{
    if (plan->not_after < plan->not_before)
        return lest_error_set(err, LEST_E_ISSUE, "notAfter is before notBefore");
    /* 1950 to 9999: what UTCTime and GeneralizedTime can say. */
    if (plan->not_before < -631152000 || plan->not_after > 253402300799)
        return lest_error_set(err, LEST_E_ISSUE, "the validity is outside the years 1950 to 9999");
    return LEST_OK;
}

static enum lest_status check_plan(const struct pki_issuer *issuer, const struct pki_issue *plan,
                                   struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "certificate", .malformed = LEST_E_ISSUE, .err = err };
    enum lest_status status = check_times(plan, err);
    if (status)
        return status;
    if (plan->not_after > issuer->cert->not_after)
        return lest_error_set(err, LEST_E_ISSUE, "notAfter is past that of the CA certificate");
    if (plan->key_usage & (KEY_CERT_SIGN | CRL_SIGN))
        return lest_error_set(err, LEST_E_ISSUE, "keyCertSign and cRLSign are a CA's alone");
    if (plan->subject.data && !pki_name_check(&doc, plan->subject.data, plan->subject.len))
        return doc.status;
    if (plan->subject.data && !pki_name_is_text(plan->subject))
        return lest_error_set(err, LEST_E_ISSUE, "a value of the subject is no character string");
    doc.start = NULL;
    if (plan->san.data && !pki_san_check(&doc, plan->san.data, plan->san.len))
        return doc.status;
    if (!plan->san.data && (!plan->subject.data || pki_name_is_empty(plan->subject)))
        return lest_error_set(err, LEST_E_ISSUE, "there is neither a subject nor an alternative name");
    status = check_urls(plan->crl_urls, plan->crl_url_count, "CRL", err);
    if (status == LEST_OK)
        status = check_urls(plan->ocsp_urls, plan->ocsp_url_count, "OCSP", err);
    if (status == LEST_OK)
        status = check_urls(plan->ca_issuer_urls, plan->ca_issuer_url_count, "CA issuer", err);
    return status;
}

/* The contents of Extensions. */
static enum lest_status put_extensions(struct lest_buf *out, const struct pki_issuer *issuer,
                                       const struct pki_issue *plan, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "certificate", .malformed = LEST_E_ISSUE, .err = err };
    struct pki_der in;
    size_t from = out->len;
    pki_ext_put(out, PKI_OID_AKI, false, (struct pki_bytes){ issuer->aki.data, issuer->aki.len });
    enum lest_status status = put_ski(out, plan->spki, err);
    if (status)
        return status;
    put_basic_constraints(out, false, -1);
    put_key_usage(out, plan->key_usage ? plan->key_usage : DIGITAL_SIGNATURE);
    if (plan->eku.data) {
        struct pki_ext_mark e = pki_ext_put_open(out, PKI_OID_EKU, false);
        pki_der_put(out, PKI_DER_SEQUENCE, plan->eku.data, plan->eku.len);
        pki_ext_put_close(out, e);
    }
    if (plan->san.data)
        pki_ext_put(out, PKI_OID_SAN, !plan->subject.data || pki_name_is_empty(plan->subject), plan->san);
    put_crl_urls(out, plan);
    put_aia(out, plan);
    lest_buf_append(out, plan->extensions.data, plan->extensions.len);
    status = lest_buf_status(out, err);
    if (status || !plan->extensions.len)
        return status;
    /* A second basicConstraints would be the way around cA FALSE. */
    pki_der_open(&in, &doc, out->data + from, out->len - from);
    return pki_ext_check(in) ? LEST_OK : doc.status;
}

/* A TBSCertificate under way, which is open within its extensions. */
struct draft {
    struct lest_buf tbs;
    size_t whole, wrapped, extensions;
};

/* Everything before the extensions. Whatever it returns, sign() ends it. */
static enum lest_status begin(struct draft *draft, const struct pki_signer *signer, struct pki_bytes issuer,
                              const struct pki_issue *plan, struct lest_error *err)
{
    lest_buf_init(&draft->tbs, TBS_MAX);
    /* Most certificates fit, and the buffer is not moved as it grows. */
    lest_buf_reserve(&draft->tbs, 1024);
    draft->whole = pki_der_put_open(&draft->tbs, PKI_DER_SEQUENCE);
    enum lest_status status = put_head(&draft->tbs, signer, issuer, plan, err);
    draft->wrapped = pki_der_put_open(&draft->tbs, PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 3);
    draft->extensions = pki_der_put_open(&draft->tbs, PKI_DER_SEQUENCE);
    return status;
}

/* Append the certificate, unless something failed before, as `status` says; the draft is freed. */
static enum lest_status sign(struct draft *draft, struct pki_signer *signer, enum lest_status status,
                             struct lest_buf *out, struct lest_error *err)
{
    pki_der_put_close(&draft->tbs, draft->extensions);
    pki_der_put_close(&draft->tbs, draft->wrapped);
    pki_der_put_close(&draft->tbs, draft->whole);
    if (status == LEST_OK)
        status = lest_buf_status(&draft->tbs, err);
    if (status == LEST_OK)
        status = pki_signer_wrap(signer, (struct pki_bytes){ draft->tbs.data, draft->tbs.len }, out, err);
    lest_buf_free(&draft->tbs);
    return status;
}

enum lest_status pki_issuer_issue(const struct pki_issuer *issuer, const struct pki_issue *plan,
                                  struct lest_buf *out, struct lest_error *err)
{
    struct draft draft;
    enum lest_status status = check_plan(issuer, plan, err);
    if (status)
        return status;
    status = begin(&draft, issuer->signer, issuer->cert->subject, plan, err);
    if (status == LEST_OK)
        status = put_extensions(&draft.tbs, issuer, plan, err);
    return sign(&draft, issuer->signer, status, out, err);
}

/* A CA certificate for plan's key and name, signed by signer in the name of issuer.
 *  aki  the whole AuthorityKeyIdentifier value; without data: left out, as in a root
 *  ski  the key identifier; without data: made of the key */
static enum lest_status put_ca(struct pki_signer *signer, struct pki_bytes issuer, struct pki_bytes aki,
                               struct pki_bytes ski, const struct pki_issue *plan, int path_len,
                               struct lest_buf *out, struct lest_error *err)
{
    struct draft draft;
    struct lest_buf *tbs = &draft.tbs;
    enum lest_status status = begin(&draft, signer, issuer, plan, err);
    if (aki.data)
        pki_ext_put(tbs, PKI_OID_AKI, false, aki);
    put_basic_constraints(tbs, true, path_len);
    put_key_usage(tbs, KEY_CERT_SIGN | CRL_SIGN);
    if (ski.data) {
        struct pki_ext_mark e = pki_ext_put_open(tbs, PKI_OID_SKI, false);
        pki_der_put(tbs, PKI_DER_OCTET_STRING, ski.data, ski.len);
        pki_ext_put_close(tbs, e);
    } else if (status == LEST_OK) {
        status = put_ski(tbs, plan->spki, err);
    }
    return sign(&draft, signer, status, out, err);
}

enum lest_status pki_issuer_root(const struct pki_key *key, const char *digest, struct pki_bytes subject,
                                 int64_t not_before, int64_t not_after, int path_len, struct lest_buf *out,
                                 struct lest_error *err)
{
    static const struct pki_bytes none = { NULL, 0 };
    struct pki_signer *signer = NULL;
    struct pki_der_doc doc = { .noun = "certificate", .malformed = LEST_E_ISSUE, .err = err };
    struct pki_issue plan = {
        .spki = pki_key_spki(key), .subject = subject, .not_before = not_before, .not_after = not_after
    };
    enum lest_status status = check_times(&plan, err);
    if (status)
        return status;
    /* RFC 5280 4.1.2.6: a CA has a name. */
    if (!subject.data || pki_name_is_empty(subject))
        return lest_error_set(err, LEST_E_ISSUE, "a CA certificate needs a subject");
    if (!pki_name_check(&doc, subject.data, subject.len))
        return doc.status;
    status = pki_signer_new(key, digest, &signer, err);
    if (status)
        return status;
    status = put_ca(signer, subject, none, none, &plan, path_len, out, err);
    pki_signer_free(signer);
    return status;
}

enum lest_status pki_issuer_link(const struct pki_issuer *issuer, const struct pki_cert *other,
                                 int64_t not_before, int64_t not_after, struct lest_buf *out,
                                 struct lest_error *err)
{
    struct pki_issue plan = {
        .spki = other->spki, .subject = other->subject, .not_before = not_before, .not_after = not_after
    };
    enum lest_status status = check_times(&plan, err);
    if (status)
        return status;
    if (not_after > issuer->cert->not_after || not_after > other->not_after)
        return lest_error_set(err, LEST_E_ISSUE, "a link ends after one of the CA's certificates");
    if (!other->is_ca || !pki_name_equal(other->subject, issuer->cert->subject))
        return lest_error_set(err, LEST_E_ISSUE, "a link is for a CA of the same name");
    if (pki_bytes_equal(other->spki, issuer->cert->spki))
        return lest_error_set(err, LEST_E_ISSUE, "a link is for another key of the CA");
    return put_ca(issuer->signer, issuer->cert->subject,
                  (struct pki_bytes){ issuer->aki.data, issuer->aki.len }, other->ski, &plan, other->path_len,
                  out, err);
}
