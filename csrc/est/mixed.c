#include "est/mixed.h"

#include "est/body.h"
#include "http/value.h"

#include <string.h>

enum { BOUNDARY_MAX = 70 };

/* Lines that are read one after the other; each is without its end. */
struct lines {
    const char *at, *end;
    const char *line_start;
};

static bool next_line(struct lines *in, struct http_slice *line)
{
    if (in->at == in->end)
        return false;
    const char *lf = memchr(in->at, '\n', (size_t)(in->end - in->at));
    const char *stop = lf ? lf : in->end;
    in->line_start = in->at;
    *line = (struct http_slice){ in->at, (size_t)(stop - in->at) };
    if (lf && line->len && line->data[line->len - 1] == '\r')
        line->len--;
    in->at = lf ? lf + 1 : in->end;
    return true;
}

enum delimiter { NO_DELIMITER, PART_FOLLOWS, CLOSED };

static enum delimiter delimiter_of(struct http_slice line, struct http_slice boundary)
{
    if (line.len < 2 + boundary.len || memcmp(line.data, "--", 2) != 0 ||
        memcmp(line.data + 2, boundary.data, boundary.len) != 0)
        return NO_DELIMITER;
    struct http_slice rest = { line.data + 2 + boundary.len, line.len - 2 - boundary.len };
    bool closes = rest.len >= 2 && memcmp(rest.data, "--", 2) == 0;
    if (closes)
        rest = (struct http_slice){ rest.data + 2, rest.len - 2 };
    if (http_trim(rest).len)
        return NO_DELIMITER;
    return closes ? CLOSED : PART_FOLLOWS;
}

/* bchars of RFC 2046 5.1.1; the last one is no space. */
static bool boundary_fits(const struct lest_buf *boundary)
{
    static const char others[] = "'()+_,-./:=? ";
    if (boundary->failed || boundary->len == 0 || boundary->data[boundary->len - 1] == ' ')
        return false;
    for (size_t i = 0; i < boundary->len; i++) {
        char c = (char)boundary->data[i];
        if (!http_is_alnum(c) && (!c || !strchr(others, c)))
            return false;
    }
    return true;
}

static enum lest_status read_boundary(struct http_slice content_type, struct lest_buf *boundary,
                                      struct lest_error *err)
{
    struct http_media_type type;
    const struct http_param *param = NULL;
    if (content_type.data && http_media_type_parse(content_type, &type))
        param = http_media_type_param(&type, "boundary");
    if (param)
        http_unquote(param, boundary);
    if (lest_buf_status(boundary, err) == LEST_E_NOMEM)
        return LEST_E_NOMEM;
    if (!param || !boundary_fits(boundary))
        return lest_error_set(err, LEST_E_MALFORMED, "the media type has no good boundary");
    return LEST_OK;
}

static void append_type(struct est_part *part, size_t *len, struct http_slice text)
{
    if (*len + text.len > EST_MIXED_TYPE_MAX) {
        *len = EST_MIXED_TYPE_MAX + 1;
        return;
    }
    memcpy(part->type + *len, text.data, text.len);
    *len += text.len;
    part->type[*len] = '\0';
}

/* The headers of a part to the empty line after them. */
static enum lest_status read_headers(struct lines *in, struct est_part *part, struct lest_error *err)
{
    struct http_slice line;
    size_t len = 0;
    bool is_type = false, has_type = false;
    part->type[0] = '\0';
    for (int count = 0; count <= EST_MIXED_HEADERS_MAX; count++) {
        if (!next_line(in, &line))
            return lest_error_set(err, LEST_E_MALFORMED, "the headers of a part are cut off");
        if (line.len == 0)
            return len > EST_MIXED_TYPE_MAX
                       ? lest_error_set(err, LEST_E_MALFORMED, "the media type of a part is too long")
                       : LEST_OK;
        /* RFC 2045 has folded headers, which HTTP has not. */
        if ((line.data[0] == ' ' || line.data[0] == '\t') && count > 0) {
            if (is_type) {
                append_type(part, &len, http_text(" "));
                append_type(part, &len, http_trim(line));
            }
            continue;
        }
        const char *colon = memchr(line.data, ':', line.len);
        struct http_slice name = { line.data, colon ? (size_t)(colon - line.data) : 0 };
        if (!http_is_token(name) || !http_is_field_value(line))
            return lest_error_set(err, LEST_E_MALFORMED, "a header of a part is malformed");
        is_type = http_equal_nocase(name, http_text("Content-Type"));
        if (is_type && has_type)
            return lest_error_set(err, LEST_E_MALFORMED, "a part has two media types");
        has_type = has_type || is_type;
        if (is_type)
            append_type(part, &len, http_trim((struct http_slice){ colon + 1, line.len - name.len - 1 }));
    }
    return lest_error_set(err, LEST_E_MALFORMED, "a part has more than %d lines of headers",
                          (int)EST_MIXED_HEADERS_MAX);
}

/* The line end before a delimiter belongs to it. */
static struct http_slice body_between(const char *from, const char *delimiter)
{
    if (delimiter > from && delimiter[-1] == '\n')
        delimiter--;
    if (delimiter > from && delimiter[-1] == '\r')
        delimiter--;
    return (struct http_slice){ from, (size_t)(delimiter - from) };
}

static enum lest_status read_parts(struct lines *in, struct http_slice boundary, struct est_part *parts,
                                   size_t *count, struct lest_error *err)
{
    struct http_slice line;
    const char *body = NULL;
    while (next_line(in, &line)) {
        enum delimiter found = delimiter_of(line, boundary);
        if (found == NO_DELIMITER)
            continue;
        if (body)
            parts[(*count)++].body = body_between(body, in->line_start);
        if (found == CLOSED)
            return *count ? LEST_OK : lest_error_set(err, LEST_E_MALFORMED, "the body has no parts");
        if (*count == EST_MIXED_PARTS_MAX)
            return lest_error_set(err, LEST_E_MALFORMED, "the body has more than %d parts",
                                  (int)EST_MIXED_PARTS_MAX);
        enum lest_status status = read_headers(in, &parts[*count], err);
        if (status)
            return status;
        body = in->at;
    }
    return lest_error_set(err, LEST_E_MALFORMED, "the parts of the body are cut off");
}

enum lest_status est_mixed_decode(struct http_slice content_type, const void *data, size_t len,
                                  struct est_part *parts, size_t *count, struct lest_error *err)
{
    struct lest_buf boundary;
    *count = 0;
    lest_buf_init(&boundary, BOUNDARY_MAX);
    enum lest_status status = read_boundary(content_type, &boundary, err);
    if (status == LEST_OK && len == 0)
        status = lest_error_set(err, LEST_E_MALFORMED, "the body is empty");
    if (status == LEST_OK) {
        struct lines in = { data, (const char *)data + len, data };
        status =
            read_parts(&in, (struct http_slice){ (char *)boundary.data, boundary.len }, parts, count, err);
    }
    if (status)
        *count = 0;
    lest_buf_free(&boundary);
    return status;
}

#define DELIMITER "--lest-serverkeygen-part"

static void append_lines(struct lest_buf *out, const struct lest_buf *text)
{
    if (text->len == 0)
        return;
    struct lines in = { (const char *)text->data, (const char *)text->data + text->len, NULL };
    struct http_slice line;
    while (next_line(&in, &line)) {
        lest_buf_append(out, line.data, line.len);
        lest_buf_append_str(out, "\r\n");
    }
}

void est_mixed_encode(const struct est_content *contents, size_t count, size_t wrap, bool transfer_encoding,
                      struct lest_buf *out)
{
    struct lest_buf text;
    for (size_t i = 0; i < count; i++) {
        lest_buf_init(&text, out->max);
        est_body_encode(contents[i].der, contents[i].len, wrap, &text);
        lest_buf_append_str(out, DELIMITER "\r\nContent-Type: ");
        lest_buf_append_str(out, contents[i].type);
        lest_buf_append_str(out,
                            transfer_encoding ? "\r\nContent-Transfer-Encoding: base64\r\n\r\n" : "\r\n\r\n");
        append_lines(out, &text);
        out->failed = out->failed || text.failed;
        out->too_large = out->too_large || text.too_large;
        lest_buf_wipe(&text);
    }
    lest_buf_append_str(out, DELIMITER "--\r\n");
}
