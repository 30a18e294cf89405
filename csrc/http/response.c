#include "http/response.h"

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    { 100, "Continue" },
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 204, "No Content" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 407, "Proxy Authentication Required" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 411, "Length Required" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 417, "Expectation Failed" },
    { 421, "Misdirected Request" },
    { 422, "Unprocessable Content" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}

void http_response_start(struct lest_buf *out, int status)
{
    /* The blank before the phrase stays even without one: RFC 9112 4 says so, and clients look for it. */
    lest_buf_append_str(out, "HTTP/1.1 ");
    lest_buf_append_number(out, status);
    lest_buf_append_byte(out, ' ');
    lest_buf_append_str(out, http_reason(status));
    lest_buf_append(out, "\r\n", 2);
}

enum lest_status http_response_header(struct lest_buf *out, struct http_slice name, struct http_slice value,
                                      struct lest_error *err)
{
    if (!http_is_token(name))
        return lest_error_set(err, LEST_E_MALFORMED, "a header name is not a token");
    if (!http_is_field_value(value))
        return lest_error_set(err, LEST_E_MALFORMED, "the header %.*s has a control character",
                              (int)(name.len < 64 ? name.len : 64), name.data);
    lest_buf_append(out, name.data, name.len);
    lest_buf_append(out, ": ", 2);
    lest_buf_append(out, value.data, value.len);
    lest_buf_append(out, "\r\n", 2);
    return lest_buf_status(out, err);
}

void http_response_text(struct lest_buf *out, const char *name, const char *value)
{
    lest_buf_append_str(out, name);
    lest_buf_append(out, ": ", 2);
    lest_buf_append_str(out, value);
    lest_buf_append(out, "\r\n", 2);
}

void http_response_number(struct lest_buf *out, const char *name, size_t value)
{
    lest_buf_append_str(out, name);
    lest_buf_append(out, ": ", 2);
    lest_buf_append_number(out, (int64_t)value);
    lest_buf_append(out, "\r\n", 2);
}

void http_response_end(struct lest_buf *out)
{
    lest_buf_append(out, "\r\n", 2);
}
