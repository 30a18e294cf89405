/* Slices of received bytes and the character classes of RFC 9110 section 5.6. ASCII only, no locale. */
#ifndef LEST_HTTP_TEXT_H
#define LEST_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Borrowed bytes, not ended by NUL. data may be NULL where len is 0. */
struct http_slice {
    const char *data;
    size_t len;
};

/** A header line: its name, a token in the case it came in, and its value without blanks around it. */
struct http_header {
    struct http_slice name;
    struct http_slice value;
};

/** A string literal, or any NUL-terminated text, as a slice. */
struct http_slice http_text(const char *text);

/** ALPHA / DIGIT; DIGIT. */
bool http_is_alnum(char c);
bool http_is_digit(char c);

/** tchar (RFC 9110 5.6.2). */
bool http_is_tchar(char c);

/** What a field value may hold (RFC 9110 5.5): HTAB, SP, visible ASCII and obs-text; no other control. */
bool http_is_field_char(char c);

/** unreserved and sub-delims of RFC 3986, ":" and "@": a path segment besides percent-encoding. */
bool http_is_pchar(char c);

/** unreserved of RFC 3986: what percent-decoding may always bring back. */
bool http_is_unreserved(char c);

/** One or more tchar. */
bool http_is_token(struct http_slice s);

/** Only characters that a field value may hold; empty is fine. */
bool http_is_field_value(struct http_slice s);

/** The same characters; the same but for the case of ASCII letters. */
bool http_equal(struct http_slice a, struct http_slice b);
bool http_equal_nocase(struct http_slice a, struct http_slice b);

/** Without the SP and HTAB around it (OWS). */
struct http_slice http_trim(struct http_slice s);

/** 1*DIGIT up to 2^63 - 1. Signs, blanks, nothing, and anything greater are refused. */
bool http_decimal(struct http_slice s, uint64_t *out);

#endif
