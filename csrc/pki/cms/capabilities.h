/* SMIMECapabilities (RFC 8551 section 2.5.2): the algorithms that a client can open an envelope with. */
#ifndef LEST_PKI_CMS_CAPABILITIES_H
#define LEST_PKI_CMS_CAPABILITIES_H

#include "pki/asn1/der.h"

enum { PKI_CAPABILITIES_MAX = 64 };

/** Algorithms that envelopes are made with, by their bits in a set. */
enum pki_capability {
    PKI_CAN_AES128 = 1 << 0, /* the content, by AES-CBC (RFC 3565) */
    PKI_CAN_AES256 = 1 << 1,
    PKI_CAN_WRAP128 = 1 << 2, /* a key, by AES key wrap (RFC 3394) */
    PKI_CAN_WRAP256 = 1 << 3,
    PKI_CAN_OAEP = 1 << 4, /* a key, by RSA (RFC 8017) */
    PKI_CAN_RSA = 1 << 5,
    PKI_CAN_ECDH = 1 << 6 /* a key is agreed, KDF with SHA-256 (RFC 5753) */
};

/** Read a whole SMIMECapabilities: which of the algorithms above are in it; others are passed over. One that
 *  wraps a key may stand as the parameter of one that agrees on it (RFC 5753 7.1).
 *  Errors: LEST_E_MALFORMED */
enum lest_status pki_capabilities_read(struct pki_bytes der, unsigned *set,
                                       struct lest_error *err) LEST_MUST_USE;

/** Append the SMIMECapabilities of a set, the strongest first. */
void pki_capabilities_put(struct lest_buf *out, unsigned set);

#endif
