#include "http/request.h"

#include "base/hex.h"
#include "http/value.h"

#include <string.h>

const struct http_limits http_limits_default = { 8 * 1024, 16 * 1024, HTTP_HEADERS_MAX, false };

static const char *const methods[] = {
    [HTTP_GET] = "GET",     [HTTP_HEAD] = "HEAD",     [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",     [HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS",
    [HTTP_PATCH] = "PATCH", [HTTP_TRACE] = "TRACE",   [HTTP_CONNECT] = "CONNECT",
};
_Static_assert(sizeof methods / sizeof *methods == HTTP_METHOD_UNKNOWN, "every method has its name");

const char *http_method_name(enum http_method method)
{
    return (unsigned)method < HTTP_METHOD_UNKNOWN ? methods[method] : "";
}

enum http_method http_method_find(struct http_slice name)
{
    int i = HTTP_GET;
    while (i < HTTP_METHOD_UNKNOWN && !http_equal(name, http_text(methods[i])))
        i++;
    return (enum http_method)i;
}

static bool refuse(struct http_refusal *why, int status, const char *reason)
{
    *why = (struct http_refusal){ status, reason };
    return false;
}

/* Where a line begins and ends in the bytes received. */
struct cursor {
    const char *data;
    size_t len;
    size_t pos;
};

/* The line at the cursor, without its CRLF. A line whose LF is not among the first `limit` bytes after the
 * cursor is too long, which is found out the same way whether the rest has come or not. */
static enum http_result next_line(struct cursor *at, size_t limit, int too_long, struct http_slice *line,
                                  struct http_refusal *why)
{
    size_t have = at->len - at->pos;
    const char *start = have ? at->data + at->pos : NULL;
    const char *lf = have ? memchr(start, '\n', have < limit ? have : limit) : NULL;
    if (!lf) {
        if (have < limit)
            return HTTP_MORE;
        refuse(why, too_long, too_long == 414 ? "the request line is too long" : "the header is too long");
        return HTTP_REFUSED;
    }
    size_t used = (size_t)(lf - start) + 1;
    if (used < 2 || lf[-1] != '\r') {
        refuse(why, 400, "a line ends in a bare LF");
        return HTTP_REFUSED;
    }
    *line = (struct http_slice){ start, used - 2 };
    if (line->len && memchr(line->data, '\r', line->len)) {
        refuse(why, 400, "a CR stands inside a line");
        return HTTP_REFUSED;
    }
    at->pos += used;
    return HTTP_DONE;
}

/* uri-host [":" port] as it is used by hosts that exist: no percent-encoding, no user information, and none
 * of sub-delims, so that "a,b" (two Host fields joined by a proxy) is no host. */
static bool is_authority(struct http_slice s)
{
    size_t i = 0;
    if (s.len && s.data[0] == '[') {
        while (++i < s.len && s.data[i] != ']')
            if (lest_hex_value(s.data[i]) < 0 && s.data[i] != ':' && s.data[i] != '.')
                return false;
        if (i >= s.len || i < 3)
            return false;
        i++;
    } else {
        while (i < s.len && (http_is_alnum(s.data[i]) || strchr("-._", s.data[i])) && s.data[i])
            i++;
        if (i == 0)
            return false;
    }
    if (i == s.len)
        return true;
    uint64_t port;
    struct http_slice digits = { s.data + i + 1, s.len - i - 1 };
    if (s.data[i] != ':')
        return false;
    return digits.len == 0 || (digits.len <= 5 && http_decimal(digits, &port) && port <= 65535);
}

/* How a URI of here begins, and the port that need not be said. */
struct scheme {
    const char *start, *port, *refusal;
};
static const struct scheme schemes[] = {
    { "https://", ":443", "the request target is neither a path nor an https URI" },
    { "http://", ":80", "the request target is neither a path nor an http URI" },
};

/* "host", "host:" and "host:443" name the same https authority (RFC 9110 4.2.3). */
static struct http_slice without_default_port(struct http_slice s, const struct scheme *scheme)
{
    size_t len = strlen(scheme->port);
    if (s.len > len && memcmp(s.data + s.len - len, scheme->port, len) == 0)
        s.len -= len;
    else if (s.len && s.data[s.len - 1] == ':')
        s.len--;
    return s;
}

/* Only the characters of RFC 3986, so that a proxy on the way cannot read another path out of the target. */
static bool check_target_text(struct http_slice s, const char *more, struct http_refusal *why)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c == '%') {
            if (s.len - i < 3 || lest_hex_value(s.data[i + 1]) < 0 || lest_hex_value(s.data[i + 2]) < 0)
                return refuse(why, 400, "the request target has a malformed percent-encoding");
            i += 2;
        } else if (!http_is_pchar(c) && (!c || !strchr(more, c))) {
            return refuse(why, 400, "the request target has a character that a URI cannot hold");
        }
    }
    return true;
}

/* A target of a form that its method alone may have (RFC 9112 3.2.3, 3.2.4), which is
 * right and of no use here. */
static bool is_of_another_form(const struct http_request *r)
{
    return (r->method == HTTP_CONNECT && is_authority(r->target)) ||
           (r->method == HTTP_OPTIONS && http_equal(r->target, http_text("*")));
}

/* origin-form, or absolute-form with the scheme (RFC 9112 3.2); *authority is empty with the former. */
static bool parse_target(struct http_request *r, const struct scheme *scheme, struct http_slice *authority,
                         struct http_refusal *why)
{
    struct http_slice rest = r->target;
    *authority = (struct http_slice){ NULL, 0 };
    if (is_of_another_form(r))
        return refuse(why, 501, "neither a tunnel nor the options of the whole server are offered here");
    if (rest.len && rest.data[0] != '/') {
        struct http_slice start = { rest.data, strlen(scheme->start) };
        if (rest.len < start.len || !http_equal_nocase(start, http_text(scheme->start)))
            return refuse(why, 400, scheme->refusal);
        rest.data += start.len;
        rest.len -= start.len;
        authority->data = rest.data;
        while (authority->len < rest.len && !strchr("/?", rest.data[authority->len]))
            authority->len++;
        if (!is_authority(*authority))
            return refuse(why, 400, "the request target has a malformed host");
        rest.data += authority->len;
        rest.len -= authority->len;
    }
    const char *mark = rest.len ? memchr(rest.data, '?', rest.len) : NULL;
    r->path = (struct http_slice){ rest.data, mark ? (size_t)(mark - rest.data) : rest.len };
    r->query = (struct http_slice){ NULL, 0 };
    if (mark)
        r->query = (struct http_slice){ mark + 1, rest.len - r->path.len - 1 };
    if (r->path.len == 0)
        r->path = http_text("/");
    return check_target_text(r->path, "/", why) && check_target_text(r->query, "/?", why);
}

static bool parse_version(struct http_slice s, int *minor, struct http_refusal *why)
{
    if (s.len != 8 || memcmp(s.data, "HTTP/", 5) != 0 || !http_is_digit(s.data[5]) || s.data[6] != '.' ||
        !http_is_digit(s.data[7]))
        return refuse(why, 400, "the request line does not end in an HTTP version");
    *minor = s.data[7] - '0';
    if (s.data[5] != '1' || *minor > 1)
        return refuse(why, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    return true;
}

/* method SP request-target SP HTTP-version (RFC 9112 3), with exactly these blanks. */
static bool parse_request_line(struct http_slice line, struct http_request *r, const struct scheme *scheme,
                               struct http_slice *authority, struct http_refusal *why)
{
    const char *end = line.data + line.len;
    const char *first = line.len ? memchr(line.data, ' ', line.len) : NULL;
    const char *second = first ? memchr(first + 1, ' ', (size_t)(end - first - 1)) : NULL;
    if (!second || second == first + 1)
        return refuse(why, 400, "the request line is not method, target and version");
    r->method_name = (struct http_slice){ line.data, (size_t)(first - line.data) };
    r->target = (struct http_slice){ first + 1, (size_t)(second - first - 1) };
    if (!http_is_token(r->method_name))
        return refuse(why, 400, "the method is not a token");
    r->method = http_method_find(r->method_name);
    struct http_slice version = { second + 1, (size_t)(end - second - 1) };
    return parse_version(version, &r->minor, why) && parse_target(r, scheme, authority, why);
}

/* One field line without its line end (RFC 9112 5). */
static bool parse_field(struct http_slice line, struct http_header *out, struct http_refusal *why)
{
    if (line.len && (line.data[0] == ' ' || line.data[0] == '\t'))
        return refuse(why, 400, "a header line begins with a blank (line folding is obsolete)");
    const char *colon = line.len ? memchr(line.data, ':', line.len) : NULL;
    if (!colon)
        return refuse(why, 400, "a header line has no colon");
    out->name = (struct http_slice){ line.data, (size_t)(colon - line.data) };
    out->value = (struct http_slice){ colon + 1, line.len - out->name.len - 1 };
    if (!http_is_token(out->name))
        return refuse(why, 400, "a header name is not a token");
    if (!http_is_field_value(out->value))
        return refuse(why, 400, "a header value has a control character");
    out->value = http_trim(out->value);
    return true;
}

static enum http_result parse_fields(struct cursor *at, const struct http_limits *limits,
                                     struct http_request *r, struct http_refusal *why)
{
    size_t max = limits->headers_max < HTTP_HEADERS_MAX ? limits->headers_max : HTTP_HEADERS_MAX;
    size_t start = at->pos;
    r->header_count = 0;
    for (;;) {
        struct http_slice line;
        enum http_result result = next_line(at, limits->fields_max - (at->pos - start), 431, &line, why);
        if (result != HTTP_DONE || line.len == 0)
            return result;
        if (r->header_count == max) {
            refuse(why, 431, "too many header lines");
            return HTTP_REFUSED;
        }
        if (!parse_field(line, &r->headers[r->header_count], why))
            return HTTP_REFUSED;
        r->header_count++;
    }
}

static const struct http_header *find(const struct http_request *r, const char *name, size_t *count)
{
    const struct http_header *first = NULL;
    *count = 0;
    for (size_t i = 0; i < r->header_count; i++) {
        if (!http_equal_nocase(r->headers[i].name, http_text(name)))
            continue;
        if ((*count)++ == 0)
            first = &r->headers[i];
    }
    return first;
}

const struct http_header *http_request_header(const struct http_request *request, const char *name)
{
    size_t count;
    return find(request, name, &count);
}

/* RFC 9112 3.2: "A server MUST respond with a 400 status code to any HTTP/1.1 request message that lacks a
 * Host header field and to any request message that contains more than one Host header field line or a Host
 * header field with an invalid field value." */
static bool judge_host(struct http_request *r, const struct scheme *scheme, struct http_slice authority,
                       struct http_refusal *why)
{
    size_t count;
    const struct http_header *host = find(r, "Host", &count);
    if (count > 1)
        return refuse(why, 400, "there is more than one Host header");
    if (!host && r->minor > 0)
        return refuse(why, 400, "the Host header is missing");
    if (host && !is_authority(host->value))
        return refuse(why, 400, "the Host header is no host");
    if (host && authority.len &&
        !http_equal_nocase(without_default_port(host->value, scheme),
                           without_default_port(authority, scheme)))
        return refuse(why, 400, "the Host header and the request target name different hosts");
    r->host = host ? host->value : authority;
    return true;
}

/* What a message means must not depend on which of two values a reader takes. */
static bool judge_singletons(const struct http_request *r, struct http_refusal *why)
{
    size_t count;
    find(r, "Content-Length", &count);
    if (count > 1)
        return refuse(why, 400, "there is more than one Content-Length header");
    find(r, "Transfer-Encoding", &count);
    if (count > 1)
        return refuse(why, 400, "there is more than one Transfer-Encoding header");
    find(r, "Content-Type", &count);
    if (count > 1)
        return refuse(why, 400, "there is more than one Content-Type header");
    find(r, "Authorization", &count);
    if (count > 1)
        return refuse(why, 400, "there is more than one Authorization header");
    return true;
}

/* A coding besides chunked is not understood (501) if chunked still ends the list, so that the message is at
 * least framed; every other list leaves the length of the body unknown (400). RFC 9112 6.1, 6.3. */
static bool judge_transfer_encoding(struct http_slice value, struct http_refusal *why)
{
    struct http_slice rest = value, item, last = { NULL, 0 };
    size_t count = 0, chunked = 0;
    while (http_list_next(&rest, &item)) {
        count++;
        last = item;
        chunked += http_equal_nocase(item, http_text("chunked"));
    }
    if (count == 1 && http_equal_nocase(value, http_text("chunked")))
        return true;
    if (chunked == 1 && count > 1 && http_equal_nocase(last, http_text("chunked")))
        return refuse(why, 501, "the only transfer coding understood is chunked");
    return refuse(why, 400, "the Transfer-Encoding header does not end in chunked");
}

static bool judge_body(struct http_request *r, struct http_refusal *why)
{
    const struct http_header *length = http_request_header(r, "Content-Length");
    const struct http_header *coding = http_request_header(r, "Transfer-Encoding");
    r->framing = HTTP_BODY_NONE;
    r->body_len = 0;
    if (coding && length)
        return refuse(why, 400, "there are both Content-Length and Transfer-Encoding");
    if (coding && r->minor == 0)
        return refuse(why, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (coding) {
        r->framing = HTTP_BODY_CHUNKED;
        return judge_transfer_encoding(coding->value, why);
    }
    if (length) {
        r->framing = HTTP_BODY_LENGTH;
        if (!http_decimal(length->value, &r->body_len))
            return refuse(why, 400, "the Content-Length header is not a decimal number");
    }
    return true;
}

static bool judge_expect(struct http_request *r, struct http_refusal *why)
{
    r->expect_continue = false;
    /* RFC 9110 10.1.1: a server that receives it in an HTTP/1.0 request MUST ignore it. */
    if (r->minor == 0)
        return true;
    for (size_t i = 0; i < r->header_count; i++) {
        if (!http_equal_nocase(r->headers[i].name, http_text("Expect")))
            continue;
        if (!http_equal_nocase(r->headers[i].value, http_text("100-continue")))
            return refuse(why, 417, "the only expectation understood is 100-continue");
        r->expect_continue = r->framing == HTTP_BODY_CHUNKED || r->body_len > 0;
    }
    return true;
}

static bool judge_connection(struct http_request *r, struct http_refusal *why)
{
    bool close = false, keep_alive = r->minor > 0;
    for (size_t i = 0; i < r->header_count; i++) {
        if (!http_equal_nocase(r->headers[i].name, http_text("Connection")))
            continue;
        struct http_slice rest = r->headers[i].value, item;
        while (http_list_next(&rest, &item)) {
            if (!http_is_token(item))
                return refuse(why, 400, "the Connection header is not a list of tokens");
            close = close || http_equal_nocase(item, http_text("close"));
            keep_alive = keep_alive || http_equal_nocase(item, http_text("keep-alive"));
        }
    }
    r->keep_alive = keep_alive && !close;
    return true;
}

/* What begins neither a method nor an empty line is told at once: a ClientHello, say, has no line to wait for
 * the end of. */
static bool check_first(const char *data, size_t len, struct http_refusal *why)
{
    if (!len || http_is_tchar(*data) || *data == '\r' || *data == '\n')
        return true;
    return refuse(why, 400, "this is the beginning of no HTTP request");
}

enum http_result http_request_parse(const char *data, size_t len, const struct http_limits *limits,
                                    struct http_request *out, struct http_refusal *why)
{
    struct cursor at = { data, len, 0 };
    struct http_slice line, authority;
    if (!limits)
        limits = &http_limits_default;
    const struct scheme *scheme = &schemes[limits->is_plain];
    if (!check_first(data, len, why))
        return HTTP_REFUSED;
    enum http_result result = next_line(&at, limits->line_max, 414, &line, why);
    /* RFC 9112 2.2: "a server [...] SHOULD ignore at least one empty line (CRLF) received prior to the
     * request-line." */
    if (result == HTTP_DONE && line.len == 0)
        result = next_line(&at, limits->line_max - at.pos, 414, &line, why);
    if (result != HTTP_DONE)
        return result;
    if (!parse_request_line(line, out, scheme, &authority, why))
        return HTTP_REFUSED;
    result = parse_fields(&at, limits, out, why);
    if (result != HTTP_DONE)
        return result;
    if (!judge_host(out, scheme, authority, why) || !judge_singletons(out, why) || !judge_body(out, why) ||
        !judge_expect(out, why) || !judge_connection(out, why))
        return HTTP_REFUSED;
    out->head_len = at.pos;
    return HTTP_DONE;
}
