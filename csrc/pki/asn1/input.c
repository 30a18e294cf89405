#include "pki/asn1/input.h"

#include "pki/asn1/foreign.h"
#include "pki/asn1/kind.h"
#include "pki/asn1/pem.h"

#include <string.h>

static bool has_label(const struct pki_pem *block, const char *const *labels)
{
    for (; *labels; labels++)
        if (pki_pem_is(block, *labels))
            return true;
    return false;
}

static enum lest_status read_pem(const struct pki_input *what, const void *data, size_t len,
                                 struct lest_buf *storage, struct lest_error *err)
{
    struct pki_pem block, one;
    enum lest_status status;
    const uint8_t *at = data;
    size_t left = len;
    bool found = false;
    while (pki_pem_next(&at, &left, &block, &status, err)) {
        if (!has_label(&block, what->labels))
            continue;
        if (found)
            return lest_error_set(err, what->malformed, "%s: there is more than one PEM block %s", what->noun,
                                  what->labels[0]);
        one = block;
        found = true;
    }
    if (status)
        return status;
    if (!found)
        return pki_pem_missing(data, len, what->noun, what->labels[0], what->malformed, err);
    return pki_pem_decode(&one, storage, err);
}

enum lest_status pki_input_read(const struct pki_input *what, const void *data, size_t len,
                                struct lest_buf *storage, struct pki_bytes *der, struct lest_error *err)
{
    *der = (struct pki_bytes){ NULL, 0 };
    if (len == 0)
        return lest_error_set(err, what->malformed, "%s: there is no data", what->noun);
    if (pki_pem_looks(data, len)) {
        enum lest_status status = read_pem(what, data, len, storage, err);
        if (status == LEST_OK && storage->len == 0)
            return lest_error_set(err, what->malformed, "%s: the PEM block is empty", what->noun);
        if (status == LEST_OK)
            *der = (struct pki_bytes){ storage->data, storage->len };
        return status;
    }
    const char *foreign = pki_foreign_name(data, len);
    if (foreign)
        return lest_error_set(err, what->malformed, "%s: the data is %s, which is not read", what->noun,
                              foreign);
    if (((const uint8_t *)data)[0] != PKI_DER_SEQUENCE)
        return lest_error_set(err, what->malformed, "%s: the data is neither DER nor PEM", what->noun);
    *der = (struct pki_bytes){ data, len };
    return LEST_OK;
}

enum lest_status pki_input_result(const struct pki_input *what, struct pki_bytes der, enum lest_status status,
                                  struct lest_error *err)
{
    const char *label = what->labels[0], *kind;
    if (status != what->malformed || !(kind = pki_kind_of_der(der)) ||
        kind == pki_kind_of_label((struct pki_bytes){ (const uint8_t *)label, strlen(label) }))
        return status;
    return lest_error_set(err, status, "%s: the data is %s", what->noun, kind);
}
