/* A connection's bytes: a request head, then a chunked body. Cut anywhere, they must mean the same. */
#include "fuzz.h"

#include "http/chunked.h"
#include "http/digest.h"
#include "http/value.h"

enum { CUT_EVERYWHERE_MAX = 128, CUTS = 32, BODY_MAX = 4096 };

/* A short input is cut at every point, a long one here and there: each cut parses all before it again. */
static size_t stride_of(size_t size)
{
    return size > CUT_EVERYWHERE_MAX ? size / CUTS : 1;
}

static bool inside(struct http_slice s, const uint8_t *data, size_t size)
{
    return s.len == 0 || (s.data >= (const char *)data && s.data + s.len <= (const char *)data + size);
}

static void check_request(const struct http_request *r, const uint8_t *data, size_t size)
{
    FUZZ_CHECK(r->head_len <= size && r->header_count <= HTTP_HEADERS_MAX);
    FUZZ_CHECK(inside(r->target, data, r->head_len) && inside(r->query, data, r->head_len));
    FUZZ_CHECK(r->path.len && r->path.data[0] == '/');
    FUZZ_CHECK(r->framing == HTTP_BODY_LENGTH || r->body_len == 0);
    FUZZ_CHECK(!(http_request_header(r, "Content-Length") && http_request_header(r, "Transfer-Encoding")));
    for (size_t i = 0; i < r->header_count; i++) {
        FUZZ_CHECK(inside(r->headers[i].name, data, r->head_len) && http_is_token(r->headers[i].name));
        FUZZ_CHECK(inside(r->headers[i].value, data, r->head_len));
        FUZZ_CHECK(http_is_field_value(r->headers[i].value));
    }
}

static void read_digest(struct http_slice value)
{
    struct http_challenge credentials;
    struct http_digest digest;
    struct lest_buf buf;
    if (!http_credentials_parse(value, &credentials) ||
        http_digest_read(&credentials, &digest, NULL) != LEST_OK)
        return;
    const struct http_param *texts[] = { digest.username, digest.realm, digest.nonce, digest.uri,
                                         digest.cnonce };
    FUZZ_CHECK(digest.nc.len == 8 && digest.response_len <= sizeof digest.response && digest.algorithm);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lest_buf_init(&buf, HTTP_DIGEST_URI_MAX);
        http_unquote(texts[i], &buf);
        FUZZ_CHECK(!buf.failed && buf.len <= texts[i]->value.len);
        lest_buf_free(&buf);
    }
}

static void read_value(struct http_slice value)
{
    struct http_media_type type;
    struct http_challenge challenge;
    struct http_slice rest = value, item;
    struct lest_buf buf;
    size_t user_len, before;
    int64_t seconds;
    read_digest(value);
    lest_buf_init(&buf, 64 * 1024);
    if (http_media_type_parse(value, &type)) {
        FUZZ_CHECK(type.type.len && type.subtype.len && type.param_count <= HTTP_PARAMS_MAX);
        for (size_t i = 0; i < type.param_count; i++)
            http_unquote(&type.params[i], &buf);
    }
    for (before = rest.len + 1; http_challenge_next(&rest, &challenge) == 1; before = rest.len) {
        FUZZ_CHECK(rest.len < before && http_is_token(challenge.scheme));
        lest_buf_free(&buf);
        if (challenge.token68.len && http_basic_decode(challenge.token68, &buf, &user_len, NULL) == LEST_OK)
            FUZZ_CHECK(user_len < buf.len && buf.data[user_len] == ':');
    }
    for (rest = value, before = rest.len + 1; http_list_next(&rest, &item); before = rest.len)
        FUZZ_CHECK(item.len && rest.len < before);
    if (http_date_parse(value, 1700000000, &seconds))
        FUZZ_CHECK(seconds > -70000000000 && seconds < 260000000000);
    if (http_retry_after_parse(value, 1700000000, &seconds))
        FUZZ_CHECK(seconds >= 0 && seconds <= INT32_MAX);
    lest_buf_free(&buf);
}

/* The answer to each beginning is "more" up to the byte that decides, and the final answer from there on. */
static void check_cuts(const uint8_t *data, size_t size, enum http_result whole,
                       const struct http_request *request, const struct http_refusal *refusal)
{
    struct http_request r;
    struct http_refusal why;
    bool decided = false;
    size_t stride = stride_of(size);
    for (size_t len = 0; len < size; len += stride) {
        uint8_t *part = fuzz_copy(data, len);
        enum http_result result = http_request_parse((char *)part, len, NULL, &r, &why);
        free(part);
        FUZZ_CHECK(result == HTTP_MORE ? !decided : result == whole);
        decided = result != HTTP_MORE;
        if (result == HTTP_REFUSED)
            FUZZ_CHECK(why.status == refusal->status && why.reason == refusal->reason);
        if (whole == HTTP_DONE)
            FUZZ_CHECK((result == HTTP_DONE) == (len >= request->head_len));
        if (result == HTTP_DONE)
            FUZZ_CHECK(r.head_len == request->head_len && r.header_count == request->header_count &&
                       r.body_len == request->body_len && r.path.len == request->path.len);
    }
}

static enum http_result decode(const uint8_t *data, size_t size, size_t cut, struct lest_buf *out,
                               size_t *consumed, struct http_refusal *why)
{
    struct http_chunked decoder;
    size_t more = 0;
    *why = (struct http_refusal){ 0, NULL };
    http_chunked_init(&decoder, BODY_MAX);
    enum http_result result = http_chunked_feed(&decoder, (const char *)data, cut, consumed, out, why);
    if (result != HTTP_MORE)
        return result;
    FUZZ_CHECK(*consumed == cut);
    result = http_chunked_feed(&decoder, (const char *)data + cut, size - cut, &more, out, why);
    *consumed += more;
    FUZZ_CHECK(decoder.body_len == out->len);
    return result;
}

static void check_chunked(const uint8_t *data, size_t size)
{
    struct lest_buf whole, cut;
    struct http_refusal whole_why, cut_why;
    size_t whole_len, cut_len;
    lest_buf_init(&whole, BODY_MAX);
    lest_buf_init(&cut, BODY_MAX);
    enum http_result result = decode(data, size, size, &whole, &whole_len, &whole_why);
    FUZZ_CHECK(!whole.failed);
    size_t stride = stride_of(size);
    for (size_t len = 0; len < size; len += stride) {
        FUZZ_CHECK(decode(data, size, len, &cut, &cut_len, &cut_why) == result);
        FUZZ_CHECK(cut_len == whole_len && cut.len == whole.len && cut_why.status == whole_why.status);
        FUZZ_CHECK(cut.len == 0 || memcmp(cut.data, whole.data, cut.len) == 0);
        cut.len = 0;
    }
    lest_buf_free(&whole);
    lest_buf_free(&cut);
}

/* Without TLS a target may be a URI of another scheme, and all else is the same. */
static void check_plain(const uint8_t *data, size_t size, enum http_result with_tls)
{
    struct http_limits limits = http_limits_default;
    struct http_request request;
    struct http_refusal why = { 0, NULL };
    limits.is_plain = true;
    enum http_result result = http_request_parse((const char *)data, size, &limits, &request, &why);
    if (result == HTTP_DONE)
        check_request(&request, data, size);
    if (result == HTTP_DONE && request.target.data[0] == '/')
        FUZZ_CHECK(with_tls == HTTP_DONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request request;
    struct http_refusal why = { 0, NULL };
    uint8_t *copy = fuzz_copy(data, size);
    enum http_result result = http_request_parse((char *)copy, size, NULL, &request, &why);
    if (result == HTTP_DONE)
        check_request(&request, copy, size);
    if (result == HTTP_REFUSED)
        FUZZ_CHECK(why.status >= 400 && why.status <= 505 && why.reason);
    check_plain(copy, size, result);
    check_cuts(data, size, result, &request, &why);
    if (result == HTTP_DONE) {
        for (size_t i = 0; i < request.header_count; i++)
            read_value(request.headers[i].value);
        if (request.framing == HTTP_BODY_CHUNKED)
            check_chunked(data + request.head_len, size - request.head_len);
    }
    free(copy);
    return 0;
}
