/* The Online Certificate Status Protocol (RFC 6960): requests read, responses built and read. */
#ifndef LEST_PKI_X509_OCSP_H
#define LEST_PKI_X509_OCSP_H

#include "pki/key/digest.h"
#include "pki/key/key.h"
#include "pki/x509/cert.h"

/** Bounds. A nonce has at most 128 octets (RFC 9654 2.1); real clients ask for one certificate or a chain. */
enum {
    PKI_OCSP_REQUEST_MAX = 4096,
    PKI_OCSP_RESPONSE_MAX = 64 * 1024,
    PKI_OCSP_IDS_MAX = 16,
    PKI_OCSP_NONCE_MAX = 128
};

/** A CertID (RFC 6960 4.1.1): the certificate with this serial number of the CA whose name and key have these
 *  hashes. Views into what it was read from.
 *  whole    the element, as a response repeats it
 *  digest   of both hashes; PKI_DIGEST_COUNT for one that is not known here
 *  serial   contents of the INTEGER */
struct pki_ocsp_id {
    struct pki_bytes whole, name_hash, key_hash, serial;
    enum pki_digest digest;
};

/** nonce      contents of its OCTET STRING; data NULL where there is none
 *  is_signed  it has a signature, which is not verified: who asks makes no difference
 *  count      at least 1 */
struct pki_ocsp_request {
    struct pki_ocsp_id ids[PKI_OCSP_IDS_MAX];
    size_t count;
    struct pki_bytes nonce;
    bool is_signed;
};

/** Read one OCSPRequest in DER; all of the input must be it. out has views into der.
 *  Errors: LEST_E_MALFORMED, LEST_E_TOO_LARGE (also more than PKI_OCSP_IDS_MAX certificates), LEST_E_REFUSED
 *  for a critical extension that is not understood, which must not be ignored (RFC 6960 4.4) */
enum lest_status pki_ocsp_request_parse(struct pki_bytes der, struct pki_ocsp_request *out,
                                        struct lest_error *err) LEST_MUST_USE;

/** The digest's name ("sha256"); NULL for PKI_DIGEST_COUNT. */
const char *pki_ocsp_digest_name(enum pki_digest digest);

/** The hashes by which a CertID names a CA: of its whole subject, and of its key's bits.
 *  out  EVP_MAX_MD_SIZE bytes each; *len bytes are written
 *  Errors: LEST_E_CRYPTO, LEST_E_KEY_MALFORMED */
enum lest_status pki_ocsp_hash_issuer(const struct pki_cert *ca, enum pki_digest digest, uint8_t *name_hash,
                                      uint8_t *key_hash, size_t *len, struct lest_error *err) LEST_MUST_USE;

/** Append an OCSPRequest about one certificate of a CA, without a nonce.
 *  serial  contents of the INTEGER
 *  Errors: as pki_ocsp_hash_issuer, LEST_E_NOMEM */
enum lest_status pki_ocsp_request_put(const struct pki_cert *ca, enum pki_digest digest,
                                      struct pki_bytes serial, struct lest_buf *out,
                                      struct lest_error *err) LEST_MUST_USE;

/** What is wrong with a whole request (RFC 6960 4.2.1); SUCCESSFUL stands for a response with bytes. */
enum pki_ocsp_failure {
    PKI_OCSP_SUCCESSFUL = 0,
    PKI_OCSP_MALFORMED_REQUEST = 1,
    PKI_OCSP_INTERNAL_ERROR = 2,
    PKI_OCSP_TRY_LATER = 3,
    PKI_OCSP_SIG_REQUIRED = 5,
    PKI_OCSP_UNAUTHORIZED = 6
};

/** The name of the RFC ("tryLater") and back; NULL for an unknown number, -1 for an unknown name. */
const char *pki_ocsp_failure_name(int64_t failure);
int pki_ocsp_failure_number(const char *name);

/** Append the OCSPResponse of a failure, which nobody signs. */
void pki_ocsp_put_failure(enum pki_ocsp_failure failure, struct lest_buf *out);

/** The state of one certificate: the choices of CertStatus by their tags.
 *  reason  as in struct pki_crl_entry; -1 for none, and it is not written for `unspecified` */
struct pki_ocsp_status {
    int64_t revoked_at;
    enum { PKI_OCSP_GOOD, PKI_OCSP_REVOKED, PKI_OCSP_UNKNOWN } state;
    int reason;
};

/** What a response says. All borrowed; times in seconds since 1970.
 *  ids, statuses  as many as `count`; ids are whole CertIDs, as they were asked
 *  nonce          contents of the OCTET STRING that the request has; data NULL for none */
struct pki_ocsp_answer {
    const struct pki_bytes *ids;
    const struct pki_ocsp_status *statuses;
    size_t count;
    int64_t produced_at, this_update, next_update;
    struct pki_bytes nonce;
};

/** Signs responses; may be used by several threads at once. */
struct pki_ocsp_responder;

/** cert    the responder's, which stands in each response and names the responder by its key
 *  out     the caller's, pki_ocsp_responder_free(); keeps references to both
 *  Errors: LEST_E_ISSUE (not the certificate's key), and those of pki_signer_new */
enum lest_status pki_ocsp_responder_new(struct pki_cert *cert, const struct pki_key *key,
                                        struct pki_ocsp_responder **out,
                                        struct lest_error *err) LEST_MUST_USE;
void pki_ocsp_responder_free(struct pki_ocsp_responder *responder);

/** Append a whole OCSPResponse with a signed BasicOCSPResponse (RFC 6960 4.2.1).
 *  Errors: LEST_E_CRYPTO, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status pki_ocsp_respond(const struct pki_ocsp_responder *responder,
                                  const struct pki_ocsp_answer *answer, struct lest_buf *out,
                                  struct lest_error *err) LEST_MUST_USE;

/** A response that was read. Views into its DER; of a failure, all but `failure` are absent.
 *  failure          the responseStatus, an enum pki_ocsp_failure or a number that is none
 *  responder_name   a whole Name, or
 *  responder_key    the SHA-1 of the responder's key
 *  singles          contents of `responses`, for pki_ocsp_single_next()
 *  algorithm        contents of the signature algorithm's OBJECT IDENTIFIER
 *  certs            contents of the list of certificates; data NULL for none */
struct pki_ocsp_response {
    int64_t failure, produced_at;
    struct pki_bytes responder_name, responder_key, singles, nonce, algorithm, certs;
};

/** One SingleResponse. next_update is PKI_OCSP_NEVER where it does not say. */
struct pki_ocsp_single {
    struct pki_ocsp_id id;
    struct pki_ocsp_status status;
    int64_t this_update, next_update;
};
#define PKI_OCSP_NEVER INT64_MAX

/** Read one OCSPResponse in DER, to its end, each part of it well-formed; no signature is verified.
 *  Errors: LEST_E_MALFORMED, LEST_E_TOO_LARGE */
enum lest_status pki_ocsp_response_parse(struct pki_bytes der, struct pki_ocsp_response *out,
                                         struct lest_error *err) LEST_MUST_USE;

/** Read the SingleResponses of a response that was read: open once, then one by one until false (the end). */
void pki_ocsp_single_open(const struct pki_ocsp_response *response, struct pki_der_doc *doc,
                          struct pki_der *in);
bool pki_ocsp_single_next(struct pki_der *in, struct pki_ocsp_single *single);

/** For the readers of both directions: a version, which may be absent and is v1; a CertID; and a nonce's
 *  value to its end. */
bool pki_ocsp_version_read(struct pki_der *in);
bool pki_ocsp_id_read(struct pki_der *in, struct pki_ocsp_id *id);
bool pki_ocsp_nonce_read(struct pki_der_doc *doc, struct pki_bytes value, struct pki_bytes *nonce);

#endif
