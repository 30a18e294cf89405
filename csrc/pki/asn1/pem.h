/* PEM (RFC 7468), found by looking and not by trying. */
#ifndef LEST_PKI_ASN1_PEM_H
#define LEST_PKI_ASN1_PEM_H

#include "pki/asn1/der.h"

/** One block. All is borrowed from the text: begin is where its first line begins, body everything between
 *  the two lines. */
struct pki_pem {
    const uint8_t *begin;
    struct pki_bytes label;
    struct pki_bytes body;
};

/** Whether bytes are PEM and not DER: no DER begins them and "-----BEGIN " stands at the start of a line. */
bool pki_pem_looks(const void *data, size_t len);

/** Find the next block and move *data, *len past it. What stands between blocks is skipped (`openssl req
 * -text` writes explanations there). False at the end, with status LEST_OK, and where a block's lines are
 * wrong, LEST_E_PEM: block->begin says where, and the next call looks for the block after it. */
bool pki_pem_next(const uint8_t **data, size_t *len, struct pki_pem *block, enum lest_status *status,
                  struct lest_error *err);

/** The number of the line in which a block begins, from 1, counted from any place of the text before it. */
unsigned pki_pem_line(const void *text, const struct pki_pem *block);

/** Whether a block has this label. */
bool pki_pem_is(const struct pki_pem *block, const char *label);

/** The error, with this status, for a text that has no block with this label: it says
 *  what the first that it has is. */
enum lest_status pki_pem_missing(const void *data, size_t len, const char *noun, const char *label,
                                 enum lest_status status, struct lest_error *err);

/** Append the bytes of a block. Errors: LEST_E_PEM, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status pki_pem_decode(const struct pki_pem *block, struct lest_buf *out,
                                struct lest_error *err) LEST_MUST_USE;

/** Append a block with lines of 64 characters. */
void pki_pem_put(struct lest_buf *out, const char *label, const void *der, size_t len);

#endif
