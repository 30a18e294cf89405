#include "pki/asn1/pem.h"

#include "base/base64.h"
#include "pki/asn1/kind.h"

#include <string.h>

static const char BEGIN[] = "-----BEGIN ", END[] = "-----END ", DASHES[] = "-----";
enum {
    BEGIN_LEN = sizeof BEGIN - 1,
    END_LEN = sizeof END - 1,
    DASHES_LEN = sizeof DASHES - 1,
    LABEL_MAX = 64
};

static bool starts(const uint8_t *at, const uint8_t *end, const char *mark)
{
    size_t len = strlen(mark);
    return (size_t)(end - at) >= len && memcmp(at, mark, len) == 0;
}

/* The next occurrence of a mark, or of another (may be NULL), at the start of a line, or behind the byte
 * order mark that editors put there. */
static const uint8_t *find_mark(const uint8_t *data, size_t len, const char *mark, const char *other)
{
    const uint8_t *at = data, *end = data + len;
    while (at && at < end) {
        if (end - at >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
            at += 3;
        if (starts(at, end, mark) || (other && starts(at, end, other)))
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
    return find_mark(d, len, BEGIN, NULL) != NULL;
}

/* The label of a BEGIN line, or false; *rest is what follows the line. */
static bool read_begin(const uint8_t *begin, const uint8_t *end, struct pki_bytes *label,
                       const uint8_t **rest)
{
    const uint8_t *from = begin + BEGIN_LEN;
    const uint8_t *line = memchr(from, '\n', (size_t)(end - from));
    const uint8_t *to = line;
    *rest = line ? line + 1 : end;
    *label = (struct pki_bytes){ NULL, 0 };
    while (to && to > from && (to[-1] == '\r' || to[-1] == ' '))
        to--;
    if (!to || to - from < DASHES_LEN || memcmp(to - DASHES_LEN, DASHES, DASHES_LEN) != 0)
        return false;
    *label = (struct pki_bytes){ from, (size_t)(to - DASHES_LEN - from) };
    return true;
}

bool pki_pem_next(const uint8_t **data, size_t *len, struct pki_pem *block, enum lest_status *status,
                  struct lest_error *err)
{
    const uint8_t *end = *data + *len, *begin = find_mark(*data, *len, BEGIN, NULL), *body;
    *status = LEST_OK;
    if (!begin)
        return false;
    bool is_line = read_begin(begin, end, &block->label, &body);
    *data = body;
    *len = (size_t)(end - body);
    block->begin = begin;
    if (!is_line) {
        *status = lest_error_set(err, LEST_E_PEM, "PEM: the BEGIN line is malformed");
        return false;
    }
    /* A block that another one begins within has lost its end, and not that other. */
    const uint8_t *stop = find_mark(body, *len, END, BEGIN);
    size_t label_len = block->label.len, stop_len = END_LEN + label_len + DASHES_LEN;
    if (label_len > LABEL_MAX || !stop || !starts(stop, end, END) || (size_t)(end - stop) < stop_len ||
        memcmp(stop + END_LEN, block->label.data, label_len) != 0 ||
        memcmp(stop + END_LEN + label_len, DASHES, DASHES_LEN) != 0) {
        *status = lest_error_set(err, LEST_E_PEM, "PEM: the END line of '%.*s' is missing or another's",
                                 (int)(label_len > LABEL_MAX ? LABEL_MAX : label_len),
                                 (const char *)block->label.data);
        return false;
    }
    block->body = (struct pki_bytes){ body, (size_t)(stop - body) };
    *data = stop + stop_len;
    *len = (size_t)(end - *data);
    return true;
}

unsigned pki_pem_line(const void *text, const struct pki_pem *block)
{
    unsigned line = 1;
    for (const uint8_t *at = text; at < block->begin; at++)
        line += *at == '\n';
    return line;
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
    const char *kind = pki_kind_of_label(block.label);
    if (kind)
        return lest_error_set(err, status, "%s: the data is %s", noun, kind);
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
