#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void lest_base64_encode(const void *data, size_t len, size_t wrap, struct lest_buf *out)
{
    const uint8_t *in = data;
    size_t column = 0;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t word =
            (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
        uint8_t *quad = lest_buf_reserve(out, 5);
        if (!quad)
            return;
        quad[0] = (uint8_t)alphabet[word >> 18];
        quad[1] = (uint8_t)alphabet[word >> 12 & 63];
        quad[2] = left > 1 ? (uint8_t)alphabet[word >> 6 & 63] : '=';
        quad[3] = left > 2 ? (uint8_t)alphabet[word & 63] : '=';
        out->len += 4;
        column += 4;
        if (wrap && (column >= wrap || left <= 3)) {
            quad[4] = '\n';
            out->len++;
            column = 0;
        }
    }
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

enum lest_status lest_base64_decode(const char *text, size_t len, struct lest_buf *out,
                                    struct lest_error *err)
{
    uint32_t word = 0;
    unsigned digits = 0, padding = 0;
    bool ended = false;
    for (size_t i = 0; i < len; i++) {
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
