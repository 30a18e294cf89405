#include "pki/asn1/der.h"

#include "base/calendar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool pki_bytes_equal(struct pki_bytes a, struct pki_bytes b)
{
    if (!a.data || !b.data)
        return !a.data && !b.data;
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool fail_at(struct pki_der_doc *doc, const uint8_t *at, const char *what, const char *problem)
{
    if (doc->status == LEST_OK)
        doc->status = lest_error_set(doc->err, doc->malformed, "%s: %s %s at byte %zu", doc->noun, what,
                                     problem, (size_t)(at - doc->start));
    return false;
}

__attribute__((format(printf, 3, 0))) static bool fail_with(struct pki_der *in, enum lest_status status,
                                                            const char *format, va_list args)
{
    struct pki_der_doc *doc = in->doc;
    char text[200];
    if (doc->status != LEST_OK)
        return false;
    vsnprintf(text, sizeof text, format, args);
    doc->status = lest_error_set(doc->err, status, "%s: %s at byte %zu", doc->noun, text,
                                 (size_t)(in->at - doc->start));
    return false;
}

/* The names in parentheses: the header has macros of them for the analyzer. */
bool(pki_der_fail)(struct pki_der *in, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_with(in, in->doc->malformed, format, args);
    va_end(args);
    return false;
}

bool(pki_der_fail_as)(struct pki_der *in, enum lest_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_with(in, status, format, args);
    va_end(args);
    return false;
}

static const char *const flaws[] = {
    "a BOOLEAN is neither 00 nor FF (X.690 11.1)",
    "the version is not 0 (RFC 2986 4.1)",
    "the value of an extension is not DER (RFC 5280 4.1)",
    "an alternative name cannot be used (RFC 5280 4.2.1.6)",
    "a name has characters that their type does not allow (RFC 5280 4.1.2.4)",
};
_Static_assert(sizeof flaws / sizeof *flaws == PKI_FLAWS, "every flaw has its sentence");

const char *pki_flaw_text(unsigned i)
{
    return i < PKI_FLAWS ? flaws[i] : NULL;
}

bool pki_der_tolerates(struct pki_der *in, enum pki_flaw flaw)
{
    if (!(in->doc->tolerated & flaw))
        return false;
    in->doc->flaws |= flaw;
    return true;
}

void pki_der_open(struct pki_der *in, struct pki_der_doc *doc, const void *data, size_t len)
{
    if (!doc->start)
        doc->start = data;
    *in = (struct pki_der){ .at = data, .left = len, .doc = doc };
}

uint8_t pki_der_peek(const struct pki_der *in)
{
    return in->left ? in->at[0] : 0;
}

/* The shortest form only (X.690 8.1.2.4); the number is not kept. */
static bool skip_tag_number(const struct pki_der *in, const char *what, size_t *pos)
{
    size_t start = *pos;
    while (*pos < in->left && in->at[*pos] & 0x80)
        ++*pos;
    if (*pos >= in->left)
        return fail_at(in->doc, in->at, what, "is cut off");
    ++*pos;
    bool small = *pos - start == 1 && in->at[start] < 31;
    if (in->at[start] == 0x80 || small || *pos - start > 4)
        return fail_at(in->doc, in->at, what, "has a malformed tag");
    return true;
}

bool pki_der_item(struct pki_der *in, uint8_t tag, const char *what, struct pki_der_item *item)
{
    const uint8_t *at = in->at;
    struct pki_der_doc *doc = in->doc;
    if (in->left == 0)
        return fail_at(doc, at, what, "is missing");
    if (tag != PKI_DER_ANY && at[0] != tag) {
        char problem[64];
        snprintf(problem, sizeof problem, "has tag 0x%02x instead of 0x%02x", at[0], tag);
        return fail_at(doc, at, what, problem);
    }
    size_t pos = 1;
    if (at[0] == 0)
        return fail_at(doc, at, what, "has tag 0");
    if ((at[0] & 0x1f) == 0x1f && !skip_tag_number(in, what, &pos))
        return false;
    if (pos >= in->left)
        return fail_at(doc, at, what, "is cut off");
    size_t len = at[pos++];
    if (len == 0x80)
        return fail_at(doc, at, what, "has an indefinite length");
    if (len > 0x80) {
        size_t octets = len & 0x7f;
        if (octets > 4)
            return fail_at(doc, at, what, "has a length beyond all bounds");
        if (octets > in->left - pos)
            return fail_at(doc, at, what, "is cut off");
        bool shortest = at[pos] != 0;
        len = 0;
        while (octets--)
            len = len << 8 | at[pos++];
        if (!shortest || len < 0x80)
            return fail_at(doc, at, what, "has a length not in its shortest form");
    }
    if (len > in->left - pos)
        return fail_at(doc, at, what, "is cut off");
    item->tag = at[0];
    item->whole = (struct pki_bytes){ at, pos + len };
    item->body = (struct pki_bytes){ at + pos, len };
    in->at += pos + len;
    in->left -= pos + len;
    return true;
}

void pki_der_enter(const struct pki_der *in, const struct pki_der_item *item, struct pki_der *body)
{
    *body = (struct pki_der){ .at = item->body.data, .left = item->body.len, .doc = in->doc };
}

bool pki_der_read(struct pki_der *in, uint8_t tag, const char *what, struct pki_der *body)
{
    struct pki_der_item item;
    if (!pki_der_item(in, tag, what, &item))
        return false;
    if (body)
        pki_der_enter(in, &item, body);
    return true;
}

bool pki_der_end(struct pki_der *in, const char *what)
{
    return in->left == 0 || fail_at(in->doc, in->at, what, "is followed by more data");
}

bool pki_der_boolean(struct pki_der *in, const char *what, bool *value)
{
    struct pki_der_item item;
    if (!pki_der_item(in, PKI_DER_BOOLEAN, what, &item))
        return false;
    bool is_der = item.body.len == 1 && (item.body.data[0] == 0 || item.body.data[0] == 0xff);
    if (!is_der && !(item.body.len == 1 && pki_der_tolerates(in, PKI_FLAW_BOOLEAN)))
        return fail_at(in->doc, item.whole.data, what, "is no DER boolean");
    *value = item.body.data[0] != 0;
    return true;
}

bool pki_der_integer(struct pki_der *in, const char *what, struct pki_bytes *value)
{
    struct pki_der_item item;
    if (!pki_der_item(in, PKI_DER_INTEGER, what, &item))
        return false;
    const uint8_t *d = item.body.data;
    size_t len = item.body.len;
    if (len == 0)
        return fail_at(in->doc, item.whole.data, what, "is an empty integer");
    if (len > 1 && ((d[0] == 0 && d[1] < 0x80) || (d[0] == 0xff && d[1] >= 0x80)))
        return fail_at(in->doc, item.whole.data, what, "is an integer not in its shortest form");
    *value = item.body;
    return true;
}

bool pki_der_small(struct pki_der *in, const char *what, int64_t *value)
{
    struct pki_bytes bytes;
    const uint8_t *at = in->at;
    if (!pki_der_integer(in, what, &bytes))
        return false;
    if (bytes.data[0] & 0x80)
        return fail_at(in->doc, at, what, "is negative");
    if (bytes.len > 8)
        return fail_at(in->doc, at, what, "is too large");
    *value = 0;
    for (size_t i = 0; i < bytes.len; i++)
        *value = *value << 8 | bytes.data[i];
    return true;
}

bool pki_der_oid_valid(struct pki_bytes contents)
{
    if (contents.len == 0 || contents.len > PKI_OID_MAX || contents.data[contents.len - 1] & 0x80)
        return false;
    size_t digits = 0;
    for (size_t i = 0; i < contents.len; i++) {
        if (digits == 0 && contents.data[i] == 0x80)
            return false;
        digits++;
        /* An arc of more than 63 bits: none is in use but the 128 bits of UUIDs below 2.25. */
        if (digits > 19)
            return false;
        if (!(contents.data[i] & 0x80))
            digits = 0;
    }
    return true;
}

bool pki_der_oid(struct pki_der *in, const char *what, struct pki_bytes *value)
{
    struct pki_der_item item;
    if (!pki_der_item(in, PKI_DER_OID, what, &item))
        return false;
    if (!pki_der_oid_valid(item.body))
        return fail_at(in->doc, item.whole.data, what, "is a malformed object identifier");
    *value = item.body;
    return true;
}

bool pki_der_bits(struct pki_der *in, const char *what, struct pki_bytes *value, unsigned *unused)
{
    struct pki_der_item item;
    if (!pki_der_item(in, PKI_DER_BIT_STRING, what, &item))
        return false;
    const uint8_t *d = item.body.data;
    size_t len = item.body.len;
    if (len == 0 || d[0] > 7 || (len == 1 && d[0] != 0) || (d[len - 1] & ((1u << d[0]) - 1) && len > 1))
        return fail_at(in->doc, item.whole.data, what, "is a malformed bit string");
    *unused = d[0];
    *value = (struct pki_bytes){ d + 1, len - 1 };
    return true;
}

static bool read_time(const struct pki_der_item *item, int64_t *seconds)
{
    const uint8_t *d = item->body.data;
    size_t year_digits = item->tag == PKI_DER_UTC_TIME ? 2 : 4;
    if (item->body.len != year_digits + 11 || d[item->body.len - 1] != 'Z')
        return false;
    for (size_t i = 0; i + 1 < item->body.len; i++)
        if (d[i] < '0' || d[i] > '9')
            return false;
    struct lest_calendar date = { .year = 0 };
    for (size_t i = 0; i < year_digits; i++)
        date.year = date.year * 10 + (*d++ - '0');
    if (year_digits == 2)
        date.year += date.year < 50 ? 2000 : 1900;
    int *const parts[] = { &date.month, &date.day, &date.hour, &date.minute, &date.second };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++, d += 2)
        *parts[i] = (d[0] - '0') * 10 + d[1] - '0';
    return date.second < 60 && lest_calendar_to_s(&date, seconds);
}

bool pki_der_time(struct pki_der *in, const char *what, int64_t *seconds)
{
    struct pki_der_item item;
    uint8_t tag = pki_der_peek(in) == PKI_DER_GENERALIZED_TIME ? PKI_DER_GENERALIZED_TIME : PKI_DER_UTC_TIME;
    if (!pki_der_item(in, tag, what, &item))
        return false;
    return read_time(&item, seconds) || fail_at(in->doc, item.whole.data, what, "is no valid time");
}

bool pki_der_check(struct pki_der in, const char *what, unsigned depth, size_t *count)
{
    while (in.left) {
        struct pki_der_item item;
        struct pki_der body;
        const uint8_t *at = in.at;
        if (!pki_der_item(&in, PKI_DER_ANY, what, &item))
            return false;
        if (*count == 0)
            return fail_at(in.doc, at, what, "has too many elements");
        --*count;
        if (!(item.tag & PKI_DER_CONSTRUCTED))
            continue;
        if (depth == 0)
            return fail_at(in.doc, at, what, "is nested too deeply");
        pki_der_enter(&in, &item, &body);
        if (!pki_der_check(body, what, depth - 1, count))
            return false;
    }
    return true;
}

static size_t length_octets(size_t len, uint8_t octets[5])
{
    if (len < 0x80) {
        octets[0] = (uint8_t)len;
        return 1;
    }
    size_t count = len > 0xffffff ? 4 : len > 0xffff ? 3 : len > 0xff ? 2 : 1;
    octets[0] = (uint8_t)(0x80 | count);
    for (size_t i = 0; i < count; i++)
        octets[1 + i] = (uint8_t)(len >> 8 * (count - 1 - i));
    return count + 1;
}

size_t pki_der_put_open(struct lest_buf *out, uint8_t tag)
{
    /* One octet of length for now: most elements are short, the others are moved once when closed. */
    uint8_t head[2] = { tag, 0 };
    lest_buf_append(out, head, sizeof head);
    return out->len;
}

void pki_der_put_close(struct lest_buf *out, size_t mark)
{
    uint8_t octets[5];
    if (out->failed)
        return;
    size_t len = out->len - mark, count = length_octets(len, octets);
    if (count > 1) {
        if (!lest_buf_reserve(out, count - 1))
            return;
        memmove(out->data + mark + count - 1, out->data + mark, len);
        out->len += count - 1;
    }
    memcpy(out->data + mark - 1, octets, count);
}

void pki_der_put(struct lest_buf *out, uint8_t tag, const void *data, size_t len)
{
    uint8_t octets[5];
    lest_buf_append_byte(out, tag);
    lest_buf_append(out, octets, length_octets(len, octets));
    lest_buf_append(out, data, len);
}

void pki_der_put_boolean(struct lest_buf *out, bool value)
{
    pki_der_put(out, PKI_DER_BOOLEAN, value ? "\xff" : "\0", 1);
}

void pki_der_put_unsigned(struct lest_buf *out, uint8_t tag, const uint8_t *data, size_t len)
{
    while (len > 1 && data[0] == 0) {
        data++;
        len--;
    }
    size_t mark = pki_der_put_open(out, tag);
    if (len == 0 || data[0] & 0x80)
        lest_buf_append_byte(out, 0);
    lest_buf_append(out, data, len);
    pki_der_put_close(out, mark);
}

void pki_der_put_small(struct lest_buf *out, int64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)value >> 8 * (7 - i));
    pki_der_put_unsigned(out, PKI_DER_INTEGER, bytes, sizeof bytes);
}

void pki_der_put_named_bits(struct lest_buf *out, unsigned bits)
{
    uint8_t body[1 + sizeof bits] = { 0 };
    size_t len = 1;
    for (unsigned bit = 0; bit < 8 * sizeof bits; bit++)
        if (bits >> bit & 1) {
            body[1 + bit / 8] |= (uint8_t)(0x80 >> bit % 8);
            len = 2 + bit / 8;
            body[0] = (uint8_t)(7 - bit % 8);
        }
    pki_der_put(out, PKI_DER_BIT_STRING, body, len);
}

static void put_time(struct lest_buf *out, int64_t seconds, bool always_generalized)
{
    /* 1950-01-01 and 9999-12-31T23:59:59: what the two types can say (RFC 5280 4.1.2.5). */
    if (seconds < -631152000 || seconds > 253402300799) {
        out->failed = true;
        return;
    }
    struct lest_calendar date = lest_calendar_from_s(seconds);
    char text[72];
    bool utc = date.year < 2050 && !always_generalized;
    snprintf(text, sizeof text, "%04d%02d%02d%02d%02d%02dZ", (int)date.year, date.month, date.day, date.hour,
             date.minute, date.second);
    const char *from = utc ? text + 2 : text;
    pki_der_put(out, utc ? PKI_DER_UTC_TIME : PKI_DER_GENERALIZED_TIME, from, strlen(from));
}

void pki_der_put_time(struct lest_buf *out, int64_t seconds)
{
    put_time(out, seconds, false);
}

void pki_der_put_generalized_time(struct lest_buf *out, int64_t seconds)
{
    put_time(out, seconds, true);
}

/* X.690 11.6: compared as octet strings, the shorter one padded with zeros at its end. */
static int compare_encodings(const void *left, const void *right)
{
    const struct pki_bytes *a = left, *b = right;
    int order = memcmp(a->data, b->data, a->len < b->len ? a->len : b->len);
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

void pki_der_put_sort(struct lest_buf *out, size_t mark)
{
    struct pki_der_doc doc = { .noun = "SET OF", .malformed = LEST_E_INTERNAL };
    struct pki_der in;
    struct pki_der_item item;
    size_t len = out->len - mark, count = 0;
    if (out->failed || len == 0)
        return;
    pki_der_open(&in, &doc, out->data + mark, len);
    while (in.left && pki_der_item(&in, PKI_DER_ANY, "member", &item))
        count++;
    struct pki_bytes *items = in.left ? NULL : malloc(count * sizeof *items + len);
    if (!items) {
        out->failed = true;
        return;
    }
    uint8_t *copy = memcpy(items + count, out->data + mark, len);
    pki_der_open(&in, &doc, copy, len);
    for (size_t i = 0; i < count && pki_der_item(&in, PKI_DER_ANY, "member", &item); i++)
        items[i] = item.whole;
    qsort(items, count, sizeof *items, compare_encodings);
    out->len = mark;
    for (size_t i = 0; i < count; i++)
        lest_buf_append(out, items[i].data, items[i].len);
    free(items);
}
