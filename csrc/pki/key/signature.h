/* Signatures over DER: their algorithms, and making them with kept contexts. */
#ifndef LEST_PKI_KEY_SIGNATURE_H
#define LEST_PKI_KEY_SIGNATURE_H

#include "pki/asn1/oid.h"
#include "pki/key/key.h"

#include <openssl/x509.h>

/** Read an AlgorithmIdentifier: the element, and the identifier in it. */
bool pki_signature_algorithm(struct pki_der *in, struct pki_der_item *whole, struct pki_bytes *oid);

/** Read what follows the signed content of a certificate or a CRL, to the end: the signature, and before it
 *  its algorithm, which must be the one in the content (RFC 5280 4.1.1.2, 5.1.1.2). */
bool pki_signature_end(struct pki_der *body, struct pki_bytes algorithm);

/** OpenSSL's short name of an AlgorithmIdentifier ("ecdsa-with-SHA256", "RSA-SHA256", "rsassaPss",
 * "ED25519"), or its dotted identifier. algorithm is a whole, well-formed element. */
void pki_signature_name(struct pki_bytes algorithm, char name[PKI_OID_TEXT_MAX]);

/** The digest's resistance against collisions in bits (SHA-256: 128, SHA-1: 80), 0 where the algorithm has
 * none of its own (EdDSA, ML-DSA), -1 where it is not known. */
int pki_signature_digest_bits(struct pki_bytes algorithm);

/** An AlgorithmIdentifier as OpenSSL's object, which the caller frees; NULL if it is none to its end. */
X509_ALGOR *pki_signature_parse(struct pki_bytes algorithm);

/** The digest of ECDSA or of RSA (PKCS#1 1.5) with SHA-2, borrowed, where the AlgorithmIdentifier is written
 *  as it must be: without parameters (RFC 5758 3.2) or with NULL (RFC 4055 5). NULL for all else.
 *  key_type  OpenSSL's name for keys that sign so ("EC", "RSA"); set where there is a digest */
const EVP_MD *pki_signature_digest(struct pki_bytes algorithm, const char **key_type);

/** Signs with one key; may be used by several threads at once. */
struct pki_signer;

/** Prepare to sign, and try once that the key's public half verifies what its private one signs.
 *  digest  OpenSSL's name ("sha384"); NULL: SHA-256, or what the key's size or algorithm wants; a digest
 *          under 112 bits (SHA-1, MD5) and one for a key that takes none are refused
 *  out     the caller's, pki_signer_free(); it keeps its own reference to the key
 *  Errors: LEST_E_KEY_UNSUPPORTED, LEST_E_KEY_MALFORMED (no pair), LEST_E_CRYPTO, LEST_E_NOMEM */
enum lest_status pki_signer_new(const struct pki_key *key, const char *digest, struct pki_signer **out,
                                struct lest_error *err) LEST_MUST_USE;
void pki_signer_free(struct pki_signer *signer);

/** The whole AlgorithmIdentifier that goes with its signatures, borrowed. */
struct pki_bytes pki_signer_algorithm(const struct pki_signer *signer);

/** Append the signature over data as a BIT STRING. Errors: LEST_E_CRYPTO, LEST_E_NOMEM */
enum lest_status pki_signer_sign(struct pki_signer *signer, struct pki_bytes data, struct lest_buf *out,
                                 struct lest_error *err) LEST_MUST_USE;

/** Append SEQUENCE { data, AlgorithmIdentifier, BIT STRING }, as requests, certificates and CRLs are. */
enum lest_status pki_signer_wrap(struct pki_signer *signer, struct pki_bytes data, struct lest_buf *out,
                                 struct lest_error *err) LEST_MUST_USE;

#endif
