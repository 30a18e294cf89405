#include "pki/cms/cmc_control.h"

#include "base/utf8.h"
#include "pki/asn1/name.h"

#include <string.h>

enum { OCTETS_MAX = 16 * 1024, NUMBER_MAX = 64, DIRECTORY_NAME = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 4 };

static const struct {
    const char *name;
    unsigned number;
    enum pki_cmc_type type;
} known[] = {
#define X(id, number, name, type) { name, number, PKI_CMC_##type },
    PKI_CMC_CONTROLS(X)
#undef X
};

struct numbered {
    int number;
    const char *name;
};
#define X(id, number, name) { number, name },
static const struct numbered statuses[] = { PKI_CMC_STATUSES(X){ -1, NULL } };
static const struct numbered failures[] = { PKI_CMC_FAILURES(X){ -1, NULL } };
#undef X

static const char *name_of(const struct numbered *list, int64_t number)
{
    while (list->name && list->number != number)
        list++;
    return list->name;
}

static int number_of(const struct numbered *list, const char *name)
{
    while (list->name && strcmp(list->name, name) != 0)
        list++;
    return list->number;
}

const char *pki_cmc_status_name(int64_t number)
{
    return name_of(statuses, number);
}

const char *pki_cmc_failure_name(int64_t number)
{
    return name_of(failures, number);
}

int pki_cmc_status_number(const char *name)
{
    return number_of(statuses, name);
}

int pki_cmc_failure_number(const char *name)
{
    return number_of(failures, name);
}

const char *pki_cmc_control_name(unsigned number, enum pki_cmc_type *type)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].number == number) {
            *type = known[i].type;
            return known[i].name;
        }
    return NULL;
}

unsigned pki_cmc_control_number(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].number;
    return 0;
}

/* id-cmc and one arc of one octet. */
unsigned pki_cmc_control_find(struct pki_bytes oid)
{
    static const uint8_t arc[] = { 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x07 };
    enum pki_cmc_type type;
    if (oid.len != sizeof arc + 1 || memcmp(oid.data, arc, sizeof arc) != 0)
        return 0;
    unsigned number = oid.data[sizeof arc];
    return pki_cmc_control_name(number, &type) ? number : 0;
}

bool pki_cmc_id(struct pki_der *in, bool may_be_zero, uint32_t *id)
{
    struct pki_der at = *in;
    int64_t value;
    if (!pki_der_small(in, "a body part id", &value))
        return false;
    if (value > UINT32_MAX || (value == 0 && !may_be_zero))
        return pki_der_fail(&at, "a body part id is out of bounds");
    *id = (uint32_t)value;
    return true;
}

static bool add_body(struct pki_der *in, bool may_be_zero, struct pki_cmc_value *value)
{
    if (value->body_count == PKI_CMC_BODIES_MAX)
        return pki_der_fail(in, "there are more than %d body parts in a list", PKI_CMC_BODIES_MAX);
    return pki_cmc_id(in, may_be_zero, &value->bodies[value->body_count++]);
}

/* BodyPartList and BodyPartPath. */
static bool read_bodies(struct pki_der *in, struct pki_cmc_value *value)
{
    struct pki_der list;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "a list of body parts", &list))
        return false;
    if (list.left == 0)
        return pki_der_fail(&list, "a list of body parts is empty");
    while (list.left)
        if (!add_body(&list, true, value))
            return false;
    return true;
}

/* BodyPartReference: an id or a path of them. */
static bool read_references(struct pki_der *in, struct pki_cmc_value *value)
{
    struct pki_der list, path;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the list of body parts", &list))
        return false;
    if (list.left == 0)
        return pki_der_fail(&list, "the list of body parts is empty");
    while (list.left) {
        if (pki_der_peek(&list) != PKI_DER_SEQUENCE) {
            if (!add_body(&list, true, value))
                return false;
            continue;
        }
        size_t first = value->body_count;
        if (!pki_der_read(&list, PKI_DER_SEQUENCE, "a path of body parts", &path))
            return false;
        if (path.left == 0)
            return pki_der_fail(&path, "a path of body parts is empty");
        while (path.left)
            if (!add_body(&path, true, value))
                return false;
        value->bodies[first] = value->bodies[value->body_count - 1];
        value->body_count = first + 1;
    }
    return true;
}

static bool read_octets(struct pki_der *in, uint8_t tag, const char *what, struct pki_bytes *bytes)
{
    struct pki_der at = *in;
    struct pki_der_item item;
    if (!pki_der_item(in, tag, what, &item))
        return false;
    if (item.body.len > OCTETS_MAX)
        return pki_der_fail(&at, "%s has more than %d bytes", what, OCTETS_MAX);
    *bytes = item.body;
    return true;
}

static bool read_text(struct pki_der *in, const char *what, struct pki_bytes *bytes)
{
    struct pki_der at = *in;
    if (!read_octets(in, PKI_DER_UTF8_STRING, what, bytes))
        return false;
    return lest_utf8_is_valid(bytes->data, bytes->len) || pki_der_fail(&at, "%s is no UTF-8 text", what);
}

static bool read_number(struct pki_der *in, const char *what, struct pki_bytes *bytes)
{
    struct pki_der at = *in;
    if (!pki_der_integer(in, what, bytes))
        return false;
    return bytes->len <= NUMBER_MAX || pki_der_fail(&at, "%s has more than %d bytes", what, NUMBER_MAX);
}

/* PendInfo, or an extendedFailInfo, which both are sequences where they have no tag of their own (RFC 6402
 * has [1] for the second in one of its modules and none in the other). */
static bool read_more(struct pki_der *in, struct pki_cmc_value *value)
{
    struct pki_der body;
    if (!pki_der_read(in, PKI_DER_ANY, "the status's other information", &body))
        return false;
    if (pki_der_peek(&body) == PKI_DER_OID)
        return pki_der_oid(&body, "the extended failure", &value->extended) &&
               (body.left == 0 || pki_der_read(&body, PKI_DER_ANY, "the extended failure's value", NULL)) &&
               pki_der_end(&body, "the extended failure");
    return read_octets(&body, PKI_DER_OCTET_STRING, "the pending token", &value->token) &&
           pki_der_time(&body, "the pending time", &value->time) &&
           pki_der_end(&body, "the pending information");
}

static bool read_status(struct pki_der *in, struct pki_cmc_value *value)
{
    struct pki_der body;
    value->failure = -1;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "a status", &body) ||
        !pki_der_small(&body, "a status", &value->status) || !read_references(&body, value))
        return false;
    if (pki_der_peek(&body) == PKI_DER_UTF8_STRING && !read_text(&body, "a status's text", &value->bytes))
        return false;
    uint8_t next = pki_der_peek(&body);
    if (next == PKI_DER_INTEGER && !pki_der_small(&body, "the failure", &value->failure))
        return false;
    if (next != PKI_DER_INTEGER && body.left && !read_more(&body, value))
        return false;
    return pki_der_end(&body, "a status");
}

static bool read_name(struct pki_der *in, struct pki_bytes *name)
{
    struct pki_der_item item;
    if (!pki_der_item(in, PKI_DER_SEQUENCE, "the issuer", &item))
        return false;
    *name = item.whole;
    return pki_name_check(in->doc, item.whole.data, item.whole.len);
}

/* GetCert names the issuer by a GeneralName, CMCCertId by a Name. */
static bool read_cert(struct pki_der *in, struct pki_cmc_value *value)
{
    struct pki_der body, name;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "a certificate's name", &body))
        return false;
    if (pki_der_peek(&body) == DIRECTORY_NAME) {
        if (!pki_der_read(&body, DIRECTORY_NAME, "the issuer", &name) || !read_name(&name, &value->issuer) ||
            !pki_der_end(&name, "the issuer"))
            return false;
    } else if (!read_name(&body, &value->issuer)) {
        return false;
    }
    return read_number(&body, "the serial number", &value->serial) &&
           pki_der_end(&body, "a certificate's name");
}

/* The cRLName, a GeneralName, and the reasons tell parts of a CRL apart: they are checked and passed over. */
static bool read_crl(struct pki_der *in, struct pki_cmc_value *value)
{
    struct pki_der body;
    size_t elements = 64;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "a CRL's name", &body) || !read_name(&body, &value->issuer) ||
        !pki_der_check(body, "a CRL's name", 8, &elements))
        return false;
    if ((pki_der_peek(&body) & PKI_DER_CONTEXT) && !pki_der_read(&body, PKI_DER_ANY, "a CRL's name", NULL))
        return false;
    if (pki_der_peek(&body) == PKI_DER_GENERALIZED_TIME && !pki_der_time(&body, "a CRL's time", &value->time))
        return false;
    if (pki_der_peek(&body) == PKI_DER_BIT_STRING &&
        !pki_der_read(&body, PKI_DER_BIT_STRING, "a CRL's reasons", NULL))
        return false;
    return pki_der_end(&body, "a CRL's name");
}

static bool read_revocation(struct pki_der *in, struct pki_cmc_value *value)
{
    struct pki_der body, at;
    struct pki_der_item reason;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "a revocation", &body) || !read_name(&body, &value->issuer) ||
        !read_number(&body, "the serial number", &value->serial))
        return false;
    at = body;
    if (!pki_der_item(&body, PKI_DER_ENUMERATED, "the reason", &reason))
        return false;
    if (reason.body.len != 1 || reason.body.data[0] > 10)
        return pki_der_fail(&at, "the reason is none of RFC 5280 5.3.1");
    value->reason = reason.body.data[0];
    if (pki_der_peek(&body) == PKI_DER_GENERALIZED_TIME &&
        !pki_der_time(&body, "the date of invalidity", &value->time))
        return false;
    if (pki_der_peek(&body) == PKI_DER_OCTET_STRING &&
        !read_octets(&body, PKI_DER_OCTET_STRING, "the passphrase", &value->bytes))
        return false;
    if (body.left && !read_text(&body, "the comment", &value->comment))
        return false;
    return pki_der_end(&body, "a revocation");
}

static bool read_algorithm(struct pki_der *in, struct pki_bytes *oid)
{
    struct pki_der body;
    size_t elements = 64;
    return pki_der_read(in, PKI_DER_SEQUENCE, "an algorithm", &body) &&
           pki_der_check(body, "an algorithm", 8, &elements) && pki_der_oid(&body, "an algorithm", oid);
}

static bool read_mac(struct pki_der *in, struct pki_cmc_value *value)
{
    struct pki_der body;
    return pki_der_read(in, PKI_DER_SEQUENCE, "a witness", &body) && read_algorithm(&body, &value->digest) &&
           read_algorithm(&body, &value->mac) &&
           read_octets(&body, PKI_DER_OCTET_STRING, "a witness", &value->bytes) &&
           pki_der_end(&body, "a witness");
}

static bool read_witnessed(struct pki_der *in, struct pki_cmc_value *value)
{
    struct pki_der body;
    uint32_t data;
    return pki_der_read(in, PKI_DER_SEQUENCE, "a list of witnessed requests", &body) &&
           pki_cmc_id(&body, true, &data) && read_bodies(&body, value) &&
           pki_der_end(&body, "a list of witnessed requests");
}

bool pki_cmc_read_value(struct pki_der *in, enum pki_cmc_type type, struct pki_cmc_value *value)
{
    memset(value, 0, sizeof *value);
    switch (type) {
    case PKI_CMC_TEXT: return read_text(in, "a control's text", &value->bytes);
    case PKI_CMC_OCTETS: return read_octets(in, PKI_DER_OCTET_STRING, "a control's octets", &value->bytes);
    case PKI_CMC_NUMBER: return read_number(in, "a control's number", &value->bytes);
    case PKI_CMC_STATUS: return read_status(in, value);
    case PKI_CMC_BODIES: return read_bodies(in, value);
    case PKI_CMC_WITNESSED: return read_witnessed(in, value);
    case PKI_CMC_CERT: return read_cert(in, value);
    case PKI_CMC_CRL: return read_crl(in, value);
    case PKI_CMC_REVOCATION: return read_revocation(in, value);
    case PKI_CMC_MAC: return read_mac(in, value);
    case PKI_CMC_RAW: break;
    }
    return pki_der_read(in, PKI_DER_ANY, "a control's value", NULL);
}
