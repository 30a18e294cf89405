/* CMC messages (RFC 5272, 6402): PKIData, the Full PKI Request, and PKIResponse, in SignedData.
 *
 * What a message says is bounded and its controls are read strictly when it is parsed; who signed it is to be
 * checked with pki_signed_verify(). */
#ifndef LEST_PKI_CMS_CMC_H
#define LEST_PKI_CMS_CMC_H

#include "pki/cms/cmc_control.h"
#include "pki/cms/signed.h"

enum {
    PKI_CMC_MAX = 1024 * 1024,
    PKI_CMC_CONTROLS_MAX = 64,
    PKI_CMC_REQUESTS_MAX = 16,
    PKI_CMC_CONTENTS_MAX = 32, /* of cmsSequence and of otherMsgSequence, each */
};

/** One of reqSequence. id: its body part.
 *  der  tcr: the whole CertificationRequest (RFC 2986); crm: the CertReqMsg (RFC 4211) under its tag in the
 *       message; orm: the request's value
 *  oid  orm: contents of its type */
struct pki_cmc_request {
    enum pki_cmc_form { PKI_CMC_TCR, PKI_CMC_CRM, PKI_CMC_ORM } form;
    uint32_t id;
    struct pki_bytes der, oid;
};

/** A body part whose content is passed on: a whole ContentInfo of cmsSequence, or a message of another
 *  kind. */
struct pki_cmc_content {
    uint32_t id;
    struct pki_bytes der;
};

/** A message, all of it in message.der.
 *  is_response       PKIResponse; else PKIData
 *  signer            of the message, where message.signers is 1
 *  ids               of all body parts
 *  request_sequence  the whole reqSequence, over which identity proofs are (5272 6.2.1) */
struct pki_cmc {
    struct pki_pkcs7 message;
    struct pki_signed_by signer;
    bool is_response;
    struct pki_cmc_control controls[PKI_CMC_CONTROLS_MAX];
    struct pki_cmc_request requests[PKI_CMC_REQUESTS_MAX];
    struct pki_cmc_content contents[PKI_CMC_CONTENTS_MAX], others[PKI_CMC_CONTENTS_MAX];
    size_t control_count, request_count, content_count, other_count, id_count;
    uint32_t ids[PKI_CMC_CONTROLS_MAX + PKI_CMC_REQUESTS_MAX + 2 * PKI_CMC_CONTENTS_MAX];
    struct pki_bytes request_sequence;
};

/** Parse one message, DER, BER or PEM: a SignedData of one signer, or none, around PKIData or PKIResponse
 *  with all their sequences and body part ids that are unique and not 0 (5272 3.2.2). A known control has one
 *  value of its type; the values of others are only well-formed.
 *  out  the caller's, pki_cmc_free(); empty on failure
 *  Errors: LEST_E_CMC_MALFORMED, LEST_E_TOO_LARGE, and those of pki_pkcs7_read */
enum lest_status pki_cmc_parse(const void *data, size_t len, struct pki_cmc *out,
                               struct lest_error *err) LEST_MUST_USE;
void pki_cmc_free(struct pki_cmc *cmc);

/** What a new message says; spans are borrowed.
 *  controls   a run of whole TaggedAttributes (pki_cmc_put_control)
 *  requests   a run of whole TaggedRequests (pki_cmc_put_request); PKIData alone has them
 *  contents   a run of whole TaggedContentInfos */
struct pki_cmc_plan {
    bool is_response;
    struct pki_bytes controls, requests, contents;
};

/** Append a request as a TaggedRequest: a whole CertificationRequest, or a whole CertReqMsg, whose id is
 *  within. */
void pki_cmc_put_request(struct lest_buf *out, uint32_t id, struct pki_bytes csr);
void pki_cmc_put_crmf(struct lest_buf *out, struct pki_bytes crmf);

/** Append a whole ContentInfo as a TaggedContentInfo. */
void pki_cmc_put_content(struct lest_buf *out, uint32_t id, struct pki_bytes message);

/** Append the PKIData or PKIResponse that is to be signed. Failures are kept in out. */
void pki_cmc_put(const struct pki_cmc_plan *plan, struct lest_buf *out);

/** Its content type. */
enum pki_oid pki_cmc_type(bool is_response);

#endif
