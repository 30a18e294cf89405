/* A private key in an envelope for one recipient (RFC 7030 section 4.4.2): an AsymmetricKeyPackage (RFC 5958)
 * in a SignedData of who made the key, in an EnvelopedData (RFC 5652). */
#ifndef LEST_PKI_CMS_ENVELOPE_H
#define LEST_PKI_CMS_ENVELOPE_H

#include "pki/key/key.h"
#include "pki/x509/cert.h"

enum { PKI_ENVELOPE_MAX = 256 * 1024, PKI_ENVELOPE_ID_MAX = 256, PKI_ENVELOPE_RECIPIENTS_MAX = 16 };

/** Who can open it: the holder of a certificate's key, or of a shared one.
 *  cert    its DER; data NULL for a shared key
 *  shared  an AES key of 16 or 32 bytes, a secret; id is how both sides call it */
struct pki_recipient {
    struct pki_bytes cert, shared, id;
};

/** Make an envelope. The recipient's part is ktri for RSA, kari (ephemeral-static ECDH) for EC, kekri for a
 *  shared key, identified by the key identifier; the algorithms are the strongest that the recipient can.
 *  signer_cert   DER of who made the key
 *  capabilities  the recipient's: bits of pki_capabilities_read
 *  out           is appended to
 *  Errors: LEST_E_KEY_UNSUPPORTED (the recipient's key, or none of its algorithms fits), LEST_E_REFUSED (its
 *          certificate's keyUsage is for neither), LEST_E_CRYPTO (the signer's key among others),
 *          LEST_E_NOMEM */
enum lest_status pki_envelope_seal(const struct pki_key *key, struct pki_bytes signer_cert,
                                   const struct pki_key *signer, const struct pki_recipient *recipient,
                                   unsigned capabilities, struct lest_buf *out,
                                   struct lest_error *err) LEST_MUST_USE;

/** Open one, and check the signature in it. Whether its signer is to be believed is the caller's to check.
 *  data, len  DER or BER
 *  own        the recipient's private key; NULL for a shared one
 *  shared     as above, with its id; not looked at beside own
 *  out        the key, pki_key_free(); NULL on failure
 *  signers    certificates of the message, the signer's first: a run of DER elements, appended
 *  Errors: LEST_E_PKCS7_MALFORMED (no such envelope, or none for this key), LEST_E_TRUST (no good signature),
 *          LEST_E_KEY_MALFORMED, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status pki_envelope_open(const void *data, size_t len, const struct pki_key *own,
                                   const struct pki_recipient *shared, struct pki_key **out,
                                   struct lest_buf *signers, struct lest_error *err) LEST_MUST_USE;

#endif
