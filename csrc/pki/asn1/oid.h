/* Object identifiers: DER contents, dotted text, and the short names of OpenSSL. */
#ifndef LEST_PKI_ASN1_OID_H
#define LEST_PKI_ASN1_OID_H

#include "pki/asn1/der.h"

/** Bytes of an identifier's dotted text with the NUL. */
enum { PKI_OID_TEXT_MAX = 256 };

/** The identifiers that this layer treats specially. X(name, dotted text, DER contents) */
#define PKI_OIDS(X)                                                                                          \
    X(EC_PUBLIC_KEY, "1.2.840.10045.2.1", "\x2a\x86\x48\xce\x3d\x02\x01")                                    \
    X(P256, "1.2.840.10045.3.1.7", "\x2a\x86\x48\xce\x3d\x03\x01\x07")                                       \
    X(P384, "1.3.132.0.34", "\x2b\x81\x04\x00\x22")                                                          \
    X(P521, "1.3.132.0.35", "\x2b\x81\x04\x00\x23")                                                          \
    X(ED25519, "1.3.101.112", "\x2b\x65\x70")                                                                \
    X(ED448, "1.3.101.113", "\x2b\x65\x71")                                                                  \
    X(RSA, "1.2.840.113549.1.1.1", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")                                   \
    X(PBES2, "1.2.840.113549.1.5.13", "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d")                                \
    X(SCRYPT, "1.3.6.1.4.1.11591.4.11", "\x2b\x06\x01\x04\x01\xda\x47\x04\x0b")                              \
    X(RSA_PSS, "1.2.840.113549.1.1.10", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a")                              \
    X(RSA_SHA256, "1.2.840.113549.1.1.11", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b")                           \
    X(RSA_SHA384, "1.2.840.113549.1.1.12", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c")                           \
    X(RSA_SHA512, "1.2.840.113549.1.1.13", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d")                           \
    X(ECDSA_SHA256, "1.2.840.10045.4.3.2", "\x2a\x86\x48\xce\x3d\x04\x03\x02")                               \
    X(ECDSA_SHA384, "1.2.840.10045.4.3.3", "\x2a\x86\x48\xce\x3d\x04\x03\x03")                               \
    X(ECDSA_SHA512, "1.2.840.10045.4.3.4", "\x2a\x86\x48\xce\x3d\x04\x03\x04")                               \
    X(NO_SIGNATURE, "1.3.6.1.5.5.7.6.2", "\x2b\x06\x01\x05\x05\x07\x06\x02")                                 \
    X(SHA1, "1.3.14.3.2.26", "\x2b\x0e\x03\x02\x1a")                                                         \
    X(SHA256, "2.16.840.1.101.3.4.2.1", "\x60\x86\x48\x01\x65\x03\x04\x02\x01")                              \
    X(SHA384, "2.16.840.1.101.3.4.2.2", "\x60\x86\x48\x01\x65\x03\x04\x02\x02")                              \
    X(SHA512, "2.16.840.1.101.3.4.2.3", "\x60\x86\x48\x01\x65\x03\x04\x02\x03")                              \
    X(HMAC_SHA256, "1.2.840.113549.2.9", "\x2a\x86\x48\x86\xf7\x0d\x02\x09")                                 \
    X(DATA, "1.2.840.113549.1.7.1", "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01")                                  \
    X(SIGNED_DATA, "1.2.840.113549.1.7.2", "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02")                           \
    X(CONTENT_TYPE, "1.2.840.113549.1.9.3", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03")                          \
    X(MESSAGE_DIGEST, "1.2.840.113549.1.9.4", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04")                        \
    X(PKI_DATA, "1.3.6.1.5.5.7.12.2", "\x2b\x06\x01\x05\x05\x07\x0c\x02")                                    \
    X(PKI_RESPONSE, "1.3.6.1.5.5.7.12.3", "\x2b\x06\x01\x05\x05\x07\x0c\x03")                                \
    X(EXTENSION_REQUEST, "1.2.840.113549.1.9.14", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e")                    \
    X(MS_EXTENSION_REQUEST, "1.3.6.1.4.1.311.2.1.14", "\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x0e")            \
    X(CHALLENGE_PASSWORD, "1.2.840.113549.1.9.7", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07")                    \
    X(OTP_CHALLENGE, "1.2.840.113549.1.9.16.2.56", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x38")           \
    X(REVOCATION_CHALLENGE, "1.2.840.113549.1.9.16.2.57", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x39")    \
    X(EST_IDENTITY_LINKING, "1.2.840.113549.1.9.16.2.58", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x3a")    \
    X(CHANGE_SUBJECT_NAME, "1.3.6.1.5.5.7.7.36", "\x2b\x06\x01\x05\x05\x07\x07\x24")                         \
    X(CSR_TEMPLATE, "1.2.840.113549.1.9.16.2.61", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x3d")            \
    X(EXTENSION_TEMPLATE, "1.2.840.113549.1.9.16.2.62", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x3e")      \
    X(SKI, "2.5.29.14", "\x55\x1d\x0e")                                                                      \
    X(KEY_USAGE, "2.5.29.15", "\x55\x1d\x0f")                                                                \
    X(SAN, "2.5.29.17", "\x55\x1d\x11")                                                                      \
    X(BASIC_CONSTRAINTS, "2.5.29.19", "\x55\x1d\x13")                                                        \
    X(CRL_NUMBER, "2.5.29.20", "\x55\x1d\x14")                                                               \
    X(CRL_REASON, "2.5.29.21", "\x55\x1d\x15")                                                               \
    X(CRL_URLS, "2.5.29.31", "\x55\x1d\x1f")                                                                 \
    X(AKI, "2.5.29.35", "\x55\x1d\x23")                                                                      \
    X(EKU, "2.5.29.37", "\x55\x1d\x25")                                                                      \
    X(AIA, "1.3.6.1.5.5.7.1.1", "\x2b\x06\x01\x05\x05\x07\x01\x01")                                          \
    X(OCSP, "1.3.6.1.5.5.7.48.1", "\x2b\x06\x01\x05\x05\x07\x30\x01")                                        \
    X(OCSP_BASIC, "1.3.6.1.5.5.7.48.1.1", "\x2b\x06\x01\x05\x05\x07\x30\x01\x01")                            \
    X(OCSP_NONCE, "1.3.6.1.5.5.7.48.1.2", "\x2b\x06\x01\x05\x05\x07\x30\x01\x02")                            \
    X(CA_ISSUERS, "1.3.6.1.5.5.7.48.2", "\x2b\x06\x01\x05\x05\x07\x30\x02")

enum pki_oid {
#define X(name, text, der) PKI_OID_##name,
    PKI_OIDS(X)
#undef X
        PKI_OID_COUNT
};

/** Whether these contents are that identifier. */
bool pki_oid_is(struct pki_bytes contents, enum pki_oid oid);

/** The dotted text of valid contents; "" where it does not fit. */
void pki_oid_text(struct pki_bytes contents, char text[PKI_OID_TEXT_MAX]);

/** OpenSSL's NID, or 0 (NID_undef). */
int pki_oid_nid(struct pki_bytes contents);

/** OpenSSL's short name, or that of RFC 7894 where it has none; NULL. Lives for ever. */
const char *pki_oid_name(struct pki_bytes contents);

/** The short name, or the dotted text where there is none. */
void pki_oid_describe(struct pki_bytes contents, char text[PKI_OID_TEXT_MAX]);

/** Append the contents for a dotted text or one of OpenSSL's names (short or long, as written).
 *  Errors: LEST_E_MALFORMED (the sentence quotes the text), LEST_E_NOMEM */
enum lest_status pki_oid_parse(const char *text, size_t len, struct lest_buf *out,
                               struct lest_error *err) LEST_MUST_USE;

/** Append an OBJECT IDENTIFIER element. */
void pki_oid_put(struct lest_buf *out, enum pki_oid oid);
enum lest_status pki_oid_put_text(struct lest_buf *out, const char *text, size_t len,
                                  struct lest_error *err) LEST_MUST_USE;

#endif
