#include "pki/asn1/san.h"

#include "base/hex.h"
#include "pki/asn1/name.h"
#include "pki/asn1/string.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    OTHER_NAME = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 0,
    EMAIL = PKI_DER_CONTEXT | 1,
    DNS = PKI_DER_CONTEXT | 2,
    X400_ADDRESS = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 3,
    DIRECTORY_NAME = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 4,
    EDI_PARTY = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 5,
    URI = PKI_DER_CONTEXT | 6,
    IP = PKI_DER_CONTEXT | 7,
    REGISTERED_ID = PKI_DER_CONTEXT | 8
};

static const struct {
    const char *prefix;
    uint8_t tag;
} kinds[] = {
    { "DNS:", DNS },
    { "IP:", IP },
    { "email:", EMAIL },
    { "URI:", URI },
    { "dirName:", DIRECTORY_NAME },
    { "RID:", REGISTERED_ID },
    { "otherName:", OTHER_NAME },
    /* these two are read, and not given to a certificate */
    { "x400:", X400_ADDRESS },
    { "ediParty:", EDI_PARTY },
};
enum { KINDS = sizeof kinds / sizeof *kinds, ISSUED = KINDS - 2 };

const char *pki_san_type(size_t i)
{
    return i < ISSUED ? kinds[i].prefix : NULL;
}

void pki_san_open(struct pki_san_reader *reader, struct pki_der_doc *doc, const uint8_t *der, size_t len)
{
    struct pki_der in;
    *reader = (struct pki_san_reader){ .names = { .doc = doc } };
    pki_der_open(&in, doc, der, len);
    if (len > PKI_SAN_MAX) {
        pki_der_fail(&in, "the alternative names are longer than %d bytes", PKI_SAN_MAX);
        return;
    }
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the list of alternative names", &reader->names) ||
        !pki_der_end(&in, "the list of alternative names")) {
        reader->names.left = 0;
        return;
    }
    /* "GeneralNames ::= SEQUENCE SIZE (1..MAX) OF GeneralName" */
    if (reader->names.left == 0)
        pki_der_fail(&reader->names, "the list of alternative names is empty");
}

static bool read_ip(struct pki_der *at, const struct pki_der_item *item, struct lest_buf *text)
{
    char address[INET6_ADDRSTRLEN];
    if (item->body.len != 4 && item->body.len != 16)
        return pki_der_fail(at, "an IP address has %zu bytes", item->body.len);
    inet_ntop(item->body.len == 4 ? AF_INET : AF_INET6, item->body.data, address, sizeof address);
    lest_buf_append_str(text, address);
    return true;
}

static bool read_directory_name(struct pki_der *at, const struct pki_der_item *item, struct lest_buf *text)
{
    if (!pki_name_check(at->doc, item->body.data, item->body.len))
        return false;
    /* A name that was checked, and cannot be printed: memory is short. */
    return pki_name_print(item->body.data, item->body.len, PKI_NAME_DER, text) ||
           pki_der_fail_as(at, LEST_E_NOMEM, "no memory for a directory name");
}

static bool read_other_name(struct pki_der *at, const struct pki_der_item *item, struct lest_buf *text)
{
    char oid[PKI_OID_TEXT_MAX];
    struct pki_bytes type;
    struct pki_der in, wrapped;
    struct pki_der_item value;
    size_t count = 256;
    pki_der_enter(at, item, &in);
    if (!pki_der_oid(&in, "the type of an otherName", &type) ||
        !pki_der_read(&in, PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED, "the value of an otherName", &wrapped) ||
        !pki_der_end(&in, "an otherName") ||
        !pki_der_check(wrapped, "the value of an otherName", 16, &count) ||
        !pki_der_item(&wrapped, PKI_DER_ANY, "the value of an otherName", &value) ||
        !pki_der_end(&wrapped, "the value of an otherName"))
        return false;
    pki_oid_text(type, oid);
    lest_buf_append_str(text, oid);
    lest_buf_append_byte(text, ';');
    lest_hex_append(text, value.whole.data, value.whole.len);
    return true;
}

static bool read_value(struct pki_der *at, const struct pki_der_item *item, struct lest_buf *text)
{
    char oid[PKI_OID_TEXT_MAX];
    switch (item->tag) {
    case EMAIL:
    case DNS:
    case URI:
        /* RFC 5280 4.2.1.6: "the string ' '" and empty names are not names either. */
        if (item->body.len == 0 || !pki_string_is_visible(item->body.data, item->body.len, false))
            return pki_der_fail(at, "an alternative name is empty or has characters it may not have");
        lest_buf_append(text, item->body.data, item->body.len);
        return true;
    case IP: return read_ip(at, item, text);
    case DIRECTORY_NAME: return read_directory_name(at, item, text);
    case OTHER_NAME: return read_other_name(at, item, text);
    case REGISTERED_ID:
        if (!pki_der_oid_valid(item->body))
            return pki_der_fail(at, "a registered identifier is malformed");
        pki_oid_text(item->body, oid);
        lest_buf_append_str(text, oid);
        return true;
    default: lest_hex_append(text, item->body.data, item->body.len); return true;
    }
}

static bool read_name(struct pki_der *at, const struct pki_der_item *item, struct lest_buf *text)
{
    size_t kind = 0;
    while (kind < KINDS && kinds[kind].tag != item->tag)
        kind++;
    if (kind == KINDS)
        return pki_der_fail(at, "an alternative name has the unknown tag 0x%02x", item->tag);
    text->len = 0;
    lest_buf_append_str(text, kinds[kind].prefix);
    return read_value(at, item, text);
}

static const uint8_t no_name[] = { 0x30, 0x00 };

bool pki_san_is_open(const struct pki_der_item *name)
{
    switch (name->tag) {
    case EMAIL:
    case DNS:
    case URI:
    case IP: return name->body.len == 0;
    case DIRECTORY_NAME: return pki_bytes_equal(name->body, (struct pki_bytes){ no_name, sizeof no_name });
    default: return false;
    }
}

static void show_opening(const struct pki_der_item *item, struct lest_buf *text)
{
    text->len = 0;
    for (size_t kind = 0; kind < KINDS; kind++)
        if (kinds[kind].tag == item->tag)
            lest_buf_append_str(text, kinds[kind].prefix);
}

/* What stands for nothing, for a person: as it is if that is plain ASCII, else in hex. */
static void show_unusable(const struct pki_der_item *item, struct lest_buf *text)
{
    text->len = 0;
    for (size_t kind = 0; kind < KINDS; kind++)
        if (kinds[kind].tag == item->tag)
            lest_buf_append_str(text, kinds[kind].prefix);
    if (text->len == 0)
        lest_buf_append_fmt(text, "[0x%02x]:", item->tag);
    if (!(item->tag & PKI_DER_CONSTRUCTED) && pki_string_is_visible(item->body.data, item->body.len, true)) {
        lest_buf_append(text, item->body.data, item->body.len);
        return;
    }
    lest_buf_append_byte(text, '#');
    lest_hex_append(text, item->body.data, item->body.len);
}

/* As read_name where a name that cannot be used is no error: its fault is not the document's. */
static bool try_name(struct pki_san_reader *reader, const struct pki_der *at, const struct pki_der_item *item,
                     struct lest_buf *text)
{
    struct pki_der_doc trial = { .noun = at->doc->noun,
                                 .malformed = at->doc->malformed,
                                 .start = at->doc->start };
    struct pki_der there = { at->at, at->left, &trial };
    reader->unusable = !read_name(&there, item, text);
    if (reader->unusable && trial.status == LEST_E_NOMEM)
        at->doc->status = lest_error_set(at->doc->err, LEST_E_NOMEM, "out of memory");
    else if (reader->unusable)
        show_unusable(item, text);
    return !reader->unusable || pki_der_tolerates(&reader->names, PKI_FLAW_SAN);
}

bool pki_san_next(struct pki_san_reader *reader, struct lest_buf *text)
{
    struct pki_der_doc *doc = reader->names.doc;
    struct pki_der_item *item = &reader->item;
    if (doc->status != LEST_OK || reader->names.left == 0)
        return false;
    struct pki_der at = reader->names;
    if (++reader->count > PKI_SAN_NAMES_MAX)
        return pki_der_fail(&at, "there are more than %d alternative names", PKI_SAN_NAMES_MAX);
    if (!pki_der_item(&reader->names, PKI_DER_ANY, "an alternative name", item))
        return false;
    bool tolerant = doc->tolerated & PKI_FLAW_SAN;
    if (reader->openings && pki_san_is_open(item))
        show_opening(item, text);
    else if (!(tolerant ? try_name(reader, &at, item, text) : read_name(&at, item, text)))
        return false;
    if (text->failed)
        doc->status = lest_buf_status(text, doc->err);
    return doc->status == LEST_OK;
}

bool pki_san_check(struct pki_der_doc *doc, const uint8_t *der, size_t len)
{
    struct pki_san_reader reader;
    struct lest_buf text;
    lest_buf_init(&text, PKI_SAN_MAX * 4);
    pki_san_open(&reader, doc, der, len);
    while (pki_san_next(&reader, &text))
        ;
    lest_buf_free(&text);
    return doc->status == LEST_OK;
}

/* Letters, digits, '-' and, since devices have it, '_'; a wildcard as the whole first label. */
static bool valid_dns(const char *name, size_t len)
{
    size_t label = 0;
    if (len == 0 || len > 253)
        return false;
    if (len > 2 && name[0] == '*' && name[1] == '.') {
        name += 2;
        len -= 2;
    }
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool inner = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        if (c == '.' ? label == 0 || name[i - 1] == '-' : !inner && (c != '-' || label == 0))
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return label > 0 && name[len - 1] != '-';
}

static bool valid_email(const char *value, size_t len)
{
    const char *at = memchr(value, '@', len);
    return pki_string_is_visible(value, len, false) && at && at > value &&
           valid_dns(at + 1, len - (size_t)(at + 1 - value));
}

static bool valid_uri(const char *value, size_t len)
{
    const char *colon = memchr(value, ':', len);
    return pki_string_is_visible(value, len, false) && colon && colon > value && colon + 1 < value + len;
}

static bool put_ip(struct lest_buf *out, const char *value, size_t len)
{
    char address[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    if (len >= sizeof address || memchr(value, '\0', len))
        return false;
    memcpy(address, value, len);
    address[len] = '\0';
    bool v6 = strchr(address, ':') != NULL;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, address, bytes) != 1)
        return false;
    pki_der_put(out, IP, bytes, v6 ? 16 : 4);
    return true;
}

static bool put_hex(struct lest_buf *out, const char *hex, size_t len)
{
    uint8_t *bytes = lest_buf_reserve(out, len / 2);
    if (!bytes || !lest_hex_decode(hex, len, bytes))
        return false;
    out->len += len / 2;
    return true;
}

static bool put_other_name(struct lest_buf *out, const char *value, size_t len, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "otherName", .malformed = LEST_E_SAN_MALFORMED };
    const char *semicolon = memchr(value, ';', len);
    if (!semicolon)
        return false;
    size_t oid_len = (size_t)(semicolon - value);
    size_t whole = pki_der_put_open(out, OTHER_NAME);
    if (pki_oid_put_text(out, value, oid_len, err))
        return false;
    size_t wrapped = pki_der_put_open(out, PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED);
    if (!put_hex(out, semicolon + 1, len - oid_len - 1) ||
        !pki_der_one(&doc, (struct pki_bytes){ out->data + wrapped, out->len - wrapped }, "value"))
        return false;
    pki_der_put_close(out, wrapped);
    pki_der_put_close(out, whole);
    return true;
}

/* An x400Address or ediPartyName: its contents in hex, as they are read. */
static bool put_elements(struct lest_buf *out, uint8_t tag, const char *value, size_t len)
{
    struct pki_der_doc doc = { .noun = "name", .malformed = LEST_E_SAN_MALFORMED };
    size_t mark = pki_der_put_open(out, tag);
    if (!len || !put_hex(out, value, len))
        return false;
    pki_der_put_close(out, mark);
    return !out->failed &&
           pki_der_one(&doc, (struct pki_bytes){ out->data + mark - 2, out->len - mark + 2 }, "value");
}

static bool put_directory_name(struct lest_buf *out, const char *value, size_t len, struct lest_error *err)
{
    size_t mark = pki_der_put_open(out, DIRECTORY_NAME);
    if (pki_name_parse(value, len, out, err) ||
        !pki_name_is_text((struct pki_bytes){ out->data + mark, out->len - mark }))
        return false;
    pki_der_put_close(out, mark);
    return true;
}

static bool put_registered_id(struct lest_buf *out, const char *value, size_t len, struct lest_error *err)
{
    size_t mark = pki_der_put_open(out, REGISTERED_ID);
    if (pki_oid_parse(value, len, out, err))
        return false;
    pki_der_put_close(out, mark);
    return true;
}

static bool put_value(struct lest_buf *out, uint8_t tag, const char *value, size_t len,
                      struct lest_error *err)
{
    switch (tag) {
    case DNS:
        if (!valid_dns(value, len))
            return false;
        break;
    case EMAIL:
        if (!valid_email(value, len))
            return false;
        break;
    case URI:
        if (!valid_uri(value, len))
            return false;
        break;
    case IP: return put_ip(out, value, len);
    case OTHER_NAME: return put_other_name(out, value, len, err);
    case DIRECTORY_NAME: return put_directory_name(out, value, len, err);
    case X400_ADDRESS:
    case EDI_PARTY: return put_elements(out, tag, value, len);
    default: return put_registered_id(out, value, len, err);
    }
    pki_der_put(out, tag, value, len);
    return true;
}

static bool put_opening(struct lest_buf *out, uint8_t tag)
{
    struct pki_der_item opening = { .tag = tag };
    if (tag == DIRECTORY_NAME)
        opening.body = (struct pki_bytes){ no_name, sizeof no_name };
    if (!pki_san_is_open(&opening))
        return false;
    pki_der_put(out, tag, opening.body.data, opening.body.len);
    return true;
}

static enum lest_status put_name(struct lest_buf *out, const char *text, size_t len, bool openings,
                                 struct lest_error *err)
{
    struct lest_error why = { .status = LEST_OK };
    /* For the error; a NUL would end it. */
    char shown[101];
    size_t shown_len = len < sizeof shown ? len : sizeof shown - 1;
    memcpy(shown, text, shown_len);
    for (size_t i = 0; i < shown_len; i++)
        if (!shown[i])
            shown[i] = '?';
    shown[shown_len] = '\0';
    for (size_t i = 0; i < KINDS; i++) {
        size_t prefix = strlen(kinds[i].prefix);
        if (len < prefix || strncasecmp(text, kinds[i].prefix, prefix) != 0)
            continue;
        if (openings && len == prefix && put_opening(out, kinds[i].tag))
            return lest_buf_status(out, err);
        if (put_value(out, kinds[i].tag, text + prefix, len - prefix, &why) || out->failed)
            return lest_buf_status(out, err);
        if (why.status == LEST_E_NOMEM)
            return lest_error_set(err, LEST_E_NOMEM, "out of memory");
        return lest_error_set(err, LEST_E_SAN_MALFORMED, "alternative name '%s' is malformed%s%s", shown,
                              why.status ? ": " : "", why.status ? why.message : "");
    }
    return lest_error_set(err, LEST_E_SAN_MALFORMED,
                          "alternative name '%s' does not begin with DNS:, IP:, email:, URI:, dirName:, "
                          "RID:, otherName:, x400: or ediParty:",
                          shown);
}

static enum lest_status encode(const struct pki_bytes *texts, size_t count, bool openings,
                               struct lest_buf *out, struct lest_error *err)
{
    if (count == 0)
        return lest_error_set(err, LEST_E_SAN_MALFORMED, "a list of alternative names has at least one");
    if (count > PKI_SAN_NAMES_MAX)
        return lest_error_set(err, LEST_E_SAN_MALFORMED, "more than %d alternative names", PKI_SAN_NAMES_MAX);
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    for (size_t i = 0; i < count; i++) {
        enum lest_status status = put_name(out, (const char *)texts[i].data, texts[i].len, openings, err);
        if (status)
            return status;
    }
    pki_der_put_close(out, mark);
    return lest_buf_status(out, err);
}

enum lest_status pki_san_encode(const struct pki_bytes *texts, size_t count, struct lest_buf *out,
                                struct lest_error *err)
{
    return encode(texts, count, false, out, err);
}

enum lest_status pki_san_encode_open(const struct pki_bytes *texts, size_t count, struct lest_buf *out,
                                     struct lest_error *err)
{
    return encode(texts, count, true, out, err);
}

bool pki_san_is_same(const struct pki_der_item *a, const struct pki_der_item *b)
{
    if (a->tag != b->tag)
        return false;
    if (a->tag == DIRECTORY_NAME)
        return pki_name_equal(a->body, b->body);
    if (a->tag == DNS && a->body.len == b->body.len)
        return strncasecmp((const char *)a->body.data, (const char *)b->body.data, a->body.len) == 0;
    return pki_bytes_equal(a->body, b->body);
}

static bool read_items(struct pki_bytes der, struct pki_der_item items[PKI_SAN_NAMES_MAX], size_t *count)
{
    struct pki_der_doc doc = { .noun = "names", .malformed = LEST_E_SAN_MALFORMED };
    struct pki_san_reader reader;
    pki_san_open(&reader, &doc, der.data, der.len);
    for (*count = 0; reader.names.left && doc.status == LEST_OK; ++*count)
        if (*count == PKI_SAN_NAMES_MAX || !pki_der_item(&reader.names, PKI_DER_ANY, "name", &items[*count]))
            return false;
    return doc.status == LEST_OK;
}

static bool subset(const struct pki_der_item *a, size_t a_count, const struct pki_der_item *b, size_t b_count)
{
    for (size_t i = 0; i < a_count; i++) {
        size_t j = 0;
        while (j < b_count && !pki_san_is_same(&a[i], &b[j]))
            j++;
        if (j == b_count)
            return false;
    }
    return true;
}

bool pki_san_equal(struct pki_bytes a, struct pki_bytes b)
{
    struct pki_der_item left[PKI_SAN_NAMES_MAX], right[PKI_SAN_NAMES_MAX];
    size_t left_count, right_count;
    if (pki_bytes_equal(a, b))
        return true;
    if (!a.data || !b.data || !read_items(a, left, &left_count) || !read_items(b, right, &right_count))
        return false;
    return subset(left, left_count, right, right_count) && subset(right, right_count, left, left_count);
}
