#include "base/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void lest_base64_encode(const void *data, size_t len, size_t wrap, struct lest_buf *out)
{
    const uint8_t *in = data;
    size_t column = 0, room = (len + 2) / 3 * 4;
    if (wrap)
        room += (room + wrap - 1) / wrap;
    if (!lest_buf_reserve(out, room))
        return;
    uint8_t *at = out->data + out->len;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t word =
            (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
        *at++ = (uint8_t)alphabet[word >> 18];
        *at++ = (uint8_t)alphabet[word >> 12 & 63];
        *at++ = left > 1 ? (uint8_t)alphabet[word >> 6 & 63] : '=';
        *at++ = left > 2 ? (uint8_t)alphabet[word & 63] : '=';
        column += 4;
        if (wrap && (column >= wrap || left <= 3)) {
            *at++ = '\n';
            column = 0;
        }
    }
    out->len = (size_t)(at - out->data);
}

/* One more than what a character stands for; 0 for those outside of the alphabet. */
static const uint8_t values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

static int value_of(char c)
{
    return (int)values[(unsigned char)c] - 1;
}

enum lest_status lest_base64_decode(const char *text, size_t len, struct lest_buf *out,
                                    struct lest_error *err)
{
    uint32_t word = 0;
    unsigned digits = 0, padding = 0;
    bool ended = false;
    size_t room = len / 4 * 3;
    if (room && room <= out->max - out->len)
        lest_buf_reserve(out, room); /* at once; what fails is kept in out */
    /* Editors put a byte order mark in front. */
    size_t from = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    for (size_t i = from; i < len; i++) {
        char c = text[i];
        if (c == '\r' || c == '\n' || c == ' ' || c == '\t')
            continue;
        if (ended)
            return lest_error_set(err, LEST_E_BASE64, "base64: data after the padding at byte %zu", i);
        if (c == '=') {
            if (digits < 2)
                return lest_error_set(err, LEST_E_BASE64, "base64: padding out of place at byte %zu", i);
            ended = digits + ++padding == 4;
            continue;
        }
        int value = value_of(c);
        if (value < 0)
            return lest_error_set(err, LEST_E_BASE64,
                                  "base64: character 0x%02x at byte %zu is not in the alphabet",
                                  (unsigned char)c, i);
        if (padding)
            return lest_error_set(err, LEST_E_BASE64, "base64: padding out of place before byte %zu", i);
        word = word << 6 | (uint32_t)value;
        if (++digits == 4) {
            uint8_t bytes[3] = { (uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word };
            lest_buf_append(out, bytes, 3);
            word = 0;
            digits = 0;
        }
    }
    if (digits && !ended)
        return lest_error_set(err, LEST_E_BASE64, "base64: cut off or without its padding");
    if (ended) {
        word <<= 6 * padding;
        unsigned count = 3 - padding;
        if (word & ((1u << 8 * padding) - 1))
            return lest_error_set(err, LEST_E_BASE64, "base64: bits set in the padding");
        uint8_t bytes[3] = { (uint8_t)(word >> 16), (uint8_t)(word >> 8), 0 };
        lest_buf_append(out, bytes, count);
    }
    return lest_buf_status(out, err);
}

enum lest_status lest_base64url_decode(const char *text, size_t len, struct lest_buf *out,
                                       struct lest_error *err)
{
    struct lest_buf plain;
    lest_buf_init(&plain, len + 3);
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool good = c == '-' || c == '_' || (value_of(c) >= 0 && c != '+' && c != '/');
        if (!good) {
            lest_buf_wipe(&plain);
            return lest_error_set(err, LEST_E_BASE64, "base64url: byte %zu is not in the alphabet", i);
        }
        if (c == '-')
            c = '+';
        else if (c == '_')
            c = '/';
        lest_buf_append_byte(&plain, (uint8_t)c);
    }
    while (plain.len % 4)
        lest_buf_append_byte(&plain, '=');
    enum lest_status status = lest_buf_status(&plain, err);
    if (!status)
        status = lest_base64_decode((const char *)plain.data, plain.len, out, err);
    lest_buf_wipe(&plain);
    return status;
}
