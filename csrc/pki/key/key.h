/* Private keys: made, read, written. */
#ifndef LEST_PKI_KEY_KEY_H
#define LEST_PKI_KEY_KEY_H

#include "base/file.h"
#include "pki/key/public.h"

enum { PKI_KEY_MAX = 256 * 1024, PKI_RSA_BITS_MIN = 2048, PKI_RSA_BITS_MAX = 8192 };

/** A private key that does not change: its handle, its public half and its kind.
 *  is_token  it is in hardware, which the private half does not leave */
struct pki_key {
    EVP_PKEY *pkey;
    struct lest_buf spki;
    char type[PKI_KEY_TYPE_MAX];
    int security_bits;
    bool is_token;
};

/** Make a key: "ec:P-256" and any curve OpenSSL names, "rsa:3072" (2048 to 8192), "rsa-pss:3072", "ed25519",
 * or any other algorithm by OpenSSL's name. "tpm2:ec:P-256" and the like are made by the TPM (hardware.h).
 *  out  the caller's, pki_key_free(); NULL on failure
 *  Errors: LEST_E_KEY_UNSUPPORTED, LEST_E_CRYPTO */
enum lest_status pki_key_generate(const char *spec, struct pki_key **out,
                                  struct lest_error *err) LEST_MUST_USE;

/** Read a key from bytes: PEM (the first block that is a private key: PKCS#8, encrypted PKCS#8, the
 *  traditional ones with or without encryption) or DER. OneAsymmetricKey v2 (RFC 5958) is read by dropping
 *  its attributes and public key, which OpenSSL 3.0 refuses. Nobody is ever asked for a passphrase.
 *  passphrase  NULL if there is none
 *  Errors: LEST_E_KEY_MALFORMED, LEST_E_KEY_UNSUPPORTED, LEST_E_KEY_PASSPHRASE (missing or wrong),
 *          LEST_E_PEM */
enum lest_status pki_key_parse(const void *data, size_t len, const char *passphrase, struct pki_key **out,
                               struct lest_error *err) LEST_MUST_USE;

/** Read the next private key of a PEM text and move *data, *len past it, as the keys of a CA that changes
 *  stand in one file.
 *  out  the caller's, pki_key_free(); NULL on failure, and with LEST_OK where there is no other
 *  Errors: as pki_key_parse */
enum lest_status pki_key_next(const uint8_t **data, size_t *len, const char *passphrase, struct pki_key **out,
                              struct lest_error *err) LEST_MUST_USE;

/** Read a key from a file, or from a URI with a scheme ("pkcs11:...", hardware.h) through OpenSSL's stores;
 *  "file:" takes a relative path, too. The passphrase of a token is its PIN.
 *  Errors: as pki_key_parse, and those of lest_file_read */
enum lest_status pki_key_load(const char *path_or_uri, const char *passphrase, struct pki_key **out,
                              struct lest_error *err) LEST_MUST_USE;

/** Append PKCS#8 v1 in DER. out is to be wiped. Errors: LEST_E_CRYPTO (a key that does not leave its
 *  token), LEST_E_NOMEM */
enum lest_status pki_key_der(const struct pki_key *key, struct lest_buf *out,
                             struct lest_error *err) LEST_MUST_USE;

/** Append PKCS#8 in PEM, encrypted (PBES2, PBKDF2 with SHA-256, AES-256-CBC) if there is a passphrase; of a
 *  key that a TPM has made, what only that TPM can use. Errors: as pki_key_der */
enum lest_status pki_key_pem(const struct pki_key *key, const char *passphrase, struct lest_buf *out,
                             struct lest_error *err) LEST_MUST_USE;

/** Write pki_key_pem to a file of mode 0600, whole or not at all. */
enum lest_status pki_key_save(const struct pki_key *key, const char *path, const char *passphrase,
                              enum lest_file_how how, struct lest_error *err) LEST_MUST_USE;

/** Whether two keys have the same public half. */
bool pki_key_equal(const struct pki_key *a, const struct pki_key *b);

/** The SubjectPublicKeyInfo, borrowed. */
struct pki_bytes pki_key_spki(const struct pki_key *key);

/** Wrap a key that OpenSSL has made; takes pkey in every case. */
enum lest_status pki_key_adopt(EVP_PKEY *pkey, struct pki_key **out, struct lest_error *err) LEST_MUST_USE;

void pki_key_free(struct pki_key *key);

#endif
