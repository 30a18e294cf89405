#include "http/text.h"

#include <string.h>

struct http_slice http_text(const char *text)
{
    return (struct http_slice){ text, strlen(text) };
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool http_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool http_is_alnum(char c)
{
    return is_alpha(c) || http_is_digit(c);
}

static bool among(char c, const char *set)
{
    return c && strchr(set, c);
}

bool http_is_tchar(char c)
{
    return http_is_alnum(c) || among(c, "!#$%&'*+-.^_`|~");
}

bool http_is_field_char(char c)
{
    unsigned char u = (unsigned char)c;
    return u == '\t' || (u >= 0x20 && u != 0x7f);
}

bool http_is_unreserved(char c)
{
    return http_is_alnum(c) || among(c, "-._~");
}

bool http_is_pchar(char c)
{
    return http_is_unreserved(c) || among(c, "!$&'()*+,;=:@");
}

bool http_is_token(struct http_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!http_is_tchar(s.data[i]))
            return false;
    return s.len > 0;
}

bool http_is_field_value(struct http_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!http_is_field_char(s.data[i]))
            return false;
    return true;
}

bool http_equal(struct http_slice a, struct http_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool http_equal_nocase(struct http_slice a, struct http_slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

struct http_slice http_trim(struct http_slice s)
{
    while (s.len && is_ows(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len && is_ows(s.data[s.len - 1]))
        s.len--;
    return s;
}

bool http_decimal(struct http_slice s, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (!http_is_digit(s.data[i]))
            return false;
        unsigned digit = (unsigned)(s.data[i] - '0');
        if (value > ((uint64_t)INT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return s.len > 0;
}
