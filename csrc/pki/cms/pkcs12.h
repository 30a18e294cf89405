/* PKCS#12 (RFC 7292): a key with its certificates in one file, under a password. Written only. */
#ifndef LEST_PKI_CMS_PKCS12_H
#define LEST_PKI_CMS_PKCS12_H

#include "pki/key/key.h"
#include "pki/x509/cert.h"

enum { PKI_PKCS12_MAX = 1024 * 1024, PKI_PKCS12_CHAIN_MAX = 64 };

/** What goes into one; all is borrowed.
 *  cert, chain  DER; the certificate is the key's
 *  name         what a keystore calls the entry (friendlyName), UTF-8; NULL for none
 *  password     UTF-8, not empty
 *  is_legacy    for readers that know no AES: Triple-DES and a MAC with SHA-1, in place of AES-256,
 *               PBKDF2 and SHA-256 */
struct pki_pkcs12_plan {
    const struct pki_key *key;
    struct pki_bytes cert;
    const struct pki_bytes *chain;
    size_t chain_count;
    const char *name, *password;
    bool is_legacy;
};

/** Append one in DER. out is to be wiped.
 *  Errors: LEST_E_USAGE (the certificate is not the key's), LEST_E_CERT_MALFORMED, LEST_E_CRYPTO (a key that
 *          does not leave its token among others), LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status pki_pkcs12_build(const struct pki_pkcs12_plan *plan, struct lest_buf *out,
                                  struct lest_error *err) LEST_MUST_USE;

#endif
