#include "pki/asn1/name.h"
#include "pki/key/signature.h"
#include "pki/x509/ocsp.h"

enum { EXPLICIT = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED, TOLERATED = PKI_FLAW_BOOLEAN | PKI_FLAW_NAME };

/* Enter an explicit tag. */
static bool enter(struct pki_der *in, unsigned number, const char *what, struct pki_der *body)
{
    return pki_der_read(in, (uint8_t)(EXPLICIT | number), what, body);
}

static bool read_reason(struct pki_der *in, int *reason)
{
    struct pki_der tagged, body;
    if (!enter(in, 0, "a reason", &tagged) || !pki_der_read(&tagged, PKI_DER_ENUMERATED, "a reason", &body) ||
        !pki_der_end(&tagged, "a reason"))
        return false;
    if (body.left != 1 || body.at[0] > 127)
        return pki_der_fail(&body, "a reason is no small number");
    *reason = body.at[0];
    return true;
}

static bool read_status(struct pki_der *in, struct pki_ocsp_status *status)
{
    static const char what[] = "a certificate's status";
    struct pki_der body;
    uint8_t tag = pki_der_peek(in);
    *status = (struct pki_ocsp_status){ .state = PKI_OCSP_GOOD, .reason = -1 };
    if (tag == (EXPLICIT | PKI_OCSP_REVOKED)) {
        status->state = PKI_OCSP_REVOKED;
        return pki_der_read(in, PKI_DER_ANY, what, &body) && pki_der_time(&body, what, &status->revoked_at) &&
               (!body.left || read_reason(&body, &status->reason)) && pki_der_end(&body, what);
    }
    if (tag == (PKI_DER_CONTEXT | PKI_OCSP_UNKNOWN))
        status->state = PKI_OCSP_UNKNOWN;
    else if (tag != (PKI_DER_CONTEXT | PKI_OCSP_GOOD))
        return pki_der_fail(in, "%s is none", what);
    return pki_der_read(in, PKI_DER_ANY, what, &body) && pki_der_end(&body, what);
}

static bool read_single(struct pki_der *in, struct pki_ocsp_single *single)
{
    static const char next[] = "nextUpdate";
    struct pki_der body, tagged, list;
    single->next_update = PKI_OCSP_NEVER;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "a response", &body) || !pki_ocsp_id_read(&body, &single->id) ||
        !read_status(&body, &single->status) || !pki_der_time(&body, "thisUpdate", &single->this_update))
        return false;
    if (pki_der_peek(&body) == (EXPLICIT | 0) &&
        (!enter(&body, 0, next, &tagged) || !pki_der_time(&tagged, next, &single->next_update) ||
         !pki_der_end(&tagged, next)))
        return false;
    if (pki_der_peek(&body) == (EXPLICIT | 1) && !pki_ext_list(&body, &list))
        return false;
    return pki_der_end(&body, "a response");
}

static bool read_responder(struct pki_der *in, struct pki_ocsp_response *out)
{
    static const char what[] = "the responder";
    struct pki_der tagged, body;
    struct pki_der_item name;
    if (pki_der_peek(in) == (EXPLICIT | 1)) {
        if (!enter(in, 1, what, &tagged) || !pki_der_item(&tagged, PKI_DER_SEQUENCE, what, &name) ||
            !pki_der_end(&tagged, what) || !pki_name_check(in->doc, name.whole.data, name.whole.len))
            return false;
        out->responder_name = name.whole;
        return true;
    }
    if (!enter(in, 2, what, &tagged) || !pki_der_read(&tagged, PKI_DER_OCTET_STRING, what, &body) ||
        !pki_der_end(&tagged, what))
        return false;
    out->responder_key = (struct pki_bytes){ body.at, body.left };
    return true;
}

static bool read_extensions(struct pki_der *in, struct pki_ocsp_response *out)
{
    struct pki_der list;
    struct pki_ext ext;
    if (!pki_ext_list(in, &list))
        return false;
    while (list.left) {
        if (!pki_ext_next(&list, &ext))
            return false;
        if (pki_oid_is(ext.oid, PKI_OID_OCSP_NONCE) && !pki_ocsp_nonce_read(in->doc, ext.value, &out->nonce))
            return false;
    }
    return true;
}

static bool read_data(struct pki_der *in, struct pki_ocsp_response *out)
{
    struct pki_der data, list;
    struct pki_ocsp_single single;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the response's data", &data) || !pki_ocsp_version_read(&data))
        return false;
    if (!read_responder(&data, out) || !pki_der_time(&data, "producedAt", &out->produced_at) ||
        !pki_der_read(&data, PKI_DER_SEQUENCE, "the list of responses", &list))
        return false;
    out->singles = (struct pki_bytes){ list.at, list.left };
    while (list.left)
        if (!read_single(&list, &single))
            return false;
    if (pki_der_peek(&data) == (EXPLICIT | 1) && !read_extensions(&data, out))
        return false;
    return pki_der_end(&data, "the response's data");
}

static bool read_certs(struct pki_der *in, struct pki_ocsp_response *out)
{
    static const char what[] = "the certificates";
    struct pki_der tagged, list;
    if (!enter(in, 0, what, &tagged) || !pki_der_read(&tagged, PKI_DER_SEQUENCE, what, &list) ||
        !pki_der_end(&tagged, what))
        return false;
    out->certs = (struct pki_bytes){ list.at, list.left };
    while (list.left)
        if (!pki_der_read(&list, PKI_DER_SEQUENCE, "a certificate", NULL))
            return false;
    return true;
}

/* BasicOCSPResponse */
static bool read_basic(struct pki_der *in, struct pki_ocsp_response *out)
{
    struct pki_der body;
    struct pki_der_item algorithm;
    struct pki_bytes signature;
    unsigned unused;
    return pki_der_read(in, PKI_DER_SEQUENCE, "the basic response", &body) &&
           pki_der_end(in, "the basic response") && read_data(&body, out) &&
           pki_signature_algorithm(&body, &algorithm, &out->algorithm) &&
           pki_der_bits(&body, "the signature", &signature, &unused) &&
           (!body.left || read_certs(&body, out)) && pki_der_end(&body, "the basic response");
}

static bool read_bytes(struct pki_der *in, struct pki_ocsp_response *out)
{
    static const char what[] = "the response's bytes";
    struct pki_der tagged, body, octets;
    struct pki_bytes type;
    if (!enter(in, 0, what, &tagged) || !pki_der_read(&tagged, PKI_DER_SEQUENCE, what, &body) ||
        !pki_der_end(&tagged, what) || !pki_der_oid(&body, "the response's type", &type))
        return false;
    if (!pki_oid_is(type, PKI_OID_OCSP_BASIC))
        return pki_der_fail(&body, "the response's type is not id-pkix-ocsp-basic");
    return pki_der_read(&body, PKI_DER_OCTET_STRING, what, &octets) && pki_der_end(&body, what) &&
           read_basic(&octets, out);
}

static bool read_response(struct pki_der *in, struct pki_ocsp_response *out)
{
    struct pki_der body, number;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the response", &body) || !pki_der_end(in, "the response") ||
        !pki_der_read(&body, PKI_DER_ENUMERATED, "the response's status", &number))
        return false;
    if (number.left != 1 || number.at[0] > 127)
        return pki_der_fail(&number, "the response's status is no small number");
    out->failure = number.at[0];
    if ((out->failure == PKI_OCSP_SUCCESSFUL) != (body.left > 0))
        return pki_der_fail(&body, "only a successful response has bytes");
    return (!body.left || read_bytes(&body, out)) && pki_der_end(&body, "the response");
}

enum lest_status pki_ocsp_response_parse(struct pki_bytes der, struct pki_ocsp_response *out,
                                         struct lest_error *err)
{
    struct pki_der_doc doc = {
        .noun = "OCSP response", .malformed = LEST_E_MALFORMED, .err = err, .tolerated = TOLERATED
    };
    struct pki_der in;
    *out = (struct pki_ocsp_response){ .failure = PKI_OCSP_SUCCESSFUL };
    if (der.len > PKI_OCSP_RESPONSE_MAX)
        return lest_error_set(err, LEST_E_TOO_LARGE, "OCSP response: more than %d bytes",
                              PKI_OCSP_RESPONSE_MAX);
    pki_der_open(&in, &doc, der.data, der.len);
    return read_response(&in, out) ? LEST_OK : doc.status;
}

void pki_ocsp_single_open(const struct pki_ocsp_response *response, struct pki_der_doc *doc,
                          struct pki_der *in)
{
    *doc = (struct pki_der_doc){ .noun = "OCSP response",
                                 .malformed = LEST_E_MALFORMED,
                                 .tolerated = TOLERATED };
    pki_der_open(in, doc, response->singles.data, response->singles.data ? response->singles.len : 0);
}

bool pki_ocsp_single_next(struct pki_der *in, struct pki_ocsp_single *single)
{
    return in->left && read_single(in, single);
}
