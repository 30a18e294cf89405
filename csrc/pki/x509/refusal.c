#include "pki/x509/refusal.h"

#include "pki/asn1/name.h"
#include "pki/error.h"

#include <time.h>

static void append_time(const ASN1_TIME *time, struct lest_buf *out)
{
    struct tm tm;
    if (time && ASN1_TIME_to_tm(time, &tm))
        lest_buf_append_fmt(out, " (%04d-%02d-%02dT%02d:%02d:%02dZ)", tm.tm_year + 1900, tm.tm_mon + 1,
                            tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void append_subject(X509 *x509, struct lest_buf *out)
{
    enum { SHOWN_MAX = 120 };
    uint8_t *der = NULL;
    struct lest_buf name;
    lest_buf_init(&name, PKI_NAME_MAX * 4);
    int len = x509 ? i2d_X509_NAME(X509_get_subject_name(x509), &der) : -1;
    if (len > 0 && pki_name_print(der, (size_t)len, PKI_NAME_RFC4514, &name) && name.len) {
        lest_buf_append(out, name.data, name.len < SHOWN_MAX ? name.len : SHOWN_MAX);
        lest_buf_append_str(out, name.len < SHOWN_MAX ? "" : "...");
    } else {
        lest_buf_append_str(out, x509 ? "with an empty subject" : "(unknown)");
    }
    OPENSSL_free(der);
    lest_buf_free(&name);
}

static void append_reason(int reason, const X509 *x509, struct lest_buf *out)
{
    switch (reason) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        lest_buf_append_str(out, "its issuer is not among the trust anchors and was not sent along");
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        lest_buf_append_str(out, "it is self-signed and not among the trust anchors");
        break;
    case X509_V_ERR_INVALID_PURPOSE:
        lest_buf_append_str(out, "it is not meant for this purpose (key usage or extended key usage)");
        break;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        lest_buf_append_str(out, "there is no CRL of its issuer, and one is required");
        break;
    default: lest_buf_append_str(out, X509_verify_cert_error_string(reason));
    }
    if (x509 && reason == X509_V_ERR_CERT_HAS_EXPIRED)
        append_time(X509_get0_notAfter(x509), out);
    if (x509 && reason == X509_V_ERR_CERT_NOT_YET_VALID)
        append_time(X509_get0_notBefore(x509), out);
}

enum lest_status pki_refusal(X509_STORE_CTX *ctx, struct lest_error *err)
{
    int reason = X509_STORE_CTX_get_error(ctx);
    if (reason == X509_V_ERR_OUT_OF_MEM)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    X509 *x509 = X509_STORE_CTX_get_current_cert(ctx);
    struct lest_buf text;
    lest_buf_init(&text, 1024);
    lest_buf_append_str(&text, "certificate ");
    append_subject(x509 ? x509 : X509_STORE_CTX_get0_cert(ctx), &text);
    lest_buf_append_fmt(&text, " (depth %d) is not trusted: ", X509_STORE_CTX_get_error_depth(ctx));
    append_reason(reason, x509, &text);
    enum lest_status status =
        pki_error(err, LEST_E_CERT_UNTRUSTED, "%.*s", (int)text.len, text.len ? (char *)text.data : "");
    lest_buf_free(&text);
    return status;
}
