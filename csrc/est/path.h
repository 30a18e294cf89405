/* Paths and labels (RFC 7030 section 3.2.2). Segments are compared in one normal form: percent-decoded once,
 * and only where an unreserved character comes out (RFC 3986 6.2.2), so that no second reader can see another
 * path in it. Dot segments are never resolved. */
#ifndef LEST_EST_PATH_H
#define LEST_EST_PATH_H

#include "base/error.h"
#include "est/operation.h"

enum { EST_LABEL_MAX = 128 };

/** What a request target names. label is in normal form, ended by NUL and empty without one. */
struct est_route {
    enum est_operation operation;
    char label[EST_LABEL_MAX + 1];
};

/** Find the operation of a request target: /.well-known/est[/label]/operation, a query is ignored. Whether
 * the label exists is for the caller. why  404 and a sentence, where false is returned: outside the prefix,
 * no or another operation, one that is not offered, an empty or dot segment, a trailing slash, "/" or a
 * control character percent-encoded, a label that could not be configured */
bool est_route_parse(struct http_slice target, struct est_route *out, struct http_refusal *why) LEST_MUST_USE;

/** Whether a label may be configured: 1 to 128 characters of pchar (RFC 3986) in normal form, no dot segment,
 *  not reserved (est_name_is_reserved()).
 *  Errors: LEST_E_CONFIG, with a sentence */
enum lest_status est_label_check(struct http_slice label, struct lest_error *err) LEST_MUST_USE;

#endif
