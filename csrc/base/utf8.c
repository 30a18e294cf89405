#include "base/utf8.h"

#include <string.h>

/* The forms of more than one byte. Bytes after the second are 80 to BF in all of them. */
static const struct {
    uint8_t first_low, first_high, second_low, second_high, len;
} forms[] = {
    { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
    { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
    { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

static size_t long_form(const uint8_t *at, size_t left)
{
    size_t i = 0, count = sizeof forms / sizeof *forms;
    while (i < count && (at[0] < forms[i].first_low || at[0] > forms[i].first_high))
        i++;
    if (i == count || forms[i].len > left || at[1] < forms[i].second_low || at[1] > forms[i].second_high)
        return 0;
    for (size_t j = 2; j < forms[i].len; j++)
        if ((at[j] & 0xc0) != 0x80)
            return 0;
    return forms[i].len;
}

size_t lest_utf8_length(const void *data, size_t len)
{
    const uint8_t *at = data;
    if (len == 0 || at[0] == 0)
        return 0;
    return at[0] < 0x80 ? 1 : long_form(at, len);
}

/* Whether eight bytes are ASCII without NUL, as most text is. The first byte of 0 becomes FF by the
 * subtraction; without one, no byte of ASCII gets its high bit. */
static bool is_plain_eight(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return ((word | (word - 0x0101010101010101)) & 0x8080808080808080) == 0;
}

static bool is_characters(const uint8_t *at, size_t len, bool with_nul)
{
    const uint8_t *end = at + len;
    while (at < end) {
        if (end - at >= 8 && is_plain_eight(at)) {
            at += 8;
            continue;
        }
        size_t step = *at < 0x80 ? *at || with_nul : long_form(at, (size_t)(end - at));
        if (!step)
            return false;
        at += step;
    }
    return true;
}

bool lest_utf8_is_text(const void *data, size_t len)
{
    return is_characters(data, len, false);
}

bool lest_utf8_is_valid(const void *data, size_t len)
{
    return is_characters(data, len, true);
}

size_t lest_utf8_decode(const void *data, size_t len, uint32_t *code)
{
    static const uint8_t first_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    const uint8_t *at = data;
    size_t size = len && *at == 0 ? 1 : lest_utf8_length(at, len);
    if (!size || size >= sizeof first_bits)
        return 0;
    *code = at[0] & first_bits[size];
    for (size_t i = 1; i < size; i++)
        *code = *code << 6 | (at[i] & 0x3f);
    return size;
}

size_t lest_utf8_encode(uint32_t code, char *out)
{
    static const uint8_t first_marks[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(first_marks[size] | code);
    return size;
}

size_t lest_utf8_plain_length(const void *data, size_t len)
{
    const uint8_t *at = data;
    size_t i = 0;
    while (i < len && at[i] >= ' ' && at[i] < 0x7f)
        i++;
    return i;
}

bool lest_utf8_is_unseen(uint32_t code)
{
    static const struct {
        uint32_t low, high;
    } unseen[] = {
        { 0, 0x1f },          { 0x7f, 0x9f },       { 0xad, 0xad },       { 0x34f, 0x34f },
        { 0x61c, 0x61c },     { 0x115f, 0x1160 },   { 0x17b4, 0x17b5 },   { 0x180b, 0x180f },
        { 0x200b, 0x200f },   { 0x2028, 0x202e },   { 0x2060, 0x206f },   { 0x3164, 0x3164 },
        { 0xfe00, 0xfe0f },   { 0xfeff, 0xfeff },   { 0xffa0, 0xffa0 },   { 0xfff0, 0xfffb },
        { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff },
    };
    for (size_t i = 0; i < sizeof unseen / sizeof *unseen; i++)
        if (code >= unseen[i].low && code <= unseen[i].high)
            return true;
    return false;
}
