/* Header values (RFC 9110 section 5.6): lists, parameters, media types, challenges, credentials, dates.
 * Results borrow the text they were read from; only unquoting and decoding write, into a lest_buf. */
#ifndef LEST_HTTP_VALUE_H
#define LEST_HTTP_VALUE_H

#include "base/buf.h"
#include "http/text.h"

/** Take the next element of a comma-separated list (RFC 9110 5.6.1) off *rest; commas inside quoted strings
 *  do not separate, empty elements are skipped. False at the end. */
bool http_list_next(struct http_slice *rest, struct http_slice *item);

/** name=value. A quoted value is without its quotes, still with its backslashes: see http_unquote(). */
struct http_param {
    struct http_slice name;
    struct http_slice value;
    bool quoted;
};

/** Append the value of a parameter as it is meant, backslashes taken away. */
void http_unquote(const struct http_param *param, struct lest_buf *out);

/** Whether a parameter has this value, as it is meant, in any case. */
bool http_param_is(const struct http_param *param, struct http_slice value);

enum { HTTP_PARAMS_MAX = 16 };

/** type "/" subtype *( OWS ";" OWS [ parameter ] ) (RFC 9110 8.3.1), with blanks around it. */
struct http_media_type {
    struct http_slice type;    /* "application" */
    struct http_slice subtype; /* "pkcs10" */
    struct http_slice full;    /* "application/pkcs10" */
    struct http_param params[HTTP_PARAMS_MAX];
    size_t param_count;
};

/** False unless the whole value is one media type of at most HTTP_PARAMS_MAX parameters, none twice. */
bool http_media_type_parse(struct http_slice value, struct http_media_type *out) LEST_MUST_USE;

/** The parameter of this name (any case), or NULL. */
const struct http_param *http_media_type_param(const struct http_media_type *type, const char *name);

/** One challenge of WWW-Authenticate, or the credentials of Authorization: scheme and either a token68 or
 *  parameters (RFC 9110 11.2 to 11.4). */
struct http_challenge {
    struct http_slice scheme;
    struct http_slice token68; /* empty where there are parameters or nothing */
    struct http_param params[HTTP_PARAMS_MAX];
    size_t param_count;
};

/** Take the next challenge of one header value off *rest. 1 with a challenge, 0 at the end, -1 where the rest
 *  is malformed (what came before it stands). */
int http_challenge_next(struct http_slice *rest, struct http_challenge *out) LEST_MUST_USE;

/** The one set of credentials in an Authorization value; false if it is malformed or more than one. */
bool http_credentials_parse(struct http_slice value, struct http_challenge *out) LEST_MUST_USE;

/** Decode the token68 of Basic credentials (RFC 7617 2): "user:password", the password perhaps with colons,
 *  either perhaps empty; control characters are refused.
 *  out       the caller's; gets user, ':', password; a secret: free it with lest_buf_wipe()
 *  user_len  bytes of out before the first colon
 *  Errors: LEST_E_MALFORMED, LEST_E_NOMEM */
enum lest_status http_basic_decode(struct http_slice token68, struct lest_buf *out, size_t *user_len,
                                   struct lest_error *err) LEST_MUST_USE;

/** HTTP-date in its three forms (RFC 9110 5.6.7). The two-digit year of RFC 850 is the one at most 50 years
 *  ahead of now_s. The name of the weekday is not compared with the date.
 *  now_s, out  seconds since 1970, UTC */
bool http_date_parse(struct http_slice text, int64_t now_s, int64_t *out) LEST_MUST_USE;

/** Retry-After (RFC 9110 10.2.3): seconds from now, 0 for a date that has passed, at most INT32_MAX. */
bool http_retry_after_parse(struct http_slice value, int64_t now_s, int64_t *delay_s) LEST_MUST_USE;

#endif
