/* Public keys: SubjectPublicKeyInfo (RFC 5280 4.1.2.7) and how a key's kind is written everywhere. */
#ifndef LEST_PKI_KEY_PUBLIC_H
#define LEST_PKI_KEY_PUBLIC_H

#include "pki/key/curve.h"
#include "pki/key/rsa.h"
#include "pki/key/secret.h"

enum { PKI_PUBLIC_MAX = 16 * 1024, PKI_KEY_TYPE_MAX = 64 };

/** What a SubjectPublicKeyInfo says, with no key made of it. All borrowed from it.
 *  algorithm   contents of the algorithm's identifier
 *  parameters  what follows the identifier
 *  bits        contents of the BIT STRING
 *  curve       of an EC key on one of the curves of curve.h, whose point `bits` is; else PKI_CURVE_COUNT
 *  rsa         of an RSA key; else modulus.data is NULL
 *  is_pss      the RSA key is for RSASSA-PSS alone, and its parameters may say more */
struct pki_spki {
    struct pki_bytes whole, algorithm, parameters, bits;
    enum pki_curve curve;
    struct pki_rsa rsa;
    bool is_pss;
};

/** Read a whole SubjectPublicKeyInfo. Strict for EC keys, whose curve is named by its identifier (RFC 5480
 *  2.1.1), and for RSA keys, whose parameters are NULL (RFC 3279 2.3.1, unless they are for PSS) and whose
 *  numbers are within the bounds of rsa.h. Whether a point is on its curve is for pki_spki_key().
 *  doc  the document it stands in; it fails with doc->malformed */
bool pki_spki_read(struct pki_der_doc *doc, struct pki_bytes whole, struct pki_spki *spki);

/** Make a key of it. Keys on P-256, P-384 and P-521, RSA, Ed25519 and Ed448 go past the provider's decoder
 *  (150 us and more in OpenSSL 3.0); every other algorithm that OpenSSL can read is read by it.
 *  doc  fails with doc->malformed for a malformed key, with LEST_E_KEY_UNSUPPORTED for an algorithm or curve
 *       that this OpenSSL does not know
 *  Returns NULL on failure; the caller frees the key. */
EVP_PKEY *pki_spki_key(struct pki_der_doc *doc, const struct pki_spki *spki);

/** The kind, as pki_public_type tells it, where that needs no key to be made; false where it does. */
bool pki_spki_type(const struct pki_spki *spki, char type[PKI_KEY_TYPE_MAX]);

/** The one encoding of the key, which is what is signed, compared and remembered: one key has one name. It
 *  differs from what was read where that has a compressed point.
 *  storage  where another encoding is put; empty otherwise
 *  Returns spki->whole where it is canonical, and where no key can be made of it. */
struct pki_bytes pki_spki_canonical(const struct pki_spki *spki, struct lest_buf *storage);

/** Let a key be written in one form alone: an EC point is not compressed (RFC 5480 2.2). */
void pki_public_normalize(EVP_PKEY *key);

/** pki_spki_canonical() of a whole SubjectPublicKeyInfo; spki itself where it cannot be read. */
struct pki_bytes pki_public_canonical(struct pki_bytes spki, struct lest_buf *storage);

/** SHA-256 of the key's value, by which keys are compared and remembered: of its canonical encoding, and for
 *  a key of RSASSA-PSS of that without the restriction (RFC 4055 1.2), which makes no other key of it.
 *  spki  canonical
 *  Errors: LEST_E_KEY_MALFORMED, LEST_E_CRYPTO, LEST_E_NOMEM */
enum lest_status pki_public_hash(struct pki_bytes spki, uint8_t hash[PKI_SECRET_HASH_LEN],
                                 struct lest_error *err) LEST_MUST_USE;

/** Append the SubjectPublicKeyInfo of a key. Errors: LEST_E_CRYPTO, LEST_E_NOMEM */
enum lest_status pki_public_encode(const EVP_PKEY *key, struct lest_buf *out,
                                   struct lest_error *err) LEST_MUST_USE;

/** The kind: "ec:P-256", "ec:P-384", "ec:P-521", "ec:<OpenSSL's name>", "rsa:<bits>", "rsa-pss:<bits>",
 * "ed25519", "ed448", else OpenSSL's name ("ML-DSA-65"). */
void pki_public_type(const EVP_PKEY *key, char type[PKI_KEY_TYPE_MAX]);

/** The strength as OpenSSL counts it (RSA 2048: 112, P-256: 128); 0 if unknown. */
int pki_public_security_bits(const EVP_PKEY *key);

/** Kind and strength of the key in a SubjectPublicKeyInfo; where this OpenSSL cannot read the key, the name
 * or dotted identifier of its algorithm and 0. */
void pki_public_describe(struct pki_bytes spki, char type[PKI_KEY_TYPE_MAX], int *security_bits);

/** Whether bytes are one SubjectPublicKeyInfo to their end. Algorithm and key are not looked at.
 *  Errors: LEST_E_KEY_MALFORMED */
enum lest_status pki_public_check(struct pki_bytes spki, struct lest_error *err) LEST_MUST_USE;

/** Keys below this are weak (NIST SP 800-57: RSA 2048 and a curve of 224 bits are 112). */
enum { PKI_SECURITY_BITS_MIN = 112 };

/** The key's bits: the contents of the BIT STRING of a whole SubjectPublicKeyInfo, borrowed from it.
 *  Errors: LEST_E_KEY_MALFORMED */
enum lest_status pki_public_bits(struct pki_bytes spki, struct pki_bytes *bits,
                                 struct lest_error *err) LEST_MUST_USE;

/** The method 1 identifier of RFC 5280 4.2.1.2: SHA-1 over the BIT STRING's contents of an SPKI.
 *  Errors: LEST_E_KEY_MALFORMED, LEST_E_CRYPTO */
enum lest_status pki_public_key_id(struct pki_bytes spki, uint8_t id[20],
                                   struct lest_error *err) LEST_MUST_USE;

#endif
