#include "http/value.h"

#include "base/base64.h"

#include <string.h>

/* What is left of a value while it is read. */
static bool peek(const struct http_slice *s, char c)
{
    return s->len && s->data[0] == c;
}

static void skip(struct http_slice *s, size_t count)
{
    /* An empty slice may have no data at all. */
    if (count == 0)
        return;
    s->data += count;
    s->len -= count;
}

static void skip_ows(struct http_slice *s)
{
    while (peek(s, ' ') || peek(s, '\t'))
        skip(s, 1);
}

static struct http_slice take_token(struct http_slice *s)
{
    struct http_slice token = { s->data, 0 };
    while (token.len < s->len && http_is_tchar(s->data[token.len]))
        token.len++;
    skip(s, token.len);
    return token;
}

/* At a DQUOTE: the length of the quoted-string with both quotes, or 0 if it does not end. */
static size_t quoted_len(const struct http_slice *s)
{
    for (size_t i = 1; i < s->len; i++) {
        if (s->data[i] == '"')
            return i + 1;
        if (s->data[i] == '\\')
            i++;
    }
    return 0;
}

bool http_list_next(struct http_slice *rest, struct http_slice *item)
{
    for (;;) {
        skip_ows(rest);
        if (!peek(rest, ','))
            break;
        skip(rest, 1);
    }
    *item = (struct http_slice){ rest->data, 0 };
    while (rest->len && !peek(rest, ',')) {
        size_t step = peek(rest, '"') ? quoted_len(rest) : 1;
        if (step == 0)
            step = rest->len;
        item->len += step;
        skip(rest, step);
    }
    *item = http_trim(*item);
    return item->len > 0;
}

/* After the name of a parameter: "=" ( token / quoted-string ), in challenges with blanks around the "=". */
static bool take_value(struct http_slice *s, bool blanks, struct http_param *param)
{
    if (blanks)
        skip_ows(s);
    if (!peek(s, '='))
        return false;
    skip(s, 1);
    if (blanks)
        skip_ows(s);
    param->quoted = peek(s, '"');
    if (!param->quoted) {
        param->value = take_token(s);
        return param->value.len > 0;
    }
    size_t len = quoted_len(s);
    if (len == 0)
        return false;
    param->value = (struct http_slice){ s->data + 1, len - 2 };
    skip(s, len);
    return http_is_field_value(param->value);
}

static const struct http_param *find_param(const struct http_param *params, size_t count,
                                           struct http_slice name)
{
    for (size_t i = 0; i < count; i++)
        if (http_equal_nocase(params[i].name, name))
            return &params[i];
    return NULL;
}

void http_unquote(const struct http_param *param, struct lest_buf *out)
{
    struct http_slice v = param->value;
    for (size_t i = 0; i < v.len; i++) {
        if (param->quoted && v.data[i] == '\\' && i + 1 < v.len)
            i++;
        lest_buf_append_byte(out, (uint8_t)v.data[i]);
    }
}

bool http_param_is(const struct http_param *param, struct http_slice value)
{
    struct http_slice v = param->value;
    size_t at = 0;
    for (size_t i = 0; i < v.len; i++, at++) {
        if (param->quoted && v.data[i] == '\\' && i + 1 < v.len)
            i++;
        if (at == value.len || !http_equal_nocase((struct http_slice){ &v.data[i], 1 },
                                                  (struct http_slice){ &value.data[at], 1 }))
            return false;
    }
    return at == value.len;
}

bool http_media_type_parse(struct http_slice value, struct http_media_type *out)
{
    struct http_slice rest = http_trim(value);
    const char *start = rest.data;
    out->param_count = 0;
    out->type = take_token(&rest);
    if (out->type.len == 0 || !peek(&rest, '/'))
        return false;
    skip(&rest, 1);
    out->subtype = take_token(&rest);
    if (out->subtype.len == 0)
        return false;
    out->full = (struct http_slice){ start, (size_t)(rest.data - start) };
    for (skip_ows(&rest); rest.len; skip_ows(&rest)) {
        if (!peek(&rest, ';'))
            return false;
        skip(&rest, 1);
        skip_ows(&rest);
        struct http_param param = { .name = take_token(&rest) };
        if (param.name.len == 0)
            continue;
        if (out->param_count == HTTP_PARAMS_MAX || find_param(out->params, out->param_count, param.name) ||
            !take_value(&rest, false, &param))
            return false;
        out->params[out->param_count++] = param;
    }
    return true;
}

const struct http_param *http_media_type_param(const struct http_media_type *type, const char *name)
{
    return find_param(type->params, type->param_count, http_text(name));
}

static bool is_token68_char(char c)
{
    return http_is_alnum(c) || (c && strchr("-._~+/", c));
}

/* token68 = 1*( ALPHA / DIGIT / "-._~+/" ) *"=", and nothing but the next element after it. */
static bool take_token68(struct http_slice *s, struct http_slice *out)
{
    size_t len = 0;
    while (len < s->len && is_token68_char(s->data[len]))
        len++;
    if (len == 0)
        return false;
    while (len < s->len && s->data[len] == '=')
        len++;
    struct http_slice after = { s->data + len, s->len - len };
    skip_ows(&after);
    if (after.len && !peek(&after, ','))
        return false;
    *out = (struct http_slice){ s->data, len };
    *s = after;
    return true;
}

/* The parameters of a challenge up to the end, or up to a comma after which something else comes: a scheme
 * is a token that no "=" follows. */
static bool take_params(struct http_slice *rest, struct http_challenge *out)
{
    for (;;) {
        struct http_slice ahead = *rest;
        struct http_param param = { .name = take_token(&ahead) };
        struct http_slice equals = ahead;
        skip_ows(&equals);
        if (param.name.len == 0 || !peek(&equals, '='))
            return true;
        if (!take_value(&ahead, true, &param) || out->param_count == HTTP_PARAMS_MAX ||
            find_param(out->params, out->param_count, param.name))
            return false;
        out->params[out->param_count++] = param;
        skip_ows(&ahead);
        *rest = ahead;
        if (rest->len && !peek(rest, ','))
            return false;
        while (peek(rest, ',') || peek(rest, ' ') || peek(rest, '\t'))
            skip(rest, 1);
    }
}

int http_challenge_next(struct http_slice *rest, struct http_challenge *out)
{
    while (peek(rest, ',') || peek(rest, ' ') || peek(rest, '\t'))
        skip(rest, 1);
    if (rest->len == 0)
        return 0;
    out->param_count = 0;
    out->token68 = (struct http_slice){ NULL, 0 };
    out->scheme = take_token(rest);
    if (out->scheme.len == 0)
        return -1;
    if (rest->len == 0 || peek(rest, ','))
        return 1;
    if (!peek(rest, ' '))
        return -1;
    skip_ows(rest);
    if (rest->len == 0 || peek(rest, ','))
        return 1;
    if (take_token68(rest, &out->token68))
        return 1;
    if (!take_params(rest, out) || out->param_count == 0)
        return -1;
    return 1;
}

bool http_credentials_parse(struct http_slice value, struct http_challenge *out)
{
    struct http_slice rest = http_trim(value);
    return !peek(&rest, ',') && http_challenge_next(&rest, out) == 1 && rest.len == 0;
}

enum lest_status http_basic_decode(struct http_slice token68, struct lest_buf *out, size_t *user_len,
                                   struct lest_error *err)
{
    /* The decoder of bodies takes blanks; credentials have none. */
    for (size_t i = 0; i < token68.len; i++)
        if (!is_token68_char(token68.data[i]) && token68.data[i] != '=')
            return lest_error_set(err, LEST_E_MALFORMED, "Basic credentials are not base64");
    enum lest_status status = lest_base64_decode(token68.data, token68.len, out, NULL);
    if (status == LEST_E_NOMEM)
        return lest_error_set(err, status, "out of memory");
    if (status)
        return lest_error_set(err, LEST_E_MALFORMED, "Basic credentials are not base64");
    const uint8_t *colon = out->len ? memchr(out->data, ':', out->len) : NULL;
    if (!colon)
        return lest_error_set(err, LEST_E_MALFORMED, "Basic credentials have no colon");
    /* RFC 7617 2: "The user-id and password MUST NOT contain any control characters". */
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] < 0x20 || out->data[i] == 0x7f)
            return lest_error_set(err, LEST_E_MALFORMED, "Basic credentials have a control character");
    *user_len = (size_t)(colon - out->data);
    return LEST_OK;
}
