/* Certification requests, PKCS#10 (RFC 2986, RFC 7030 4.2.1) or CRMF (RFC 4211): parsed strictly, verified,
 * built. */
#ifndef LEST_PKI_X509_CSR_H
#define LEST_PKI_X509_CSR_H

#include "pki/asn1/attr.h"
#include "pki/asn1/ext.h"
#include "pki/asn1/oid.h"
#include "pki/key/key.h"
#include "pki/key/verifier.h"
#include "pki/x509/challenge.h"

enum {
    PKI_CSR_MAX = 64 * 1024,
    PKI_CSR_ATTRIBUTES_MAX = 64,
    PKI_CSR_EXTENSIONS_MAX = 64,
    PKI_CSR_VALUES_MAX = 64,    /* of one attribute */
    PKI_CSR_RSA_BITS_MAX = 8192 /* checking costs time with the cube of this */
};

/** What is tolerated in a request. Alternative names are not among it: they are asked for. */
enum { PKI_CSR_FLAWS = PKI_FLAW_BOOLEAN | PKI_FLAW_VERSION | PKI_FLAW_EXTENSION };

/** PKCS#10 is what EST has; CRMF comes in a message of CMC alone (RFC 5272 3.2.1.2). */
enum pki_csr_form { PKI_CSR_PKCS10, PKI_CSR_CRMF };

/** A parsed request. Everything but spki, of CRMF also key, and the texts of challenges points into der, a
 *  copy of what was received.
 *  form        of it; der of CRMF is the whole CertReqMsg
 *  id          of CRMF: its certReqId
 *  info        the whole CertificationRequestInfo or CertRequest, over which the signature is
 *  attributes  contents of [0], or of the controls, for pki_csr_next_attribute(); empty if absent
 *  extensions  contents of the requested Extensions, for pki_ext_next(); data NULL if none are requested
 *  san         the whole GeneralNames; data NULL if there is none
 *  version     0, or what it says instead (PKI_FLAW_VERSION)
 *  flaws       what it has of PKI_CSR_FLAWS
 *  key_usage   bit n of RFC 5280 4.2.1.3 as 1 << n; -1 where the extension is absent
 *  eku         contents of ExtKeyUsageSyntax; data NULL if there is none
 *  spki        the public key's one encoding (pki_public_canonical), which may differ from what stands in der
 *  key         what the request says of it; key_storage holds it where it stands there under another tag
 *  is_unsigned no signature is there, or one of id-alg-noSignature: whether the
 *              sender has the key is not proven. algorithm and signature have data NULL where there are none
 *  verifier    made of it at the first need, and given back when the signature was checked; NULL otherwise
 *  challenges  challengePassword and the like, by kind
 *  change      ChangeSubjectName (RFC 6402 2.8): whole Name and whole GeneralNames that are asked for in
 *              place of those of the certificate being renewed; one of them absent (data NULL) means no such
 *              names, both that nothing is asked for */
struct pki_csr {
    struct lest_buf storage, spki_storage, key_storage;
    enum pki_csr_form form;
    uint32_t id;
    struct pki_bytes der, info, subject, spki, attributes, extensions, san, eku;
    struct pki_challenge challenges[PKI_CHALLENGE_COUNT];
    struct pki_bytes algorithm, signature;
    bool is_unsigned;
    struct pki_csr_change {
        struct pki_bytes subject, san;
    } change;
    int64_t version;
    unsigned flaws;
    int key_usage;
    struct pki_spki key;
    struct pki_verifier *verifier;
};

/** Parse one request, DER or PEM told apart by looking, nothing after it. PKCS#10 (RFC 2986 4): version 0 or
 *  another; [0] may be absent; at most one extensionRequest (Microsoft's identifier is the same thing) with
 *  one value without an extension twice. Of both: at most one of each of the challenges and one
 *  ChangeSubjectName, with one value; names, alternative names and the public key readable. The signature is
 *  not checked.
 *  data, len  borrowed for the call
 *  how        PKI_CSR_KEY_LATER only looks at the public key's encoding (pki_spki_read): whether there is
 *             such a key is seen when it is asked for, which a process that only looks at requests never does
 *  out        the caller's, pki_csr_free(); NULL on failure
 *  Errors: LEST_E_CSR_MALFORMED, LEST_E_KEY_UNSUPPORTED (no algorithm for the public key), LEST_E_PEM,
 * LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum pki_csr_how { PKI_CSR_KEY_NOW, PKI_CSR_KEY_LATER };
enum lest_status pki_csr_parse(const void *data, size_t len, enum pki_csr_how how, struct pki_csr **out,
                               struct lest_error *err) LEST_MUST_USE;
void pki_csr_free(struct pki_csr *csr);

/** Read the next of the contents of attributes, in either form. */
bool pki_csr_next_attribute(const struct pki_csr *csr, struct pki_der *in, struct pki_attr *attribute);

/** Check the self-signature over the bytes as they were received (RFC 2986 4.2, RFC 4211 4.1). It proves that
 *  the sender has the private key.
 *  allow_weak  take keys and digests under 112 bits (RSA under 2048, MD5, SHA-1), which are refused otherwise
 *  Errors: LEST_E_CSR_SIGNATURE, LEST_E_CSR_UNPROVEN (there is none), LEST_E_CSR_WEAK, LEST_E_NOMEM */
enum lest_status pki_csr_verify(struct pki_csr *csr, bool allow_weak, struct lest_error *err) LEST_MUST_USE;

/** Make the verifier where there is none.
 *  Errors: LEST_E_CSR_MALFORMED, LEST_E_KEY_UNSUPPORTED, LEST_E_NOMEM */
enum lest_status pki_csr_need_verifier(struct pki_csr *csr, struct lest_error *err) LEST_MUST_USE;

/** The kind of the public key, and with its strength, as pki_public_describe tells them. For the kind alone
 *  no key is made where it can be told without. */
void pki_csr_key_type(const struct pki_csr *csr, char type[PKI_KEY_TYPE_MAX]);
void pki_csr_describe_key(const struct pki_csr *csr, char type[PKI_KEY_TYPE_MAX], int *security_bits);

/** What a new request says. Absent bytes (data NULL) are left out; spans are borrowed.
 *  form, id     as in struct pki_csr
 *  subject      whole Name; absent is the empty name
 *  san          whole GeneralNames
 *  key_usage    bits as in struct pki_csr; 0 for none
 *  eku          contents of ExtKeyUsageSyntax (a run of OBJECT IDENTIFIER elements)
 *  extensions   a run of whole Extension elements, added after those
 *  attributes   a run of whole Attribute elements; in CRMF each value is a control
 *  challenges   UTF-8, by kind
 *  change       as in struct pki_csr
 *  digest       as pki_signer_new */
struct pki_csr_plan {
    enum pki_csr_form form;
    uint32_t id;
    const struct pki_key *key;
    const char *digest;
    struct pki_bytes subject, san, eku, extensions, attributes, challenges[PKI_CHALLENGE_COUNT];
    struct pki_csr_change change;
    unsigned key_usage;
};

/** Build and sign a request. Of PKCS#10, the empty [0] is written where there are no attributes (RFC 2986
 *  4.1). The result is parsed again, so what pki_csr_parse refuses is never returned.
 *  Errors: LEST_E_CSR_MALFORMED, LEST_E_KEY_UNSUPPORTED, LEST_E_CRYPTO, LEST_E_NOMEM */
enum lest_status pki_csr_build(const struct pki_csr_plan *plan, struct pki_csr **out,
                               struct lest_error *err) LEST_MUST_USE;

/** For testers of servers: what stands in a request in place of what belongs there. Absent bytes (data NULL)
 *  leave it as it is; spans are borrowed, and nobody looks at them.
 *  version, spki, attributes  elements; those of no bytes are left out. attributes is the whole [0]
 *  info         the whole CertificationRequestInfo, in place of all of it. It is what is signed
 *  algorithm    the AlgorithmIdentifier of the signature
 *  signature    the BIT STRING, in place of one that is made
 *  sign_with    signs in place of the plan's key; NULL: it does itself */
struct pki_csr_raw {
    struct pki_bytes version, spki, attributes, info, algorithm, signature;
    const struct pki_key *sign_with;
};

/** As pki_csr_build of PKCS#10, but what comes out may be no request at all, and is not parsed.
 *  out     the DER is appended; on failure it may have a part of it
 *  Errors: as pki_csr_build */
enum lest_status pki_csr_build_raw(const struct pki_csr_plan *plan, const struct pki_csr_raw *raw,
                                   struct lest_buf *out, struct lest_error *err) LEST_MUST_USE;

#endif
