/* Writing a CRL: its entries one by one, then the whole at once. */
#include "pki/asn1/ext.h"
#include "pki/x509/crl.h"

enum { CRL_SIGN = 1 << 6, HOLD = 6, REMOVE = 8, V2 = 1 };

static void put_reason(struct lest_buf *out, int reason)
{
    const uint8_t number = (uint8_t)reason;
    size_t list = pki_der_put_open(out, PKI_DER_SEQUENCE);
    struct pki_ext_mark e = pki_ext_put_open(out, PKI_OID_CRL_REASON, false);
    pki_der_put(out, PKI_DER_ENUMERATED, &number, sizeof number);
    pki_ext_put_close(out, e);
    pki_der_put_close(out, list);
}

enum lest_status pki_crl_put_entry(struct lest_buf *entries, const struct pki_crl_entry *entry,
                                   struct lest_error *err)
{
    struct pki_bytes serial = entry->serial;
    if (!serial.len || serial.len > PKI_SERIAL_MAX + 1 || serial.data[0] & 0x80)
        return lest_error_set(err, LEST_E_ISSUE, "a serial number in a CRL has 1 to %d bytes",
                              PKI_SERIAL_MAX);
    if (entry->reason == HOLD || entry->reason == REMOVE ||
        (entry->reason != -1 && !pki_crl_reason_name(entry->reason)))
        return lest_error_set(err, LEST_E_ISSUE, "%d is no reason of a revocation for good", entry->reason);
    size_t mark = pki_der_put_open(entries, PKI_DER_SEQUENCE);
    pki_der_put_unsigned(entries, PKI_DER_INTEGER, serial.data, serial.len);
    pki_der_put_time(entries, entry->date);
    /* "SHOULD be absent instead of using the unspecified (0) reasonCode value" (RFC 5280 5.3.1) */
    if (entry->reason > 0)
        put_reason(entries, entry->reason);
    pki_der_put_close(entries, mark);
    return lest_buf_status(entries, err);
}

static enum lest_status check_plan(const struct pki_issuer *issuer, const struct pki_crl_plan *plan,
                                   struct lest_error *err)
{
    const struct pki_cert *cert = pki_issuer_get0_cert(issuer);
    if (cert->key_usage >= 0 && !(cert->key_usage & CRL_SIGN))
        return lest_error_set(err, LEST_E_ISSUE, "the CA certificate's keyUsage has no cRLSign");
    if (plan->number < 0)
        return lest_error_set(err, LEST_E_ISSUE, "a CRL's number is not negative");
    if (plan->this_update < 0 || plan->next_update > 253402300799)
        return lest_error_set(err, LEST_E_ISSUE, "the CRL's times are outside the years 1970 to 9999");
    if (plan->next_update <= plan->this_update)
        return lest_error_set(err, LEST_E_ISSUE, "nextUpdate is not after thisUpdate");
    return LEST_OK;
}

static void put_extensions(struct lest_buf *out, const struct pki_issuer *issuer, int64_t number)
{
    size_t wrapped = pki_der_put_open(out, PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 0);
    size_t list = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_ext_put(out, PKI_OID_AKI, false, pki_issuer_aki(issuer));
    struct pki_ext_mark e = pki_ext_put_open(out, PKI_OID_CRL_NUMBER, false);
    pki_der_put_small(out, number);
    pki_ext_put_close(out, e);
    pki_der_put_close(out, list);
    pki_der_put_close(out, wrapped);
}

static void put_tbs(struct lest_buf *out, const struct pki_issuer *issuer, const struct pki_crl_plan *plan)
{
    struct pki_bytes algorithm = pki_signer_algorithm(pki_issuer_get0_signer(issuer));
    struct pki_bytes name = pki_issuer_get0_cert(issuer)->subject;
    size_t whole = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_der_put_small(out, V2);
    lest_buf_append(out, algorithm.data, algorithm.len);
    lest_buf_append(out, name.data, name.len);
    pki_der_put_time(out, plan->this_update);
    pki_der_put_time(out, plan->next_update);
    /* "When there are no revoked certificates, the revoked certificates list MUST be absent." (5.1.2.6) */
    if (plan->entries.len)
        pki_der_put(out, PKI_DER_SEQUENCE, plan->entries.data, plan->entries.len);
    put_extensions(out, issuer, plan->number);
    pki_der_put_close(out, whole);
}

enum lest_status pki_crl_build(const struct pki_issuer *issuer, const struct pki_crl_plan *plan,
                               struct lest_buf *out, struct lest_error *err)
{
    struct lest_buf tbs;
    enum lest_status status = check_plan(issuer, plan, err);
    if (status)
        return status;
    lest_buf_init(&tbs, PKI_CRL_MAX);
    put_tbs(&tbs, issuer, plan);
    status = lest_buf_status(&tbs, err);
    if (!status)
        status = pki_signer_wrap(pki_issuer_get0_signer(issuer), (struct pki_bytes){ tbs.data, tbs.len }, out,
                                 err);
    lest_buf_free(&tbs);
    return status;
}
