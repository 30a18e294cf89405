#include "pki/key/signature.h"
#include "pki/x509/ocsp.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_ID_LEN = 20, EXPLICIT = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED };

static const char *const failures[] = {
    [PKI_OCSP_SUCCESSFUL] = "successful",        [PKI_OCSP_MALFORMED_REQUEST] = "malformedRequest",
    [PKI_OCSP_INTERNAL_ERROR] = "internalError", [PKI_OCSP_TRY_LATER] = "tryLater",
    [PKI_OCSP_SIG_REQUIRED] = "sigRequired",     [PKI_OCSP_UNAUTHORIZED] = "unauthorized"
};
enum { FAILURES = sizeof failures / sizeof *failures };

const char *pki_ocsp_failure_name(int64_t failure)
{
    return failure >= 0 && failure < FAILURES ? failures[failure] : NULL;
}

int pki_ocsp_failure_number(const char *name)
{
    for (int i = 0; i < FAILURES; i++)
        if (failures[i] && strcmp(failures[i], name) == 0)
            return i;
    return -1;
}

static void put_status(struct lest_buf *out, enum pki_ocsp_failure failure)
{
    uint8_t number = (uint8_t)failure;
    pki_der_put(out, PKI_DER_ENUMERATED, &number, 1);
}

void pki_ocsp_put_failure(enum pki_ocsp_failure failure, struct lest_buf *out)
{
    size_t whole = pki_der_put_open(out, PKI_DER_SEQUENCE);
    put_status(out, failure);
    pki_der_put_close(out, whole);
}

/* key_id  the SHA-1 of the key, which names the responder (RFC 6960 4.2.1) */
struct pki_ocsp_responder {
    struct pki_cert *cert;
    struct pki_signer *signer;
    uint8_t key_id[KEY_ID_LEN];
};

void pki_ocsp_responder_free(struct pki_ocsp_responder *responder)
{
    if (!responder)
        return;
    if (responder->cert)
        pki_cert_free(responder->cert);
    pki_signer_free(responder->signer);
    free(responder);
}

static bool is_pair(const struct pki_cert *cert, const struct pki_key *key)
{
    struct lest_buf storage;
    lest_buf_init(&storage, PKI_PUBLIC_MAX);
    bool same = pki_bytes_equal(pki_public_canonical(cert->spki, &storage), pki_key_spki(key));
    lest_buf_free(&storage);
    return same;
}

enum lest_status pki_ocsp_responder_new(struct pki_cert *cert, const struct pki_key *key,
                                        struct pki_ocsp_responder **out, struct lest_error *err)
{
    *out = NULL;
    if (!is_pair(cert, key))
        return lest_error_set(err, LEST_E_ISSUE, "the key is not that of the responder's certificate");
    struct pki_ocsp_responder *responder = calloc(1, sizeof *responder);
    if (!responder)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    responder->cert = pki_cert_ref(cert);
    enum lest_status status = pki_public_key_id(cert->spki, responder->key_id, err);
    if (status == LEST_OK)
        status = pki_signer_new(key, NULL, &responder->signer, err);
    if (status)
        pki_ocsp_responder_free(responder);
    else
        *out = responder;
    return status;
}

/* "The reasonCode CRL entry extension SHOULD be absent instead of using the unspecified (0) reasonCode value"
 * (RFC 5280 5.3.1). */
static void put_revoked(struct lest_buf *out, const struct pki_ocsp_status *status)
{
    size_t revoked = pki_der_put_open(out, EXPLICIT | PKI_OCSP_REVOKED);
    pki_der_put_generalized_time(out, status->revoked_at);
    if (status->reason > 0) {
        uint8_t reason = (uint8_t)status->reason;
        size_t tagged = pki_der_put_open(out, EXPLICIT | 0);
        pki_der_put(out, PKI_DER_ENUMERATED, &reason, 1);
        pki_der_put_close(out, tagged);
    }
    pki_der_put_close(out, revoked);
}

static void put_single(struct lest_buf *out, const struct pki_ocsp_answer *answer, size_t i)
{
    const struct pki_ocsp_status *status = &answer->statuses[i];
    size_t single = pki_der_put_open(out, PKI_DER_SEQUENCE);
    lest_buf_append(out, answer->ids[i].data, answer->ids[i].len);
    if (status->state == PKI_OCSP_REVOKED)
        put_revoked(out, status);
    else
        pki_der_put(out, (uint8_t)(PKI_DER_CONTEXT | status->state), NULL, 0);
    pki_der_put_generalized_time(out, answer->this_update);
    size_t next = pki_der_put_open(out, EXPLICIT | 0);
    pki_der_put_generalized_time(out, answer->next_update);
    pki_der_put_close(out, next);
    pki_der_put_close(out, single);
}

/* RFC 6960 4.4.1: the response has the request's nonce, by which its client knows that it is no old one. */
static void put_nonce(struct lest_buf *out, struct pki_bytes nonce)
{
    if (!nonce.data)
        return;
    size_t tagged = pki_der_put_open(out, EXPLICIT | 1);
    size_t list = pki_der_put_open(out, PKI_DER_SEQUENCE);
    struct pki_ext_mark e = pki_ext_put_open(out, PKI_OID_OCSP_NONCE, false);
    pki_der_put(out, PKI_DER_OCTET_STRING, nonce.data, nonce.len);
    pki_ext_put_close(out, e);
    pki_der_put_close(out, list);
    pki_der_put_close(out, tagged);
}

/* ResponseData, whose version is the default. */
static void put_data(struct lest_buf *out, const struct pki_ocsp_responder *responder,
                     const struct pki_ocsp_answer *answer)
{
    size_t data = pki_der_put_open(out, PKI_DER_SEQUENCE);
    size_t by_key = pki_der_put_open(out, EXPLICIT | 2);
    pki_der_put(out, PKI_DER_OCTET_STRING, responder->key_id, KEY_ID_LEN);
    pki_der_put_close(out, by_key);
    pki_der_put_generalized_time(out, answer->produced_at);
    size_t list = pki_der_put_open(out, PKI_DER_SEQUENCE);
    for (size_t i = 0; i < answer->count; i++)
        put_single(out, answer, i);
    pki_der_put_close(out, list);
    put_nonce(out, answer->nonce);
    pki_der_put_close(out, data);
}

static enum lest_status put_basic(struct lest_buf *out, const struct pki_ocsp_responder *responder,
                                  const struct pki_ocsp_answer *answer, struct lest_error *err)
{
    struct pki_bytes algorithm = pki_signer_algorithm(responder->signer), der = responder->cert->der;
    size_t basic = pki_der_put_open(out, PKI_DER_SEQUENCE);
    struct lest_buf data;
    lest_buf_init(&data, PKI_OCSP_RESPONSE_MAX);
    put_data(&data, responder, answer);
    enum lest_status status = lest_buf_status(&data, err);
    lest_buf_append(out, data.data, status ? 0 : data.len);
    lest_buf_append(out, algorithm.data, algorithm.len);
    if (status == LEST_OK)
        status = pki_signer_sign(responder->signer, (struct pki_bytes){ data.data, data.len }, out, err);
    lest_buf_free(&data);
    size_t tagged = pki_der_put_open(out, EXPLICIT | 0);
    size_t certs = pki_der_put_open(out, PKI_DER_SEQUENCE);
    lest_buf_append(out, der.data, der.len);
    pki_der_put_close(out, certs);
    pki_der_put_close(out, tagged);
    pki_der_put_close(out, basic);
    return status;
}

enum lest_status pki_ocsp_respond(const struct pki_ocsp_responder *responder,
                                  const struct pki_ocsp_answer *answer, struct lest_buf *out,
                                  struct lest_error *err)
{
    size_t whole = pki_der_put_open(out, PKI_DER_SEQUENCE);
    put_status(out, PKI_OCSP_SUCCESSFUL);
    size_t tagged = pki_der_put_open(out, EXPLICIT | 0);
    size_t bytes = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_oid_put(out, PKI_OID_OCSP_BASIC);
    size_t octets = pki_der_put_open(out, PKI_DER_OCTET_STRING);
    enum lest_status status = put_basic(out, responder, answer, err);
    pki_der_put_close(out, octets);
    pki_der_put_close(out, bytes);
    pki_der_put_close(out, tagged);
    pki_der_put_close(out, whole);
    return status ? status : lest_buf_status(out, err);
}
