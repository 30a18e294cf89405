/* What strangers ask of an OCSP responder: read, answered with a signature, and the answer read. What is a
 * response itself is read as one. */
#include "fuzz.h"

#include "pki/asn1/name.h"
#include "pki/x509/issuer.h"
#include "pki/x509/ocsp.h"

static struct pki_ocsp_responder *responder;

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct pki_key *key;
    struct pki_cert *cert;
    struct lest_buf name, der;
    (void)argc;
    (void)argv;
    lest_buf_init(&name, 1024);
    lest_buf_init(&der, 4096);
    FUZZ_CHECK(pki_key_generate("ec:P-256", &key, NULL) == LEST_OK);
    FUZZ_CHECK(pki_name_parse("CN=ca", 5, &name, NULL) == LEST_OK);
    struct pki_bytes subject = { name.data, name.len };
    FUZZ_CHECK(pki_issuer_root(key, NULL, subject, 0, 4000000000, -1, &der, NULL) == LEST_OK);
    FUZZ_CHECK(pki_cert_parse(der.data, der.len, &cert, NULL) == LEST_OK);
    FUZZ_CHECK(pki_ocsp_responder_new(cert, key, &responder, NULL) == LEST_OK);
    pki_cert_free(cert);
    pki_key_free(key);
    lest_buf_free(&name);
    lest_buf_free(&der);
    return 0;
}

/* What is said of one request: every state once, and a revocation with and without a reason. */
static struct pki_ocsp_status status_of(size_t i)
{
    struct pki_ocsp_status status = { .state = PKI_OCSP_GOOD, .revoked_at = 1000000000, .reason = -1 };
    if (i % 4)
        status.state = i % 4 == 3 ? PKI_OCSP_UNKNOWN : PKI_OCSP_REVOKED;
    if (i % 4 == 1)
        status.reason = 4;
    return status;
}

/* The answer is well-formed, and says of what was asked what it was told to say. */
static void answer(const struct pki_ocsp_request *request)
{
    struct pki_bytes ids[PKI_OCSP_IDS_MAX];
    struct pki_ocsp_status statuses[PKI_OCSP_IDS_MAX];
    struct pki_ocsp_answer said = { .ids = ids,
                                    .statuses = statuses,
                                    .count = request->count,
                                    .produced_at = 1000000001,
                                    .this_update = 1000000000,
                                    .next_update = 2000000000,
                                    .nonce = request->nonce };
    struct pki_ocsp_response response;
    struct pki_ocsp_single single;
    struct pki_der_doc doc;
    struct pki_der in;
    struct lest_buf out;
    size_t count = 0;
    for (size_t i = 0; i < request->count; i++) {
        ids[i] = request->ids[i].whole;
        statuses[i] = status_of(i);
    }
    lest_buf_init(&out, PKI_OCSP_RESPONSE_MAX);
    FUZZ_CHECK(pki_ocsp_respond(responder, &said, &out, NULL) == LEST_OK);
    FUZZ_CHECK(pki_ocsp_response_parse((struct pki_bytes){ out.data, out.len }, &response, NULL) == LEST_OK);
    FUZZ_CHECK(pki_bytes_equal(response.nonce, request->nonce));
    for (pki_ocsp_single_open(&response, &doc, &in); pki_ocsp_single_next(&in, &single); count++)
        FUZZ_CHECK(pki_bytes_equal(single.id.whole, ids[count]) &&
                   single.status.state == statuses[count].state && single.next_update == 2000000000);
    FUZZ_CHECK(count == request->count && doc.status == LEST_OK);
    lest_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lest_error err = { .status = LEST_OK };
    struct pki_ocsp_request request;
    struct pki_ocsp_response response;
    struct pki_ocsp_single single;
    struct pki_der_doc doc;
    struct pki_der in;
    uint8_t *copy = fuzz_copy(data, size);
    struct pki_bytes der = { copy, size };
    FUZZ_CHECK(pki_ocsp_request_parse(der, &request, &err) == err.status);
    if (err.status == LEST_OK) {
        FUZZ_CHECK(request.count >= 1 && request.count <= PKI_OCSP_IDS_MAX);
        FUZZ_CHECK(!request.nonce.data ||
                   (request.nonce.len >= 1 && request.nonce.len <= PKI_OCSP_NONCE_MAX));
        answer(&request);
    }
    err.status = LEST_OK;
    FUZZ_CHECK(pki_ocsp_response_parse(der, &response, &err) == err.status);
    if (err.status == LEST_OK) {
        pki_ocsp_single_open(&response, &doc, &in);
        while (pki_ocsp_single_next(&in, &single))
            FUZZ_CHECK(single.id.whole.len > 0);
        FUZZ_CHECK(doc.status == LEST_OK);
    }
    free(copy);
    return 0;
}
