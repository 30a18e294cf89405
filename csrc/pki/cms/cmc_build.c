/* Making what CMC messages say (RFC 5272 sections 3 and 6). */
#include "pki/cms/cmc.h"

enum {
    CONTEXT_0 = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED,
    DIRECTORY_NAME = CONTEXT_0 | 4,
};

enum pki_oid pki_cmc_type(bool is_response)
{
    return is_response ? PKI_OID_PKI_RESPONSE : PKI_OID_PKI_DATA;
}

static void put_run(struct lest_buf *out, struct pki_bytes run)
{
    pki_der_put(out, PKI_DER_SEQUENCE, run.data, run.len);
}

void pki_cmc_put(const struct pki_cmc_plan *plan, struct lest_buf *out)
{
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    put_run(out, plan->controls);
    if (!plan->is_response)
        put_run(out, plan->requests);
    put_run(out, plan->contents);
    put_run(out, (struct pki_bytes){ NULL, 0 });
    pki_der_put_close(out, mark);
}

void pki_cmc_put_request(struct lest_buf *out, uint32_t id, struct pki_bytes csr)
{
    size_t mark = pki_der_put_open(out, CONTEXT_0);
    pki_der_put_small(out, id);
    lest_buf_append(out, csr.data, csr.len);
    pki_der_put_close(out, mark);
}

void pki_cmc_put_crmf(struct lest_buf *out, struct pki_bytes crmf)
{
    size_t tag = out->len;
    lest_buf_append(out, crmf.data, crmf.len);
    if (out->len > tag)
        out->data[tag] = CONTEXT_0 | 1;
}

void pki_cmc_put_content(struct lest_buf *out, uint32_t id, struct pki_bytes message)
{
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_der_put_small(out, id);
    lest_buf_append(out, message.data, message.len);
    pki_der_put_close(out, mark);
}

static void put_bodies(struct lest_buf *out, const struct pki_cmc_value *value)
{
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    for (size_t i = 0; i < value->body_count; i++)
        pki_der_put_small(out, value->bodies[i]);
    pki_der_put_close(out, mark);
}

static void put_status(struct lest_buf *out, const struct pki_cmc_value *value)
{
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_der_put_small(out, value->status);
    put_bodies(out, value);
    if (value->bytes.data)
        pki_der_put(out, PKI_DER_UTF8_STRING, value->bytes.data, value->bytes.len);
    if (value->failure >= 0)
        pki_der_put_small(out, value->failure);
    if (value->token.data) {
        size_t pending = pki_der_put_open(out, PKI_DER_SEQUENCE);
        pki_der_put(out, PKI_DER_OCTET_STRING, value->token.data, value->token.len);
        pki_der_put_generalized_time(out, value->time);
        pki_der_put_close(out, pending);
    }
    pki_der_put_close(out, mark);
}

static void put_cert(struct lest_buf *out, unsigned number, const struct pki_cmc_value *value)
{
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    if (number == 15) /* GetCert has a GeneralName */
        pki_der_put(out, DIRECTORY_NAME, value->issuer.data, value->issuer.len);
    else
        lest_buf_append(out, value->issuer.data, value->issuer.len);
    pki_der_put(out, PKI_DER_INTEGER, value->serial.data, value->serial.len);
    pki_der_put_close(out, mark);
}

static void put_crl(struct lest_buf *out, const struct pki_cmc_value *value)
{
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    lest_buf_append(out, value->issuer.data, value->issuer.len);
    if (value->time)
        pki_der_put_generalized_time(out, value->time);
    pki_der_put_close(out, mark);
}

static void put_revocation(struct lest_buf *out, const struct pki_cmc_value *value)
{
    uint8_t reason = (uint8_t)value->reason;
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    lest_buf_append(out, value->issuer.data, value->issuer.len);
    pki_der_put(out, PKI_DER_INTEGER, value->serial.data, value->serial.len);
    pki_der_put(out, PKI_DER_ENUMERATED, &reason, 1);
    if (value->bytes.data)
        pki_der_put(out, PKI_DER_OCTET_STRING, value->bytes.data, value->bytes.len);
    if (value->comment.data)
        pki_der_put(out, PKI_DER_UTF8_STRING, value->comment.data, value->comment.len);
    pki_der_put_close(out, mark);
}

static void put_algorithm(struct lest_buf *out, enum pki_oid oid)
{
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_oid_put(out, oid);
    pki_der_put_close(out, mark);
}

/* A hash of SHA-256 and an HMAC with it, which are what is made here (RFC 5274 4.1 SHOULD). */
static void put_mac(struct lest_buf *out, const struct pki_cmc_value *value)
{
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    put_algorithm(out, PKI_OID_SHA256);
    put_algorithm(out, PKI_OID_HMAC_SHA256);
    pki_der_put(out, PKI_DER_OCTET_STRING, value->bytes.data, value->bytes.len);
    pki_der_put_close(out, mark);
}

void pki_cmc_put_witness(struct lest_buf *out, struct pki_bytes witness)
{
    const struct pki_cmc_value value = { .bytes = witness };
    put_mac(out, &value);
}

static void put_value(struct lest_buf *out, unsigned number, enum pki_cmc_type type,
                      const struct pki_cmc_value *value)
{
    size_t mark;
    switch (type) {
    case PKI_CMC_TEXT: pki_der_put(out, PKI_DER_UTF8_STRING, value->bytes.data, value->bytes.len); break;
    case PKI_CMC_OCTETS: pki_der_put(out, PKI_DER_OCTET_STRING, value->bytes.data, value->bytes.len); break;
    case PKI_CMC_NUMBER: pki_der_put(out, PKI_DER_INTEGER, value->bytes.data, value->bytes.len); break;
    case PKI_CMC_STATUS: put_status(out, value); break;
    case PKI_CMC_BODIES: put_bodies(out, value); break;
    case PKI_CMC_WITNESSED:
        mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
        pki_der_put_small(out, 0);
        put_bodies(out, value);
        pki_der_put_close(out, mark);
        break;
    case PKI_CMC_CERT: put_cert(out, number, value); break;
    case PKI_CMC_CRL: put_crl(out, value); break;
    case PKI_CMC_REVOCATION: put_revocation(out, value); break;
    case PKI_CMC_MAC: put_mac(out, value); break;
    case PKI_CMC_RAW: lest_buf_append(out, value->bytes.data, value->bytes.len); break;
    }
}

void pki_cmc_put_control(struct lest_buf *out, uint32_t id, unsigned number,
                         const struct pki_cmc_value *value)
{
    const uint8_t oid[] = { 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x07, (uint8_t)number };
    enum pki_cmc_type type = PKI_CMC_RAW;
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_cmc_control_name(number, &type);
    pki_der_put_small(out, id);
    pki_der_put(out, PKI_DER_OID, oid, sizeof oid);
    size_t values = pki_der_put_open(out, PKI_DER_SET);
    put_value(out, number, type, value);
    pki_der_put_close(out, values);
    pki_der_put_close(out, mark);
}
