/* Names as text: RFC 4514 and the form with slashes. */
#include "pki/asn1/name.h"

#include "base/hex.h"

#include <string.h>
#include <strings.h>

/* Reads one value up to an unescaped separator or the end; appends its characters. */
static bool read_value(const char **at, const char *end, char separator, struct lest_buf *text,
                       struct lest_error *err)
{
    size_t kept = text->len; /* what trailing spaces are cut down to: escaped ones stay */
    for (; *at < end && **at != separator && **at != '+'; ++*at) {
        char c = **at;
        if (c == '\\') {
            if (++*at == end) {
                lest_error_set(err, LEST_E_NAME_MALFORMED, "name: ends with a backslash");
                return false;
            }
            int high = lest_hex_value(**at), low = end - *at > 1 ? lest_hex_value((*at)[1]) : -1;
            if (high >= 0 && low >= 0) {
                c = (char)(high << 4 | low);
                ++*at;
            } else {
                c = **at;
            }
            lest_buf_append_byte(text, (uint8_t)c);
            kept = text->len;
            continue;
        }
        lest_buf_append_byte(text, (uint8_t)c);
        if (c != ' ' || separator != ',')
            kept = text->len;
    }
    if (!text->failed)
        text->len = kept;
    return true;
}

struct parser {
    const char *text, *at, *end;
    char separator;
    bool more; /* a separator was read, or nothing yet: a part must follow */
    bool plus;
    struct lest_buf values;
};

/* Names of types are case-insensitive (RFC 4512 1.4): those of RFC 4514's table, and what else names of
 * devices have, as OpenSSL writes them. */
static void set_type(struct pki_name_part *part, const char *type, size_t len)
{
    static const char *const keywords[] = { "CN",  "L",      "ST",           "O",           "OU", "C", "DC",
                                            "UID", "street", "serialNumber", "emailAddress" };
    part->type = type;
    part->type_len = len;
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (strlen(keywords[i]) == len && strncasecmp(keywords[i], type, len) == 0)
            part->type = keywords[i];
}

/* Reads TYPE=VALUE and the separator behind it. */
static enum lest_status parse_part(struct parser *p, struct pki_name_part *part, struct lest_error *err)
{
    while (p->separator == ',' && p->at < p->end && *p->at == ' ')
        p->at++;
    const char *type = p->at;
    while (p->at < p->end && *p->at != '=' && *p->at != p->separator && *p->at != '+')
        p->at++;
    const char *type_end = p->at;
    while (p->separator == ',' && type_end > type && type_end[-1] == ' ')
        type_end--;
    if (p->at == p->end || *p->at != '=' || type_end == type)
        return lest_error_set(err, LEST_E_NAME_MALFORMED, "name: TYPE=VALUE is missing at character %zu",
                              (size_t)(type - p->text) + 1);
    p->at++;
    size_t from = p->values.len;
    *part = (struct pki_name_part){ .plus = p->plus };
    set_type(part, type, (size_t)(type_end - type));
    while (p->separator == ',' && p->at < p->end && *p->at == ' ')
        p->at++;
    part->der = p->separator == ',' && p->at < p->end && *p->at == '#';
    if (!read_value(&p->at, p->end, p->separator, &p->values, err))
        return LEST_E_NAME_MALFORMED;
    part->value_len = p->values.len - from;
    p->more = p->at < p->end;
    p->plus = p->more && *p->at == '+';
    p->at += p->more;
    return LEST_OK;
}

enum lest_status pki_name_parse(const char *text, size_t len, struct lest_buf *out, struct lest_error *err)
{
    struct pki_name_part parts[PKI_NAME_PARTS_MAX];
    size_t count = 0, from = 0;
    enum lest_status status = LEST_OK;
    if (len > PKI_NAME_MAX)
        return lest_error_set(err, LEST_E_NAME_MALFORMED, "name: longer than %d bytes", PKI_NAME_MAX);
    struct parser p = { .text = text, .at = text, .end = text + len, .separator = ',', .more = len != 0 };
    lest_buf_init(&p.values, PKI_NAME_MAX);
    if (len && *text == '/') {
        p.separator = '/';
        p.at++;
        p.more = len > 1;
    }
    for (; status == LEST_OK && p.more; count += status == LEST_OK)
        status = count < PKI_NAME_PARTS_MAX ? parse_part(&p, &parts[count], err)
                                            : lest_error_set(err, LEST_E_NAME_MALFORMED,
                                                             "name: more than %d parts", PKI_NAME_PARTS_MAX);
    if (status == LEST_OK)
        status = lest_buf_status(&p.values, err);
    for (size_t i = 0; status == LEST_OK && i < count; i++) {
        parts[i].value = p.values.data ? (const char *)p.values.data + from : "";
        from += parts[i].value_len;
    }
    if (status == LEST_OK)
        status = pki_name_encode(parts, count, out, err);
    lest_buf_free(&p.values);
    return status;
}

static void print_value(const struct pki_name_part *part, struct lest_buf *out)
{
    const char *value = part->value;
    size_t len = part->value_len;
    if (part->der) {
        lest_buf_append(out, value, len);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        char c = value[i];
        bool edge_space = c == ' ' && (i == 0 || i + 1 == len);
        if ((uint8_t)c < 0x20 || c == 0x7f)
            lest_buf_append_fmt(out, "\\%02X", (unsigned)(uint8_t)c);
        else if (edge_space || (c == '#' && i == 0) || strchr("\"+,;<>\\", c))
            lest_buf_append_fmt(out, "\\%c", c);
        else
            lest_buf_append_byte(out, (uint8_t)c);
    }
}

void pki_name_print_parts(const struct pki_name_part *parts, size_t count, enum pki_name_order order,
                          struct lest_buf *out)
{
    /* RDNs change their order, the parts within one do not. */
    for (size_t end = count, at = 0; order == PKI_NAME_RFC4514 ? end > 0 : at < count;) {
        size_t from, to;
        if (order == PKI_NAME_RFC4514) {
            to = end;
            for (from = end - 1; from > 0 && parts[from].plus; from--)
                ;
            end = from;
        } else {
            from = at;
            for (to = at + 1; to < count && parts[to].plus; to++)
                ;
            at = to;
        }
        if (order == PKI_NAME_RFC4514 ? to < count : from > 0)
            lest_buf_append_byte(out, ',');
        for (size_t i = from; i < to; i++) {
            if (i > from)
                lest_buf_append_byte(out, '+');
            lest_buf_append(out, parts[i].type, parts[i].type_len);
            lest_buf_append_byte(out, '=');
            print_value(&parts[i], out);
        }
    }
}

bool pki_name_print(const uint8_t *der, size_t len, enum pki_name_order order, struct lest_buf *out)
{
    struct pki_der_doc doc = { .noun = "name",
                               .malformed = LEST_E_NAME_MALFORMED,
                               .tolerated = PKI_FLAW_NAME };
    struct pki_name_part parts[PKI_NAME_PARTS_MAX];
    struct pki_name_reader reader;
    struct lest_buf text, all;
    size_t count = 0, used = 0;
    lest_buf_init(&text, PKI_NAME_MAX * 3);
    lest_buf_init(&all, PKI_NAME_MAX * 8);
    pki_name_open(&reader, &doc, der, len);
    while (count < PKI_NAME_PARTS_MAX && pki_name_next(&reader, &text, &parts[count])) {
        lest_buf_append(&all, parts[count].type, parts[count].type_len);
        lest_buf_append(&all, parts[count].value, parts[count].value_len);
        count++;
    }
    bool ok = doc.status == LEST_OK && !all.failed && !text.failed;
    if (ok) {
        for (size_t i = 0; i < count; i++) {
            parts[i].type = (const char *)all.data + used;
            used += parts[i].type_len;
            parts[i].value = (const char *)all.data + used;
            used += parts[i].value_len;
        }
        pki_name_print_parts(parts, count, order, out);
    }
    lest_buf_free(&text);
    lest_buf_free(&all);
    return ok;
}
