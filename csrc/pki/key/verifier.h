/* A public key that signatures are checked with. */
#ifndef LEST_PKI_KEY_VERIFIER_H
#define LEST_PKI_KEY_VERIFIER_H

#include "pki/key/public.h"

/** One thread at a time. */
struct pki_verifier;

/** Make one. Of each curve of curve.h one that was freed is kept for the next, and only its point replaced:
 *  to make the key costs more than to read the request around it. Thread-safe.
 *  doc   as pki_spki_key
 *  Returns NULL on failure; free it with pki_verifier_free(). */
struct pki_verifier *pki_verifier_new(struct pki_der_doc *doc, const struct pki_spki *spki);
void pki_verifier_free(struct pki_verifier *verifier);

/** As pki_public_type and pki_public_security_bits. */
void pki_verifier_type(const struct pki_verifier *verifier, char type[PKI_KEY_TYPE_MAX]);
int pki_verifier_security_bits(const struct pki_verifier *verifier);

/** Check a signature (the BIT STRING's contents) over the very bytes of data (RFC 2986 4.2, RFC 5280
 *  4.1.1.3). ECDSA and RSA (PKCS#1 1.5) with SHA-2 go the short way, everything else through
 *  ASN1_item_verify, which knows parameters (RSA-PSS) and algorithms without a digest.
 *  algorithm  whole AlgorithmIdentifier
 *  bad        the status of a signature that is not right, or not of the key's algorithm */
enum lest_status pki_verifier_verify(const struct pki_verifier *verifier, struct pki_bytes algorithm,
                                     struct pki_bytes signature, struct pki_bytes data, enum lest_status bad,
                                     struct lest_error *err) LEST_MUST_USE;

#endif
