#include "pki/asn1/pem.h"

#include "base/base64.h"

#include <string.h>

static const char BEGIN[] = "-----BEGIN ", END[] = "-----END ", DASHES[] = "-----";
enum {
    BEGIN_LEN = sizeof BEGIN - 1,
    END_LEN = sizeof END - 1,
    DASHES_LEN = sizeof DASHES - 1,
    LABEL_MAX = 64
};

/* The next occurrence of a mark at the start of a line, or behind the byte order mark that editors put there. */
static const uint8_t *find_mark(const uint8_t *data, size_t len, const char *mark, size_t mark_len)
{
    const uint8_t *at = data, *end = data + len;
    while (at && (size_t)(end - at) >= mark_len) {
        if ((size_t)(end - at) >= mark_len + 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
            at += 3;
        if (memcmp(at, mark, mark_len) == 0)
            return at;
        at = memchr(at, '\n', (size_t)(end - at));
        if (at)
            at++;
    }
    return NULL;
}

bool pki_pem_looks(const void *data, size_t len)
{
    const uint8_t *d = data;
    /* A SEQUENCE of 128 bytes and more: never the start of a text, since its second byte is no ASCII. */
    if (len > 1 && d[0] == PKI_DER_SEQUENCE && d[1] >= 0x80)
        return false;
    return find_mark(d, len, BEGIN, BEGIN_LEN) != NULL;
}

bool pki_pem_next(const uint8_t **data, size_t *len, struct pki_pem *block, enum lest_status *status,
                  struct lest_error *err)
{
    const uint8_t *end = *data + *len, *begin = find_mark(*data, *len, BEGIN, BEGIN_LEN);
    *status = LEST_OK;
    if (!begin)
        return false;
    const uint8_t *label = begin + BEGIN_LEN;
    const uint8_t *line = memchr(label, '\n', (size_t)(end - label));
    const uint8_t *label_end = line;
    while (label_end && label_end > label && (label_end[-1] == '\r' || label_end[-1] == ' '))
        label_end--;
    if (!label_end || label_end - label < DASHES_LEN ||
        memcmp(label_end - DASHES_LEN, DASHES, DASHES_LEN) != 0) {
        *status = lest_error_set(err, LEST_E_PEM, "PEM: the BEGIN line is malformed");
        return false;
    }
    block->label = (struct pki_bytes){ label, (size_t)(label_end - DASHES_LEN - label) };
    const uint8_t *body = line + 1, *stop = find_mark(body, (size_t)(end - body), END, END_LEN);
    size_t label_len = block->label.len;
    if (label_len > LABEL_MAX || !stop || (size_t)(end - stop) < END_LEN + label_len + DASHES_LEN ||
        memcmp(stop + END_LEN, label, label_len) != 0 ||
        memcmp(stop + END_LEN + label_len, DASHES, DASHES_LEN) != 0) {
        *status = lest_error_set(err, LEST_E_PEM, "PEM: the END line of '%.*s' is missing or another's",
                                 (int)(label_len > LABEL_MAX ? LABEL_MAX : label_len), (const char *)label);
        return false;
    }
    block->body = (struct pki_bytes){ body, (size_t)(stop - body) };
    *data = stop + END_LEN + label_len + DASHES_LEN;
    *len = (size_t)(end - *data);
    return true;
}

bool pki_pem_is(const struct pki_pem *block, const char *label)
{
    return block->label.len == strlen(label) && memcmp(block->label.data, label, block->label.len) == 0;
}

enum lest_status pki_pem_missing(const void *data, size_t len, const char *noun, const char *label,
                                 enum lest_status status, struct lest_error *err)
{
    struct pki_pem block;
    enum lest_status ignored;
    const uint8_t *at = data;
    if (!pki_pem_next(&at, &len, &block, &ignored, NULL))
        return lest_error_set(err, status, "%s: there is no PEM block %s", noun, label);
    return lest_error_set(err, status, "%s: there is no PEM block %s, but %.*s", noun, label,
                          (int)block.label.len, (const char *)block.label.data);
}

enum lest_status pki_pem_decode(const struct pki_pem *block, struct lest_buf *out, struct lest_error *err)
{
    struct lest_error why = { .status = LEST_OK };
    enum lest_status status = lest_base64_decode((const char *)block->body.data, block->body.len, out, &why);
    if (status == LEST_OK)
        return LEST_OK;
    return lest_error_set(err, status == LEST_E_BASE64 ? LEST_E_PEM : status, "PEM: %.*s: %s",
                          (int)block->label.len, (const char *)block->label.data, why.message);
}

void pki_pem_put(struct lest_buf *out, const char *label, const void *der, size_t len)
{
    lest_buf_append_fmt(out, "-----BEGIN %s-----\n", label);
    lest_base64_encode(der, len, 64, out);
    lest_buf_append_fmt(out, "-----END %s-----\n", label);
}
