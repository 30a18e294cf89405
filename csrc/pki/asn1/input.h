/* One document from outside that is DER or PEM, told apart by looking. */
#ifndef LEST_PKI_ASN1_INPUT_H
#define LEST_PKI_ASN1_INPUT_H

#include "pki/asn1/der.h"

/** What is looked for. labels: of PEM blocks, ended by NULL; the first is the one named in messages. */
struct pki_input {
    const char *noun;
    const char *const *labels;
    enum lest_status malformed;
};

/** The DER of the one document in data: data itself, or the one PEM block with such a label, decoded into
 *  storage, which the caller initialised with its maximum and frees. Blocks of other labels are skipped; a
 *  second one with such a label is an error.
 *  Errors: what->malformed, LEST_E_PEM, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status pki_input_read(const struct pki_input *what, const void *data, size_t len,
                                struct lest_buf *storage, struct pki_bytes *der,
                                struct lest_error *err) LEST_MUST_USE;

/** The status of a parser of such a document: of one that is malformed since it is of another kind, the error
 *  says which. */
enum lest_status pki_input_result(const struct pki_input *what, struct pki_bytes der, enum lest_status status,
                                  struct lest_error *err) LEST_MUST_USE;

#endif
