#include "est/body.h"

#include "base/base64.h"
#include "pki/asn1/pem.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool all_blank(const uint8_t *data, size_t len)
{
    while (len && is_blank(*data)) {
        data++;
        len--;
    }
    return len == 0;
}

/* The SEQUENCE is all there is. Its length may have more bytes than it need, for BER is read too. */
static enum lest_status check_outer(const uint8_t *data, size_t len, struct lest_error *err)
{
    enum { LENGTH_BYTES_MAX = 4 };
    if (len == 0 || data[0] != PKI_DER_SEQUENCE)
        return lest_error_set(err, LEST_E_MALFORMED, "the body is not the DER of a SEQUENCE");
    size_t used = 2, content = len > 1 ? data[1] : 0;
    if (content == 0x80)
        return LEST_OK;
    if (content > 0x80) {
        size_t count = content & 0x7f;
        content = 0;
        if (count > LENGTH_BYTES_MAX)
            return lest_error_set(err, LEST_E_MALFORMED, "the length in the body's DER is malformed");
        for (size_t i = 0; i < count && used < len; i++)
            content = content << 8 | data[used++];
        if (used < 2 + count)
            return lest_error_set(err, LEST_E_MALFORMED, "the DER in the body is cut off");
    }
    if (len < used || len - used < content)
        return lest_error_set(err, LEST_E_MALFORMED, "the DER in the body is cut off");
    if (len - used > content)
        return lest_error_set(err, LEST_E_MALFORMED, "%zu bytes follow the end of the DER in the body",
                              len - used - content);
    return LEST_OK;
}

static bool label_is_known(const struct pki_pem *block)
{
    static const char *const labels[] = { "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST", "PKCS7", "CMS" };
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (pki_pem_is(block, labels[i]))
            return true;
    return false;
}

static enum lest_status decode_pem(const uint8_t *data, size_t len, struct lest_buf *out,
                                   struct lest_error *err)
{
    struct pki_pem block;
    enum lest_status status;
    if (!pki_pem_next(&data, &len, &block, &status, err))
        return status ? status : lest_error_set(err, LEST_E_PEM, "the body has no PEM block");
    if (!label_is_known(&block))
        return lest_error_set(err, LEST_E_PEM, "the body is PEM of a '%.*s', not of a request or PKCS#7",
                              (int)block.label.len, (const char *)block.label.data);
    if (!all_blank(data, len))
        return lest_error_set(err, LEST_E_PEM, "something follows the PEM block in the body");
    return pki_pem_decode(&block, out, err);
}

enum lest_status est_body_decode(const void *data, size_t len, struct lest_buf *out, struct lest_error *err)
{
    const uint8_t *in = data;
    enum lest_status status;
    if (all_blank(in, len))
        return lest_error_set(err, LEST_E_MALFORMED, "the body is empty");
    if (in[0] == PKI_DER_SEQUENCE) {
        lest_buf_append(out, in, len);
        status = lest_buf_status(out, err);
    } else if (pki_pem_looks(in, len)) {
        status = decode_pem(in, len, out, err);
    } else {
        status = lest_base64_decode(data, len, out, err);
    }
    if (status == LEST_OK)
        status = check_outer(out->data, out->len, err);
    if (status)
        lest_buf_wipe(out);
    return status;
}

void est_body_encode(const void *der, size_t len, size_t wrap, struct lest_buf *out)
{
    lest_base64_encode(der, len, wrap, out);
}
