#include "pki/x509/challenge.h"

#include "pki/asn1/string.h"

static const struct {
    enum pki_oid oid;
    const char *name;
} types[] = {
#define X(NAME, name, field) [PKI_##NAME] = { PKI_OID_##NAME, (name) },
    PKI_CHALLENGES(X)
#undef X
};

enum pki_challenge_kind pki_challenge_find(struct pki_bytes oid)
{
    enum pki_challenge_kind kind = 0;
    while (kind < PKI_CHALLENGE_COUNT && !pki_oid_is(oid, types[kind].oid))
        kind++;
    return kind;
}

static size_t count_chars(const struct lest_buf *utf8)
{
    size_t count = 0;
    for (size_t i = 0; i < utf8->len; i++)
        count += (utf8->data[i] & 0xc0) != 0x80;
    return count;
}

bool pki_challenge_read(enum pki_challenge_kind kind, struct pki_der values, struct pki_challenge *out)
{
    const char *name = types[kind].name;
    struct pki_der_item item;
    struct pki_der at = values;
    if (out->text.data)
        return pki_der_fail(&values, "%s stands twice", name);
    if (!pki_attr_single(&values, name, &item))
        return false;
    lest_buf_init(&out->storage, PKI_CHALLENGE_BYTES_MAX);
    /* RFC 2985 5.4.1: DirectoryString; IA5String is read too, as old tools write it. */
    if (!pki_string_tag(item.tag) || !pki_string_append(&item, &out->storage))
        return pki_der_fail(&at, "%s is no readable string", name);
    if (out->storage.failed) {
        if (!out->storage.too_large)
            at.doc->status = lest_buf_status(&out->storage, at.doc->err);
        return pki_der_fail(&at, "%s is longer than %d bytes", name, PKI_CHALLENGE_BYTES_MAX);
    }
    if (kind != PKI_CHALLENGE_PASSWORD && count_chars(&out->storage) > PKI_CHALLENGE_CHARS_MAX)
        return pki_der_fail(&at, "%s is longer than %d characters", name, PKI_CHALLENGE_CHARS_MAX);
    /* An empty one is present all the same. */
    out->text =
        (struct pki_bytes){ out->storage.data ? out->storage.data : item.body.data, out->storage.len };
    out->value = item.body;
    out->width = pki_string_width(item.tag);
    return true;
}

void pki_challenge_clear(struct pki_challenge *challenge)
{
    lest_buf_wipe(&challenge->storage);
}

void pki_challenge_put(enum pki_challenge_kind kind, struct pki_bytes text, struct lest_buf *out)
{
    if (!text.data)
        return;
    struct pki_attr_mark attribute = pki_attr_put_open(out, types[kind].oid);
    bool printable = pki_string_is_printable(text.data, text.len);
    pki_der_put(out, printable ? PKI_DER_PRINTABLE_STRING : PKI_DER_UTF8_STRING, text.data, text.len);
    pki_attr_put_close(out, attribute);
}

void pki_challenge_mask(const struct pki_challenge *challenge, struct pki_bytes request, char *copy)
{
    if (!challenge->value.data)
        return;
    char *value = copy + (challenge->value.data - request.data);
    for (size_t i = 0; i < challenge->value.len; i++)
        value[i] = (char)(i % challenge->width == challenge->width - 1 ? '*' : 0);
}
