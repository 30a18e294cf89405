/* What must survive short memory, too: templates of CSRs, keys in envelopes and in parts, signed tokens. */
#include "alloc.h"

#include "est/mixed.h"
#include "jose/cjose.h"
#include "jose/key.h"
#include "jose/token.h"
#include "pki/asn1/der.h"
#include "pki/cms/capabilities.h"
#include "pki/cms/envelope.h"
#include "pki/x509/csrattrs.h"
#include "pki/x509/ocsp.h"
#include "pki/x509/template.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 64 * 1024, CAPABILITIES = PKI_CAN_AES256 | PKI_CAN_WRAP256 | PKI_CAN_OAEP | PKI_CAN_ECDH };

#define BYTES_OF(text) ((struct pki_bytes){ (const uint8_t *)(text), sizeof(text) - 1 })

static struct pki_bytes bytes_of(const struct lest_buf *buf)
{
    return (struct pki_bytes){ buf->data, buf->len };
}

static enum lest_status put_template(struct lest_buf *out, struct lest_error *err)
{
    static const struct pki_name_part subject[] = { { .type = "CN", .type_len = 2 },
                                                    { "O", 1, "Acme", 4, false, false } };
    struct lest_buf extensions;
    lest_buf_init(&extensions, TEXT_MAX);
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    enum lest_status status = pki_ext_put_open_text(&extensions, "subjectAltName", 14, false, err);
    struct pki_template_plan plan = { .subject = subject,
                                      .subject_count = sizeof subject / sizeof *subject,
                                      .key = "ec:P-384",
                                      .extensions = bytes_of(&extensions),
                                      .is_partial = true };
    if (!status)
        status = pki_template_put(out, &plan, err);
    pki_der_put_close(out, mark);
    if (!status)
        status = lest_buf_status(out, err);
    lest_buf_free(&extensions);
    return status;
}

/* Written, read, and filled in by a client. */
enum lest_status alloc_template(struct lest_error *err)
{
    struct lest_buf list, own, filled;
    struct pki_template template;
    struct pki_der_doc doc;
    struct pki_der in;
    bool found;
    lest_buf_init(&list, TEXT_MAX);
    lest_buf_init(&own, TEXT_MAX);
    lest_buf_init(&filled, TEXT_MAX);
    enum lest_status status = put_template(&list, err);
    if (!status)
        status = pki_csrattrs_open(bytes_of(&list), &doc, &in, err);
    if (!status)
        status = pki_template_find(in, &template, &found, err);
    if (!status)
        status = pki_name_parse("CN=device", 9, &own, err);
    if (!status)
        status = pki_template_fill_name(template.subject, bytes_of(&own), &filled, err);
    if (!status)
        status = lest_buf_status(&filled, err);
    lest_buf_free(&list);
    lest_buf_free(&own);
    lest_buf_free(&filled);
    return status;
}

static struct pki_key *made;

/* For a recipient, and opened by it. */
static enum lest_status sealed(const struct pki_recipient *to, const struct pki_key *own,
                               struct lest_error *err)
{
    struct lest_buf envelope, signers;
    struct pki_key *opened = NULL;
    lest_buf_init(&envelope, PKI_ENVELOPE_MAX);
    lest_buf_init(&signers, TEXT_MAX);
    enum lest_status status =
        pki_envelope_seal(made, alloc_cert->der, alloc_key, to, CAPABILITIES, &envelope, err);
    if (!status)
        status = pki_envelope_open(envelope.data, envelope.len, own, own ? NULL : to, &opened, &signers, err);
    pki_key_free(opened);
    lest_buf_free(&envelope);
    lest_buf_free(&signers);
    return status;
}

enum lest_status alloc_envelope_shared(struct lest_error *err)
{
    static const struct pki_recipient to = { .shared = BYTES_OF("0123456789abcdef0123456789abcdef"),
                                             .id = BYTES_OF("device") };
    return sealed(&to, NULL, err);
}

enum lest_status alloc_envelope_cert(struct lest_error *err)
{
    struct pki_recipient to = { .cert = alloc_cert->der };
    return sealed(&to, alloc_key, err);
}

/* What is asked of a certificate, and signed. */
enum lest_status alloc_ocsp(struct lest_error *err)
{
    struct pki_ocsp_status good = { .state = PKI_OCSP_GOOD, .reason = -1 };
    struct pki_ocsp_responder *responder = NULL;
    struct pki_ocsp_response read;
    struct pki_ocsp_request asked;
    struct lest_buf request, response;
    lest_buf_init(&request, PKI_OCSP_REQUEST_MAX);
    lest_buf_init(&response, PKI_OCSP_RESPONSE_MAX);
    enum lest_status status = pki_ocsp_request_put(alloc_cert, PKI_SHA256, alloc_cert->serial, &request, err);
    if (!status)
        status = pki_ocsp_request_parse(bytes_of(&request), &asked, err);
    struct pki_ocsp_answer answer = { .ids = &asked.ids[0].whole, .statuses = &good, .count = 1 };
    if (!status)
        status = pki_ocsp_responder_new(alloc_cert, alloc_key, &responder, err);
    if (!status)
        status = pki_ocsp_respond(responder, &answer, &response, err);
    if (!status)
        status = pki_ocsp_response_parse(bytes_of(&response), &read, err);
    pki_ocsp_responder_free(responder);
    lest_buf_free(&request);
    lest_buf_free(&response);
    return status;
}

/* Both parts of an answer to serverkeygen, written and taken apart. */
enum lest_status alloc_mixed(struct lest_error *err)
{
    static const struct est_content contents[] = { { "application/pkcs8", "\x30\x00", 2 },
                                                   { "application/pkcs7-mime", "\x30\x00", 2 } };
    static const struct http_slice type = { EST_MIXED_TYPE, sizeof EST_MIXED_TYPE - 1 };
    struct est_part parts[EST_MIXED_PARTS_MAX];
    struct lest_buf body;
    size_t count;
    lest_buf_init(&body, TEXT_MAX);
    est_mixed_encode(contents, 2, 64, true, &body);
    enum lest_status status = lest_buf_status(&body, err);
    if (!status)
        status = est_mixed_decode(type, body.data, body.len, parts, &count, err);
    lest_buf_wipe(&body);
    return status;
}

/* RFC 7515 A.3. */
enum lest_status alloc_token(struct lest_error *err)
{
    static const char jwk[] =
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
        "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
    static const char token[] =
        "eyJhbGciOiJFUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb"
        "290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-"
        "Kg6NU1Q";
    struct lest_buf header, payload;
    struct jose_key *key = NULL;
    lest_buf_init(&header, TEXT_MAX);
    lest_buf_init(&payload, TEXT_MAX);
    enum lest_status status = jose_token_read(token, sizeof token - 1, &header, &payload, err);
    if (!status)
        status = jose_key_import(jwk, sizeof jwk - 1, &key, err);
    if (!status) {
        lest_buf_wipe(&payload);
        status = jose_key_verify(key, "ES256", token, sizeof token - 1, &payload, err);
    }
    jose_key_free(key);
    lest_buf_free(&header);
    lest_buf_free(&payload);
    return status;
}

void alloc_formats_setup(void)
{
    struct lest_error err;
    if (pki_key_generate("ec:P-256", &made, &err) || jose_cjose_load(&err)) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
}

void alloc_formats_teardown(void)
{
    pki_key_free(made);
}
