/* The controls of CMC (RFC 5272 section 6, RFC 6402 2.5 and 2.6): a number, a name and a type each. */
#ifndef LEST_PKI_CMS_CMC_CONTROL_H
#define LEST_PKI_CMS_CMC_CONTROL_H

#include "pki/asn1/oid.h"

enum { PKI_CMC_BODIES_MAX = 64, PKI_CMC_WITNESS_MAX = 1024 };

/** X(enumerator, number below id-cmc, name, type). The value of a control of type RAW is passed on as it
 *  is. */
#define PKI_CMC_CONTROLS(X)                                                                                  \
    X(STATUS_INFO, 1, "statusInfo", STATUS)                                                                  \
    X(IDENTIFICATION, 2, "identification", TEXT)                                                             \
    X(IDENTITY_PROOF, 3, "identityProof", OCTETS)                                                            \
    X(DATA_RETURN, 4, "dataReturn", OCTETS)                                                                  \
    X(TRANSACTION_ID, 5, "transactionId", NUMBER)                                                            \
    X(SENDER_NONCE, 6, "senderNonce", OCTETS)                                                                \
    X(RECIPIENT_NONCE, 7, "recipientNonce", OCTETS)                                                          \
    X(ADD_EXTENSIONS, 8, "addExtensions", RAW)                                                               \
    X(ENCRYPTED_POP, 9, "encryptedPOP", RAW)                                                                 \
    X(DECRYPTED_POP, 10, "decryptedPOP", RAW)                                                                \
    X(LRA_POP_WITNESS, 11, "lraPOPWitness", WITNESSED)                                                       \
    X(GET_CERT, 15, "getCert", CERT)                                                                         \
    X(GET_CRL, 16, "getCRL", CRL)                                                                            \
    X(REVOKE_REQUEST, 17, "revokeRequest", REVOCATION)                                                       \
    X(REG_INFO, 18, "regInfo", OCTETS)                                                                       \
    X(RESPONSE_INFO, 19, "responseInfo", OCTETS)                                                             \
    X(QUERY_PENDING, 21, "queryPending", OCTETS)                                                             \
    X(POP_LINK_RANDOM, 22, "popLinkRandom", OCTETS)                                                          \
    X(POP_LINK_WITNESS, 23, "popLinkWitness", OCTETS)                                                        \
    X(CONFIRM_CERT_ACCEPTANCE, 24, "confirmCertAcceptance", CERT)                                            \
    X(STATUS_INFO_V2, 25, "statusInfoV2", STATUS)                                                            \
    X(TRUSTED_ANCHORS, 26, "trustedAnchors", RAW)                                                            \
    X(AUTH_DATA, 27, "authData", RAW)                                                                        \
    X(BATCH_REQUESTS, 28, "batchRequests", BODIES)                                                           \
    X(BATCH_RESPONSES, 29, "batchResponses", BODIES)                                                         \
    X(PUBLISH_CERT, 30, "publishCert", RAW)                                                                  \
    X(MOD_CERT_TEMPLATE, 31, "modCertTemplate", RAW)                                                         \
    X(CONTROL_PROCESSED, 32, "controlProcessed", RAW)                                                        \
    X(POP_LINK_WITNESS_V2, 33, "popLinkWitnessV2", MAC)                                                      \
    X(IDENTITY_PROOF_V2, 34, "identityProofV2", MAC)                                                         \
    X(RA_IDENTITY_WITNESS, 35, "raIdentityWitness", BODIES)                                                  \
    X(RESPONSE_BODY, 37, "responseBody", BODIES)

/** What a value is: a UTF8String, an OCTET STRING, an INTEGER, CMCStatusInfo or CMCStatusInfoV2, a list of
 *  body parts or a path of them, LraPopWitness, GetCert or CMCCertId, GetCRL, RevokeRequest, a keyed hash. */
enum pki_cmc_type {
    PKI_CMC_RAW,
    PKI_CMC_TEXT,
    PKI_CMC_OCTETS,
    PKI_CMC_NUMBER,
    PKI_CMC_STATUS,
    PKI_CMC_BODIES,
    PKI_CMC_WITNESSED,
    PKI_CMC_CERT,
    PKI_CMC_CRL,
    PKI_CMC_REVOCATION,
    PKI_CMC_MAC,
};

/** CMCStatus and CMCFailInfo (RFC 5272 6.1.3, 6.1.4): X(enumerator, number, name) */
#define PKI_CMC_STATUSES(X)                                                                                  \
    X(SUCCESS, 0, "success")                                                                                 \
    X(FAILED, 2, "failed")                                                                                   \
    X(PENDING, 3, "pending")                                                                                 \
    X(NO_SUPPORT, 4, "noSupport")                                                                            \
    X(CONFIRM_REQUIRED, 5, "confirmRequired")                                                                \
    X(POP_REQUIRED, 6, "popRequired")                                                                        \
    X(PARTIAL, 7, "partial")
#define PKI_CMC_FAILURES(X)                                                                                  \
    X(BAD_ALG, 0, "badAlg")                                                                                  \
    X(BAD_MESSAGE_CHECK, 1, "badMessageCheck")                                                               \
    X(BAD_REQUEST, 2, "badRequest")                                                                          \
    X(BAD_TIME, 3, "badTime")                                                                                \
    X(BAD_CERT_ID, 4, "badCertId")                                                                           \
    X(UNSUPPORTED_EXT, 5, "unsupportedExt")                                                                  \
    X(MUST_ARCHIVE_KEYS, 6, "mustArchiveKeys")                                                               \
    X(BAD_IDENTITY, 7, "badIdentity")                                                                        \
    X(POP_REQUIRED, 8, "popRequired")                                                                        \
    X(POP_FAILED, 9, "popFailed")                                                                            \
    X(NO_KEY_REUSE, 10, "noKeyReuse")                                                                        \
    X(INTERNAL_CA_ERROR, 11, "internalCAError")                                                              \
    X(TRY_LATER, 12, "tryLater")                                                                             \
    X(AUTH_DATA_FAIL, 13, "authDataFail")

/** The name of a number and the number of a name; NULL and -1 where there is none. */
const char *pki_cmc_status_name(int64_t number);
const char *pki_cmc_failure_name(int64_t number);
int pki_cmc_status_number(const char *name);
int pki_cmc_failure_number(const char *name);

/** A value, what of it its type has; spans are borrowed, and absent ones have data NULL.
 *  bytes       TEXT, OCTETS, and NUMBER (contents of the INTEGER); STATUS: the statusString; MAC: the
 *              witness; REVOCATION: the passphrase
 *  bodies      STATUS, BODIES, WITNESSED (the requests): of a path in a status, its last step
 *  status, failure  STATUS; failure is -1 where there is none
 *  token, time      pendInfo, time in seconds since 1970; CRL has a time alone, 0 where it has none
 *  extended    contents of the identifier of an extendedFailInfo
 *  issuer, serial   CERT (a whole Name), REVOCATION; CRL has the issuer alone. Contents of the
 *                   INTEGER
 *  reason, comment  REVOCATION
 *  digest, mac      MAC: contents of the algorithms' identifiers */
struct pki_cmc_value {
    struct pki_bytes bytes, token, extended, issuer, serial, comment, digest, mac;
    uint32_t bodies[PKI_CMC_BODIES_MAX];
    size_t body_count;
    int64_t status, failure, time, reason;
};

/** A control of a message. number: of PKI_CMC_CONTROLS, 0 where the control is unknown. values: contents of
 *  the SET, one DER element after another. */
struct pki_cmc_control {
    uint32_t id;
    unsigned number;
    struct pki_bytes oid, values;
};

/** The name and the type of a known control; NULL for another. */
const char *pki_cmc_control_name(unsigned number, enum pki_cmc_type *type);

/** The number of a name, 0 where there is none; of an identifier's contents. */
unsigned pki_cmc_control_number(const char *name);
unsigned pki_cmc_control_find(struct pki_bytes oid);

/** Read a body part id. Zero is none where it names a part, and the message where one refers to it. */
bool pki_cmc_id(struct pki_der *in, bool may_be_zero, uint32_t *id);

/** Read the one value of a known control that is not RAW. */
bool pki_cmc_read_value(struct pki_der *in, enum pki_cmc_type type, struct pki_cmc_value *value);

/** Append a control. number: a known one; value: RAW takes bytes, one whole DER element.
 *  Failures are kept in out. */
void pki_cmc_put_control(struct lest_buf *out, uint32_t id, unsigned number,
                         const struct pki_cmc_value *value);

/** Append a keyed hash, of SHA-256 and HMAC with it, as the attribute popLinkWitnessV2 of a CSR has it (RFC
 *  5272 6.3.1). */
void pki_cmc_put_witness(struct lest_buf *out, struct pki_bytes witness);

#endif
