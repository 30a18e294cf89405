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

/** Read a request target: /.well-known/est[/label]/operation. A query is ignored. Whether there is such a
 *  label is for the caller to see.
 *  why  404 and a sentence, where false is returned: the path is outside the prefix; it names no operation,
 *       or one that is not offered; it has an empty or dot segment, a trailing slash, a percent-encoded "/"
 *       or control character; its label is one that est_label_check() refuses */
bool est_route_parse(struct http_slice target, struct est_route *out, struct http_refusal *why) LEST_MUST_USE;

/** Whether a label may be configured: 1 to 128 characters of pchar (RFC 3986) in normal form, no dot segment,
 *  not reserved (est_name_is_reserved()).
 *  Errors: LEST_E_CONFIG, with a sentence */
enum lest_status est_label_check(struct http_slice label, struct lest_error *err) LEST_MUST_USE;

#endif
