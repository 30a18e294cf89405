/* Whether the media type of a message fits its operation (RFC 7030 section 3.2.4). */
#ifndef LEST_EST_MEDIA_H
#define LEST_EST_MEDIA_H

#include "est/operation.h"

/** Judge the headers of a request with a body. Types are compared in any case, other parameters are ignored,
 *  and the x- form of old stacks is the type without it ("application/x-pkcs10"). An smime-type, where the
 *  operation has one and the message says one, must be that one. A content coding other than identity is
 *  refused, since none is undone.
 *  content_type, content_encoding  values of the headers; data NULL without them
 *  why  415 and a sentence, where false is returned */
bool est_request_media_check(enum est_operation operation, struct http_slice content_type,
                             struct http_slice content_encoding, struct http_refusal *why);

/** Whether the Content-Type of a successful response fits, by the same rules. */
bool est_response_media_fits(enum est_operation operation, struct http_slice content_type);

#endif
