/* X.509 certificates (RFC 5280 section 4), read.
 *
 * The fields are views of the certificate's own bytes, found by the strict DER reader. OpenSSL's X509 costs
 * twenty times as much and is made at the first call that needs it. A certificate is immutable and may be
 * shared between threads. */
#ifndef LEST_PKI_X509_CERT_H
#define LEST_PKI_X509_CERT_H

#include "pki/asn1/der.h"
#include "pki/asn1/ext.h"

#include <openssl/x509.h>

/** Bounds: one certificate; a file of them (a system's trust store has some 150). */
enum { PKI_CERT_MAX = 64 * 1024, PKI_CERTS_MAX = 1024, PKI_CERTS_BYTES_MAX = 4 * 1024 * 1024 };

/** What is tolerated in a certificate, which others made. */
enum { PKI_CERT_FLAWS = PKI_FLAW_BOOLEAN | PKI_FLAW_SAN | PKI_FLAW_NAME };

/** Views into der; absent ones have data NULL.
 *  issuer, subject       Names, whole elements
 *  serial                contents of the INTEGER (two's complement)
 *  spki                  SubjectPublicKeyInfo, whole
 *  signature_algorithm   contents of the algorithm's OBJECT IDENTIFIER
 *  extensions            contents of Extensions, for pki_ext_next
 *  san                   GeneralNames of the subject alternative name, whole; names that cannot be used are
 *                        among them, for a reader that tolerates them
 *  eku                   contents of ExtKeyUsageSyntax
 *  ski, aki              key identifiers
 *  key_usage             bit n of RFC 5280 4.2.1.3 as 1 << n; -1 where the extension is absent
 *  path_len              -1 where there is no limit
 *  flaws                 what it has of PKI_CERT_FLAWS */
struct pki_cert {
    struct pki_bytes der, issuer, subject, serial, spki, signature_algorithm, extensions, san, eku, ski, aki;
    int64_t not_before, not_after;
    int key_usage;
    int path_len;
    unsigned flaws;
    unsigned version; /* 1, 2 or 3 */
    bool is_ca;       /* basicConstraints say cA TRUE */
    struct pki_cert_own *own;
};

/** Certificates, owned; count of them at list. */
struct pki_certs {
    struct pki_cert **list;
    size_t count;
};

/** Parse one certificate, DER or PEM told apart by looking; all of the input must be it. Extensions that
 *  the fields above need must be well-formed, none may stand twice (RFC 5280 4.2), and both signature
 *  algorithms must be the same (4.1.1.2).
 *  data, len  borrowed for the call; at most PKI_CERT_MAX bytes of DER
 *  out        the caller's, free with pki_cert_free(); NULL on failure
 *  Errors: LEST_E_CERT_MALFORMED, LEST_E_PEM, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status pki_cert_parse(const void *data, size_t len, struct pki_cert **out,
                                struct lest_error *err) LEST_MUST_USE;

/** Parse all certificates of a PEM text in their order (other blocks are skipped, none at all is an
 *  error), or the one that is DER. Errors as pki_cert_parse, LEST_E_TOO_LARGE past the bounds above. */
enum lest_status pki_certs_parse(const void *data, size_t len, struct pki_certs *out,
                                 struct lest_error *err) LEST_MUST_USE;

/** As pki_cert_parse from OpenSSL's object, which is kept (one more reference). */
enum lest_status pki_cert_from_x509(X509 *x509, struct pki_cert **out, struct lest_error *err) LEST_MUST_USE;

/** One more reference to the same certificate; never fails. */
struct pki_cert *pki_cert_ref(struct pki_cert *cert);
void pki_cert_free(struct pki_cert *cert);

/** Add to a list, taking over the reference; false for no memory (cert is freed then). */
bool pki_certs_add(struct pki_certs *certs, struct pki_cert *cert);
void pki_certs_free(struct pki_certs *certs);

/** OpenSSL's object, borrowed from cert, made at the first call. NULL on failure.
 *  Errors: LEST_E_CERT_MALFORMED (OpenSSL takes less than the reader above), LEST_E_NOMEM */
X509 *pki_cert_get0_x509(const struct pki_cert *cert, struct lest_error *err);

/** Whether issuer and subject are equal as names: "self-issued" (RFC 5280 3.2). */
bool pki_cert_self_issued(const struct pki_cert *cert);

/** Whether its own key has signed it: a root, not a NewWithOld of the same names (RFC 4210 4.4). */
bool pki_cert_self_signed(const struct pki_cert *cert);

/** SHA-256 of the certificate. Errors: LEST_E_CRYPTO */
enum lest_status pki_cert_fingerprint(const struct pki_cert *cert, uint8_t sha256[32],
                                      struct lest_error *err) LEST_MUST_USE;

/** Whether the certificate is for this host name or IP address literal: by SAN only, never by CN (RFC 9525;
 *  RFC 6125 6.4), "*" only as the whole left-most label. A name is in A-labels. */
bool pki_cert_matches_host(const struct pki_cert *cert, const char *host, size_t len);

/** Append certificates as PEM, in their order. Failures are kept in out. */
void pki_certs_pem(struct pki_cert *const list[], size_t count, struct lest_buf *out);

/** Append an INTEGER's contents as the hex text of a serial number: lower case, whole bytes, no zero byte
 *  in front; "-" before a negative one (RFC 5280 4.1.2.2 asks to cope with them). */
void pki_serial_text(struct pki_bytes contents, struct lest_buf *out);

/** The contents of the INTEGER for the hex text of a number that is not negative, two digits a byte.
 *  storage   where they are written; at most PKI_SERIAL_TEXT_MAX bytes are read from the text
 *  Returns false for what is no such text. */
enum { PKI_SERIAL_TEXT_MAX = 2 * 63 };
bool pki_serial_parse(const char *text, size_t len, uint8_t storage[PKI_SERIAL_TEXT_MAX / 2 + 1],
                      struct pki_bytes *contents);

#endif
