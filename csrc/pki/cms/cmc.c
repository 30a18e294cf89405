#include "pki/cms/cmc.h"

#include <string.h>

enum {
    CONTEXT_0 = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED,
    CONTEXT_1,
    CONTEXT_2,
    DEPTH_MAX = 32,
    ELEMENTS_MAX = 16384
};

/* RFC 5272 3.2.2: an id stands for one part of a message. */
static bool take_id(struct pki_der *in, struct pki_cmc *cmc, uint32_t *id)
{
    struct pki_der at = *in;
    if (!pki_cmc_id(in, false, id))
        return false;
    for (size_t i = 0; i < cmc->id_count; i++)
        if (cmc->ids[i] == *id)
            return pki_der_fail(&at, "two body parts have the id %lu", (unsigned long)*id);
    cmc->ids[cmc->id_count++] = *id;
    return true;
}

static bool check_value(struct pki_der *in, const struct pki_cmc_control *control)
{
    enum pki_cmc_type type = PKI_CMC_RAW;
    struct pki_cmc_value value;
    struct pki_der values;
    if (!pki_cmc_control_name(control->number, &type))
        return true;
    pki_der_open(&values, in->doc, control->values.data, control->values.len);
    return pki_cmc_read_value(&values, type, &value) && pki_der_end(&values, "a control's value");
}

/* TaggedAttribute */
static bool read_control(struct pki_der *in, struct pki_cmc *cmc)
{
    struct pki_der body, values;
    struct pki_cmc_control control;
    if (cmc->control_count == PKI_CMC_CONTROLS_MAX)
        return pki_der_fail(in, "there are more than %d controls", PKI_CMC_CONTROLS_MAX);
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "a control", &body) || !take_id(&body, cmc, &control.id) ||
        !pki_der_oid(&body, "a control's type", &control.oid) ||
        !pki_der_read(&body, PKI_DER_SET, "a control's values", &values) || !pki_der_end(&body, "a control"))
        return false;
    control.number = pki_cmc_control_find(control.oid);
    control.values = (struct pki_bytes){ values.at, values.left };
    cmc->controls[cmc->control_count++] = control;
    return check_value(in, &control);
}

/* What comes of a request is read by its own reader: here it is an element, or a run of them. */
static bool read_request(struct pki_der *in, struct pki_cmc *cmc)
{
    struct pki_der body, inner, at = *in;
    struct pki_der_item item, part;
    struct pki_cmc_request request = { .id = 0 };
    if (cmc->request_count == PKI_CMC_REQUESTS_MAX)
        return pki_der_fail(in, "there are more than %d requests", PKI_CMC_REQUESTS_MAX);
    if (!pki_der_item(in, PKI_DER_ANY, "a request", &item))
        return false;
    if (item.tag < CONTEXT_0 || item.tag > CONTEXT_2)
        return pki_der_fail(&at, "a request is of no kind that there is");
    pki_der_enter(in, &item, &body);
    request.form = (enum pki_cmc_form)(item.tag - CONTEXT_0);
    request.der = item.whole;
    if (request.form == PKI_CMC_CRM) {
        if (!pki_der_read(&body, PKI_DER_SEQUENCE, "a CRMF request", &inner) ||
            !take_id(&inner, cmc, &request.id))
            return false;
    } else {
        if (!take_id(&body, cmc, &request.id) ||
            (request.form == PKI_CMC_ORM && !pki_der_oid(&body, "a request's type", &request.oid)) ||
            !pki_der_item(&body, PKI_DER_ANY, "a request", &part) || !pki_der_end(&body, "a request"))
            return false;
        request.der = part.whole;
    }
    cmc->requests[cmc->request_count++] = request;
    return true;
}

/* TaggedContentInfo and OtherMsg: an id, and what is passed on. */
static bool read_content(struct pki_der *in, struct pki_cmc *cmc, struct pki_cmc_content *list, size_t *count)
{
    struct pki_der body;
    struct pki_cmc_content content;
    if (*count == PKI_CMC_CONTENTS_MAX)
        return pki_der_fail(in, "there are more than %d messages within", PKI_CMC_CONTENTS_MAX);
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "a message within", &body) || !take_id(&body, cmc, &content.id))
        return false;
    content.der = (struct pki_bytes){ body.at, body.left };
    list[(*count)++] = content;
    return true;
}

static bool read_sequences(struct pki_der *in, struct pki_cmc *cmc)
{
    struct pki_der body, list;
    struct pki_der_item item;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the content", &body) || !pki_der_end(in, "the content") ||
        !pki_der_read(&body, PKI_DER_SEQUENCE, "the controls", &list))
        return false;
    while (list.left)
        if (!read_control(&list, cmc))
            return false;
    if (!cmc->is_response) {
        if (!pki_der_item(&body, PKI_DER_SEQUENCE, "the requests", &item))
            return false;
        cmc->request_sequence = item.whole;
        pki_der_enter(&body, &item, &list);
        while (list.left)
            if (!read_request(&list, cmc))
                return false;
    }
    if (!pki_der_read(&body, PKI_DER_SEQUENCE, "the messages within", &list))
        return false;
    while (list.left)
        if (!read_content(&list, cmc, cmc->contents, &cmc->content_count))
            return false;
    if (!pki_der_read(&body, PKI_DER_SEQUENCE, "the other messages", &list))
        return false;
    while (list.left)
        if (!read_content(&list, cmc, cmc->others, &cmc->other_count))
            return false;
    return pki_der_end(&body, "the content");
}

static enum lest_status read_message(struct pki_cmc *cmc, struct lest_error *err)
{
    const struct pki_pkcs7 *message = &cmc->message;
    struct pki_der_doc doc = {
        .noun = "CMC", .malformed = LEST_E_CMC_MALFORMED, .err = err, .start = message->der.data
    };
    struct pki_der in;
    size_t elements = ELEMENTS_MAX;
    if (!message->is_signed_data)
        return lest_error_set(err, LEST_E_CMC_MALFORMED, "CMC: the message is %.100s, not SignedData",
                              message->type);
    cmc->is_response = pki_oid_is(message->content_oid, PKI_OID_PKI_RESPONSE);
    if (!cmc->is_response && !pki_oid_is(message->content_oid, PKI_OID_PKI_DATA))
        return lest_error_set(err, LEST_E_CMC_MALFORMED,
                              "CMC: the content is %.100s, neither PKIData nor PKIResponse",
                              message->content_type);
    if (!message->content.data)
        return lest_error_set(err, LEST_E_CMC_MALFORMED, "CMC: the message has no content");
    if (message->signers) {
        enum lest_status status = pki_signed_read(message, &cmc->signer, err);
        if (status)
            return status;
    }
    pki_der_open(&in, &doc, message->content.data, message->content.len);
    return pki_der_check(in, "the content", DEPTH_MAX, &elements) && read_sequences(&in, cmc) ? LEST_OK
                                                                                              : doc.status;
}

enum lest_status pki_cmc_parse(const void *data, size_t len, struct pki_cmc *out, struct lest_error *err)
{
    memset(out, 0, sizeof *out);
    /* PEM and base64 lines of the largest message. */
    if (len > 2 * (size_t)PKI_CMC_MAX)
        return lest_error_set(err, LEST_E_TOO_LARGE, "CMC: more than %d bytes", PKI_CMC_MAX);
    enum lest_status status = pki_pkcs7_read(data, len, &out->message, err);
    if (!status && out->message.der.len > PKI_CMC_MAX)
        status = lest_error_set(err, LEST_E_TOO_LARGE, "CMC: more than %d bytes", PKI_CMC_MAX);
    if (!status)
        status = read_message(out, err);
    if (status)
        pki_cmc_free(out);
    return status;
}

void pki_cmc_free(struct pki_cmc *cmc)
{
    pki_pkcs7_free(&cmc->message);
    memset(cmc, 0, sizeof *cmc);
}
