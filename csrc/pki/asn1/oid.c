#include "pki/asn1/oid.h"

#include "pki/error.h"

#include <openssl/objects.h>

#include <stdio.h>
#include <string.h>

static const struct pki_bytes known[] = {
#define X(name, text, der) [PKI_OID_##name] = { (const uint8_t *)(der), sizeof(der) - 1 },
    PKI_OIDS(X)
#undef X
};
_Static_assert(sizeof known / sizeof *known == PKI_OID_COUNT, "every identifier has its bytes");

bool pki_oid_is(struct pki_bytes contents, enum pki_oid oid)
{
    return contents.len == known[oid].len && memcmp(contents.data, known[oid].data, contents.len) == 0;
}

/* The decimal digits of one base-128 arc of up to 19 octets. */
static size_t arc_text(const uint8_t *data, size_t len, unsigned minus, char out[48])
{
    uint8_t digits[48] = { 0 };
    size_t count = 1;
    for (size_t i = 0; i < len; i++) {
        unsigned carry = data[i] & 0x7f;
        for (size_t j = 0; j < count; j++) {
            carry += digits[j] * 128u;
            digits[j] = (uint8_t)(carry % 10);
            carry /= 10;
        }
        for (; carry; carry /= 10)
            digits[count++] = (uint8_t)(carry % 10);
    }
    for (size_t j = 0; minus; j++) {
        int digit = digits[j] - (int)(minus % 10);
        minus /= 10;
        if (digit < 0) {
            digit += 10;
            minus++;
        }
        digits[j] = (uint8_t)digit;
    }
    while (count > 1 && digits[count - 1] == 0)
        count--;
    for (size_t j = 0; j < count; j++)
        out[j] = (char)('0' + digits[count - 1 - j]);
    return count;
}

void pki_oid_text(struct pki_bytes contents, char text[PKI_OID_TEXT_MAX])
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < contents.len;) {
        size_t len = 1;
        char arc[48];
        while (i + len < contents.len && contents.data[i + len - 1] & 0x80)
            len++;
        unsigned top = i > 0 ? 3 : len > 1 || contents.data[0] >= 80 ? 2 : contents.data[0] / 40u;
        size_t digits = arc_text(contents.data + i, len, top < 3 ? top * 40 : 0, arc);
        if (used + digits + 4 > PKI_OID_TEXT_MAX) {
            text[0] = '\0';
            return;
        }
        if (top < 3)
            text[used++] = (char)('0' + top);
        text[used++] = '.';
        memcpy(text + used, arc, digits);
        used += digits;
        text[used] = '\0';
        i += len;
    }
}

int pki_oid_nid(struct pki_bytes contents)
{
    uint8_t der[2 + PKI_OID_MAX];
    if (!pki_der_oid_valid(contents))
        return NID_undef;
    der[0] = PKI_DER_OID;
    der[1] = (uint8_t)contents.len;
    memcpy(der + 2, contents.data, contents.len);
    const uint8_t *at = der;
    pki_error_mark();
    ASN1_OBJECT *object = d2i_ASN1_OBJECT(NULL, &at, (long)contents.len + 2);
    int nid = object ? OBJ_obj2nid(object) : NID_undef;
    ASN1_OBJECT_free(object);
    pki_error_back();
    return nid;
}

/* What OpenSSL has no name for. */
static const struct {
    enum pki_oid oid;
    const char *name;
} named[] = {
    { PKI_OID_OTP_CHALLENGE, "otpChallenge" },
    { PKI_OID_REVOCATION_CHALLENGE, "revocationChallenge" },
    { PKI_OID_EST_IDENTITY_LINKING, "estIdentityLinking" },
};
enum { NAMED_COUNT = sizeof named / sizeof *named };

const char *pki_oid_name(struct pki_bytes contents)
{
    int nid = pki_oid_nid(contents);
    if (nid != NID_undef)
        return OBJ_nid2sn(nid);
    for (size_t i = 0; i < NAMED_COUNT; i++)
        if (pki_oid_is(contents, named[i].oid))
            return named[i].name;
    return NULL;
}

void pki_oid_describe(struct pki_bytes contents, char text[PKI_OID_TEXT_MAX])
{
    const char *name = pki_oid_name(contents);
    if (name)
        snprintf(text, PKI_OID_TEXT_MAX, "%s", name);
    else
        pki_oid_text(contents, text);
}

/* One decimal arc, plus `add`, appended in base 128. */
static bool put_arc(const char **at, const char *end, unsigned add, struct lest_buf *out)
{
    uint8_t digits[19] = { (uint8_t)(add & 0x7f) };
    size_t count = 1;
    const char *start = *at;
    /* (n + add) is built as ((..)*10 + d), with add put in at the last digit */
    memset(digits, 0, sizeof digits);
    for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
        unsigned carry = (unsigned)(**at - '0');
        if (*at + 1 == end || (*at)[1] == '.')
            carry += add;
        for (size_t j = 0; j < count || carry; j++) {
            if (j == sizeof digits)
                return false;
            carry += digits[j] * 10u;
            digits[j] = carry & 0x7f;
            carry >>= 7;
            count = j + 1 > count ? j + 1 : count;
        }
    }
    if (*at == start || (*start == '0' && *at - start > 1) || (*at < end && **at != '.'))
        return false;
    while (count--)
        lest_buf_append_byte(out, (uint8_t)(digits[count] | (count ? 0x80 : 0)));
    return true;
}

static bool put_dotted(const char *text, size_t len, struct lest_buf *out)
{
    const char *at = text + 2, *end = text + len;
    if (len < 3 || text[0] < '0' || text[0] > '2' || text[1] != '.')
        return false;
    unsigned top = (unsigned)(text[0] - '0') * 40;
    /* Below 0 and 1 the second arc is at most 39. */
    size_t digits = 0;
    while (at + digits < end && at[digits] != '.')
        digits++;
    if (top < 80 && (digits > 2 || (digits == 2 && at[0] > '3')))
        return false;
    for (unsigned add = top;; add = 0) {
        if (!put_arc(&at, end, add, out))
            return false;
        if (at == end)
            return true;
        at++;
    }
}

enum lest_status pki_oid_parse(const char *text, size_t len, struct lest_buf *out, struct lest_error *err)
{
    char name[PKI_OID_TEXT_MAX];
    if (len == 0 || len >= sizeof name || memchr(text, '\0', len))
        return lest_error_set(err, LEST_E_MALFORMED, "an object identifier is empty or too long");
    memcpy(name, text, len);
    name[len] = '\0';
    if (name[0] >= '0' && name[0] <= '2' && name[1] == '.') {
        size_t mark = out->len;
        bool ok = put_dotted(text, len, out);
        if (lest_buf_status(out, err))
            return out->too_large ? LEST_E_TOO_LARGE : LEST_E_NOMEM;
        if (!ok || out->len - mark > PKI_OID_MAX) {
            out->len = mark;
            return lest_error_set(err, LEST_E_MALFORMED, "'%s' is no object identifier", name);
        }
        return LEST_OK;
    }
    for (size_t i = 0; i < NAMED_COUNT; i++)
        if (strcmp(name, named[i].name) == 0) {
            lest_buf_append(out, known[named[i].oid].data, known[named[i].oid].len);
            return lest_buf_status(out, err);
        }
    pki_error_mark();
    int nid = OBJ_sn2nid(name);
    if (nid == NID_undef)
        nid = OBJ_ln2nid(name);
    const ASN1_OBJECT *object = nid == NID_undef ? NULL : OBJ_nid2obj(nid);
    pki_error_back();
    if (!object || OBJ_length(object) == 0)
        return lest_error_set(err, LEST_E_MALFORMED, "'%s' is no object identifier and no name of one", name);
    lest_buf_append(out, OBJ_get0_data(object), OBJ_length(object));
    return lest_buf_status(out, err);
}

void pki_oid_put(struct lest_buf *out, enum pki_oid oid)
{
    pki_der_put(out, PKI_DER_OID, known[oid].data, known[oid].len);
}

enum lest_status pki_oid_put_text(struct lest_buf *out, const char *text, size_t len, struct lest_error *err)
{
    size_t mark = pki_der_put_open(out, PKI_DER_OID);
    enum lest_status status = pki_oid_parse(text, len, out, err);
    if (status == LEST_OK)
        pki_der_put_close(out, mark);
    return status;
}
