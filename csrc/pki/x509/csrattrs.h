/* CSR attributes (RFC 7030 4.5.2 with the ASN.1 of RFC 8951 section 4, RFC 9908 section 3.2): what a server
 * requires of a CSR.
 *
 *     CsrAttrs ::= SEQUENCE SIZE (0..MAX) OF AttrOrOID
 *     AttrOrOID ::= CHOICE { oid OBJECT IDENTIFIER, attribute Attribute }
 *
 * A template (RFC 9908 3.4) is one of the attributes; what it says is template.h's. */
#ifndef LEST_PKI_X509_CSRATTRS_H
#define LEST_PKI_X509_CSRATTRS_H

#include "pki/asn1/attr.h"
#include "pki/key/public.h"
#include "pki/x509/challenge.h"

enum {
    PKI_CSRATTRS_MAX = 64 * 1024,
    PKI_CSRATTRS_COUNT_MAX = 256,
    PKI_CSRATTRS_ELEMENTS_MAX = 4096,
    PKI_CSRATTRS_DEPTH_MAX = 16,
};

/** Check a whole CsrAttrs and open it for pki_csrattrs_next; nothing may follow it. An empty set of values
 *  is taken (RFC 9908 3.2 allows it in words, the ASN.1 does not), as is anything inside a value that is
 *  well-formed. der is borrowed as long as the reader is used; doc is filled.
 *  Errors: LEST_E_CSRATTRS_MALFORMED, LEST_E_TOO_LARGE */
enum lest_status pki_csrattrs_open(struct pki_bytes der, struct pki_der_doc *doc, struct pki_der *in,
                                   struct lest_error *err) LEST_MUST_USE;

/** The next element of a checked one, or false at the end. A bare OID has no values (data NULL). */
bool pki_csrattrs_next(struct pki_der *in, struct pki_attr *attr);

enum { PKI_CSR_SIGNATURES_MAX = 8 };

/** What the elements require of a CSR. Empty texts: nothing of that kind.
 *  key         as everywhere ("ec:P-384", "rsa:4096"), or "ec" and "rsa": any curve, any size
 *  signatures  one of these algorithms (a server lists one for each kind of key), in their order: OpenSSL's
 *              name, the digest in lower case ("sha384", empty where the algorithm leaves no choice), and the
 *              kind of key that signs so ("ec", "rsa", "ed25519")
 *  challenges  a text of that kind (RFC 7030 4.5.2, RFC 7894 4)
 *  extensions  contents of Extensions, to be copied into the CSR */
struct pki_csr_requirements {
    char key[PKI_KEY_TYPE_MAX];
    struct pki_csr_signature {
        char name[PKI_KEY_TYPE_MAX], digest[32], key[PKI_KEY_TYPE_MAX];
    } signatures[PKI_CSR_SIGNATURES_MAX];
    size_t signature_count;
    bool challenges[PKI_CHALLENGE_COUNT];
    struct pki_bytes extensions;
};

enum pki_csr_requirement {
    PKI_CSR_REQUIRES_UNKNOWN,
    PKI_CSR_REQUIRES_KEY,
    PKI_CSR_REQUIRES_SIGNATURE,
    PKI_CSR_REQUIRES_CHALLENGE,
    PKI_CSR_REQUIRES_EXTENSIONS
};

/** Add what one element requires to the rest, which begins zeroed; the first of a kind counts, and of
 *  signatures the first eight. What is not
 *  understood changes nothing and is PKI_CSR_REQUIRES_UNKNOWN, with a problem (a text that lives for ever)
 *  where it is a wrong use of a known identifier, as the example of RFC 7030 4.5.2 has it, and NULL else. */
enum pki_csr_requirement pki_csr_requirements_add(struct pki_csr_requirements *required,
                                                  const struct pki_attr *attr, const char **problem);

/** The kind of key that an element requires; false where it requires none, with a problem as
 *  pki_csr_requirements_add has it. */
bool pki_csrattrs_key_type(const struct pki_attr *attr, char key[PKI_KEY_TYPE_MAX], const char **problem);

/** The one value of an attribute, as a whole, for a reader that doc is of; false where there is not exactly
 *  one. */
bool pki_csrattrs_value(const struct pki_attr *attr, struct pki_der_doc *doc, struct pki_bytes *value);

/** Append the requirement of a kind of key: an attribute with the curve or the size, or the bare OID of an
 *  algorithm that needs neither (RFC 9908 3.2). Errors: LEST_E_KEY_UNSUPPORTED */
enum lest_status pki_csrattrs_put_key(struct lest_buf *out, const char *spec,
                                      struct lest_error *err) LEST_MUST_USE;

/** Append the requirement of extensions, a run of whole Extension elements:
 *  id-ExtensionReq (RFC 9908 3.2). */
void pki_csrattrs_put_extensions(struct lest_buf *out, struct pki_bytes extensions);

/** Append the signature algorithm of a kind of key with a digest. Errors: LEST_E_KEY_UNSUPPORTED */
enum lest_status pki_csrattrs_put_digest(struct lest_buf *out, const char *spec, const char *digest,
                                         struct lest_error *err) LEST_MUST_USE;

/** Check what is to be sent, beyond well-formedness (RFC 9908 3.2): at most one kind of key, at most one
 *  id-ExtensionReq with one value that is Extensions and has no OID twice, no empty set, no element twice.
 *  Errors: LEST_E_CSRATTRS_MALFORMED */
enum lest_status pki_csrattrs_check_ours(struct pki_bytes der, struct lest_error *err) LEST_MUST_USE;

#endif
