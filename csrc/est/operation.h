/* The operations of EST (RFC 7030 section 3.2.2 and its family) as a table. */
#ifndef LEST_EST_OPERATION_H
#define LEST_EST_OPERATION_H

#include "http/request.h"

/* X(enumerator, path segment, method, offered, request media type, response media type). One that is not
 * offered has its row so that its name is known and reserved; asking for it is 404 (RFC 7030 3.2.2:
 * optional). */
#define EST_OPERATIONS(X)                                                                                    \
    X(CACERTS, "cacerts", HTTP_GET, true, NULL, EST_TYPE_CACERTS)                                            \
    X(SIMPLEENROLL, "simpleenroll", HTTP_POST, true, EST_TYPE_CSR, EST_TYPE_ISSUED)                          \
    X(SIMPLEREENROLL, "simplereenroll", HTTP_POST, true, EST_TYPE_CSR, EST_TYPE_ISSUED)                      \
    X(CSRATTRS, "csrattrs", HTTP_GET, true, NULL, EST_TYPE_CSRATTRS)                                         \
    X(FULLCMC, "fullcmc", HTTP_POST, true, EST_TYPE_CMC_REQUEST, EST_TYPE_CMC_RESPONSE)                      \
    X(SERVERKEYGEN, "serverkeygen", HTTP_POST, true, EST_TYPE_CSR, EST_TYPE_MIXED)

/** Media types as they are sent, to the letter: some clients compare them whole. Of the two bags only what
 *  was issued has the parameter (RFC 7030 4.1.3 and 4.2.3). */
#define EST_TYPE_CSR "application/pkcs10"
#define EST_TYPE_CACERTS "application/pkcs7-mime"
#define EST_TYPE_ISSUED "application/pkcs7-mime; smime-type=certs-only"
#define EST_TYPE_CSRATTRS "application/csrattrs"
#define EST_TYPE_CMC_REQUEST "application/pkcs7-mime; smime-type=CMC-request"
#define EST_TYPE_CMC_RESPONSE "application/pkcs7-mime; smime-type=CMC-response"
#define EST_TYPE_MIXED "multipart/mixed"

enum est_operation {
#define X(id, ...) EST_##id,
    EST_OPERATIONS(X)
#undef X
        EST_OPERATION_COUNT
};

/** One row. request_type is NULL where there is no request body. */
struct est_operation_info {
    const char *name;
    enum http_method method;
    bool offered;
    const char *request_type;
    const char *response_type;
};

/** The row of an operation; NULL outside the enum. */
const struct est_operation_info *est_operation_info(enum est_operation operation);

/** Whether a path segment names an operation (case-sensitive), and which. */
bool est_operation_find(struct http_slice segment, enum est_operation *out);

/** Whether a name is a path segment of EST or of an extension of it, in any case: no label may be it
 *  (RFC 7030 3.2.2), lest a later version take the label for an operation. Covers RFC 7030, 8295, 8995, 9148.
 */
bool est_name_is_reserved(struct http_slice name);

/** Reserved name number i; NULL after the last. */
const char *est_reserved_name(size_t i);

/** Whether a method fits an operation: 0, or 405, or 501 for an unknown method (RFC 9110 9.1).
 *  HEAD is allowed wherever GET is (9110 9.1).
 *  allow  set to the value of the Allow header, which a 405 must carry (RFC 9110 15.5.6) */
int est_method_check(enum est_operation operation, enum http_method method, const char **allow);

#endif
