/* Filling in a template. */
#include "pki/x509/csrattrs.h"
#include "pki/x509/template.h"

#include <string.h>

static enum lest_status unmet(struct lest_error *err, const char *before, const char *what, const char *after)
{
    return lest_error_set(err, LEST_E_CSRATTRS_UNMET, "the server's template %s %.100s%s", before, what,
                          after);
}

/* A part as a Name of its own, which pki_name_print and pki_name_equal take. */
static void put_alone(struct lest_buf *out, struct pki_bytes part)
{
    size_t name = pki_der_put_open(out, PKI_DER_SEQUENCE), rdn = pki_der_put_open(out, PKI_DER_SET);
    lest_buf_append(out, part.data, part.len);
    pki_der_put_close(out, rdn);
    pki_der_put_close(out, name);
}

static bool same_part(const struct pki_template_part *a, const struct pki_template_part *b)
{
    struct lest_buf left, right;
    lest_buf_init(&left, PKI_NAME_MAX + 16);
    lest_buf_init(&right, PKI_NAME_MAX + 16);
    put_alone(&left, a->whole);
    put_alone(&right, b->whole);
    bool same = !left.failed && !right.failed &&
                pki_name_equal((struct pki_bytes){ left.data, left.len },
                               (struct pki_bytes){ right.data, right.len });
    lest_buf_free(&left);
    lest_buf_free(&right);
    return same;
}

static enum lest_status no_place(const struct pki_template_part *part, struct lest_error *err)
{
    struct lest_buf alone, text;
    lest_buf_init(&alone, PKI_NAME_MAX + 16);
    lest_buf_init(&text, PKI_NAME_MAX * 8);
    put_alone(&alone, part->whole);
    bool shown = pki_name_print(alone.data, alone.len, PKI_NAME_DER, &text);
    lest_buf_append_byte(&text, '\0');
    enum lest_status status =
        unmet(err, "has no place for", shown && !text.failed ? (const char *)text.data : "a part",
              " of the subject");
    lest_buf_free(&alone);
    lest_buf_free(&text);
    return status;
}

/* All parts of a name at once. */
struct parts {
    struct pki_template_part list[PKI_NAME_PARTS_MAX];
    bool used[PKI_NAME_PARTS_MAX];
    size_t count;
};

static enum lest_status read_parts(struct pki_bytes der, struct parts *parts, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "CSR template", .malformed = LEST_E_CSRATTRS_MALFORMED, .err = err };
    struct pki_template_reader reader;
    memset(parts, 0, sizeof *parts);
    if (!pki_template_open_name(&reader, &doc, der))
        return doc.status;
    while (parts->count < PKI_NAME_PARTS_MAX && pki_template_next_part(&reader, &parts->list[parts->count]))
        parts->count++;
    return doc.status;
}

static const struct pki_template_part *take(struct parts *own, const struct pki_template_part *wanted)
{
    for (size_t i = 0; i < own->count; i++) {
        const struct pki_template_part *part = &own->list[i];
        if (own->used[i] || !pki_bytes_equal(part->type, wanted->type))
            continue;
        if (wanted->value.data && !same_part(part, wanted))
            continue;
        own->used[i] = true;
        return part;
    }
    return NULL;
}

/* For each part of the template the bytes that are written. What is stated goes first, so that no opening
 * takes what states the same. */
static enum lest_status choose(const struct parts *wanted, struct parts *own, struct pki_bytes *chosen,
                               struct lest_error *err)
{
    char type[PKI_OID_TEXT_MAX];
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->list[i].value.data) {
            take(own, &wanted->list[i]);
            chosen[i] = wanted->list[i].whole;
        }
    for (size_t i = 0; i < wanted->count; i++) {
        if (wanted->list[i].value.data)
            continue;
        const struct pki_template_part *part = take(own, &wanted->list[i]);
        if (!part) {
            pki_oid_describe(wanted->list[i].type, type);
            return unmet(err, "wants", type, " in the subject, which is not given");
        }
        chosen[i] = part->whole;
    }
    for (size_t i = 0; i < own->count; i++)
        if (!own->used[i])
            return no_place(&own->list[i], err);
    return LEST_OK;
}

enum lest_status pki_template_fill_name(struct pki_bytes subject, struct pki_bytes own, struct lest_buf *out,
                                        struct lest_error *err)
{
    struct parts wanted, given;
    struct pki_bytes chosen[PKI_NAME_PARTS_MAX];
    enum lest_status status = read_parts(subject, &wanted, err);
    if (!status)
        status = read_parts(own, &given, err);
    if (!status)
        status = choose(&wanted, &given, chosen, err);
    if (status)
        return status;
    size_t name = pki_der_put_open(out, PKI_DER_SEQUENCE);
    for (size_t i = 0; i < wanted.count;) {
        size_t rdn = pki_der_put_open(out, PKI_DER_SET);
        do
            lest_buf_append(out, chosen[i].data, chosen[i].len);
        while (++i < wanted.count && wanted.list[i].plus);
        pki_der_put_sort(out, rdn);
        pki_der_put_close(out, rdn);
    }
    pki_der_put_close(out, name);
    return lest_buf_status(out, err);
}

/* The client's alternative names. */
struct names {
    struct pki_der_item list[PKI_SAN_NAMES_MAX];
    bool used[PKI_SAN_NAMES_MAX];
    size_t count;
};

static enum lest_status read_names(struct pki_bytes der, struct names *names, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "subjectAltName", .malformed = LEST_E_SAN_MALFORMED, .err = err };
    struct pki_san_reader reader;
    struct lest_buf text;
    memset(names, 0, sizeof *names);
    if (!der.data)
        return LEST_OK;
    lest_buf_init(&text, PKI_SAN_MAX * 4);
    pki_san_open(&reader, &doc, der.data, der.len);
    while (pki_san_next(&reader, &text))
        names->list[names->count++] = reader.item;
    lest_buf_free(&text);
    return doc.status;
}

/* Append the names of a kind that are not used yet; false: there are none. */
static bool put_kind(struct names *own, uint8_t tag, struct lest_buf *out)
{
    bool any = false;
    for (size_t i = 0; i < own->count; i++) {
        if (own->used[i] || own->list[i].tag != tag)
            continue;
        own->used[i] = any = true;
        lest_buf_append(out, own->list[i].whole.data, own->list[i].whole.len);
    }
    return any;
}

static void use_stated(struct pki_bytes san, struct pki_der_doc *doc, struct names *own,
                       struct lest_buf *text)
{
    struct pki_san_reader reader;
    pki_san_open(&reader, doc, san.data, san.len);
    reader.openings = true;
    while (pki_san_next(&reader, text))
        for (size_t i = 0; i < own->count; i++)
            own->used[i] = own->used[i] || pki_san_is_same(&own->list[i], &reader.item);
}

static enum lest_status put_names(struct pki_bytes san, struct pki_der_doc *doc, struct names *own,
                                  struct lest_buf *text, struct lest_buf *out)
{
    struct pki_san_reader reader;
    size_t list = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_san_open(&reader, doc, san.data, san.len);
    reader.openings = true;
    while (pki_san_next(&reader, text)) {
        if (!pki_san_is_open(&reader.item)) {
            lest_buf_append(out, reader.item.whole.data, reader.item.whole.len);
        } else if (!put_kind(own, reader.item.tag, out)) {
            lest_buf_append_byte(text, '\0');
            return unmet(doc->err, "wants an alternative name", text->failed ? "" : (const char *)text->data,
                         " which is not given");
        }
    }
    pki_der_put_close(out, list);
    return doc->status;
}

static enum lest_status check_used(struct pki_bytes own_san, const struct names *own, struct lest_buf *text,
                                   struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "subjectAltName", .malformed = LEST_E_SAN_MALFORMED, .err = err };
    struct pki_san_reader reader;
    if (!own->count)
        return LEST_OK;
    pki_san_open(&reader, &doc, own_san.data, own_san.len);
    for (size_t i = 0; pki_san_next(&reader, text); i++)
        if (!own->used[i]) {
            lest_buf_append_byte(text, '\0');
            return unmet(err, "has no place for the alternative name",
                         text->failed ? "" : (const char *)text->data, "");
        }
    return doc.status;
}

enum lest_status pki_template_fill_san(struct pki_bytes san, struct pki_bytes own, struct lest_buf *out,
                                       struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "CSR template", .malformed = LEST_E_CSRATTRS_MALFORMED, .err = err };
    struct names given;
    struct lest_buf text;
    enum lest_status status = read_names(own, &given, err);
    if (status)
        return status;
    lest_buf_init(&text, PKI_SAN_MAX * 4);
    use_stated(san, &doc, &given, &text);
    status = doc.status ? doc.status : put_names(san, &doc, &given, &text, out);
    if (!status)
        status = check_used(own, &given, &text, err);
    lest_buf_free(&text);
    return status ? status : lest_buf_status(out, err);
}
