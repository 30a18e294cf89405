#include "pki/asn1/string.h"

#include "base/utf8.h"

#include <string.h>

bool pki_string_is_visible(const void *data, size_t len, bool space)
{
    const uint8_t *d = data;
    for (size_t i = 0; i < len; i++)
        if (d[i] > 0x7e || d[i] < (space ? 0x20 : 0x21))
            return false;
    return true;
}

bool pki_string_is_printable(const void *data, size_t len)
{
    const uint8_t *d = data;
    for (size_t i = 0; i < len; i++) {
        bool alnum =
            (d[i] >= 'A' && d[i] <= 'Z') || (d[i] >= 'a' && d[i] <= 'z') || (d[i] >= '0' && d[i] <= '9');
        if (!alnum && (d[i] == 0 || !strchr(" '()+,-./:=?", d[i])))
            return false;
    }
    return true;
}

size_t pki_string_width(uint8_t tag)
{
    return tag == PKI_DER_UNIVERSAL_STRING ? 4 : tag == PKI_DER_BMP_STRING ? 2 : 1;
}

bool pki_string_tag(uint8_t tag)
{
    switch (tag) {
    case PKI_DER_UTF8_STRING:
    case PKI_DER_NUMERIC_STRING:
    case PKI_DER_PRINTABLE_STRING:
    case PKI_DER_T61_STRING:
    case PKI_DER_IA5_STRING:
    case PKI_DER_VISIBLE_STRING:
    case PKI_DER_UNIVERSAL_STRING:
    case PKI_DER_BMP_STRING: return true;
    default: return false;
    }
}

static bool put_code_point(struct lest_buf *out, uint32_t c)
{
    uint8_t b[4];
    size_t len;
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return false;
    if (c < 0x80) {
        b[0] = (uint8_t)c;
        len = 1;
    } else if (c < 0x800) {
        b[0] = (uint8_t)(0xc0 | c >> 6);
        len = 2;
    } else if (c < 0x10000) {
        b[0] = (uint8_t)(0xe0 | c >> 12);
        len = 3;
    } else {
        b[0] = (uint8_t)(0xf0 | c >> 18);
        len = 4;
    }
    for (size_t i = 1; i < len; i++)
        b[i] = (uint8_t)(0x80 | ((c >> 6 * (len - 1 - i)) & 0x3f));
    lest_buf_append(out, b, len);
    return true;
}

static bool append_bmp(const uint8_t *d, size_t len, struct lest_buf *out)
{
    if (len % 2)
        return false;
    for (size_t i = 0; i < len; i += 2) {
        uint32_t c = (uint32_t)d[i] << 8 | d[i + 1];
        /* BMPString has no surrogates by the letter; writers of UTF-16 put them in all the same. */
        if (c >= 0xd800 && c <= 0xdbff && len - i >= 4) {
            uint32_t low = (uint32_t)d[i + 2] << 8 | d[i + 3];
            if (low < 0xdc00 || low > 0xdfff)
                return false;
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i += 2;
        }
        if (!put_code_point(out, c))
            return false;
    }
    return true;
}

bool pki_string_append(const struct pki_der_item *item, struct lest_buf *out)
{
    const uint8_t *d = item->body.data;
    size_t len = item->body.len;
    switch (item->tag) {
    case PKI_DER_UTF8_STRING:
        if (!lest_utf8_is_text(d, len))
            return false;
        lest_buf_append(out, d, len);
        return true;
    case PKI_DER_NUMERIC_STRING:
    case PKI_DER_PRINTABLE_STRING:
    case PKI_DER_IA5_STRING:
    case PKI_DER_VISIBLE_STRING:
        /* Real requests have '@', '*' and '_' in PrintableString: any ASCII is read. */
        for (size_t i = 0; i < len; i++)
            if (d[i] == 0 || d[i] > 0x7f)
                return false;
        lest_buf_append(out, d, len);
        return true;
    case PKI_DER_T61_STRING:
        for (size_t i = 0; i < len; i++)
            if (!put_code_point(out, d[i]))
                return false;
        return true;
    case PKI_DER_BMP_STRING: return append_bmp(d, len, out);
    case PKI_DER_UNIVERSAL_STRING:
        if (len % 4)
            return false;
        for (size_t i = 0; i < len; i += 4)
            if (!put_code_point(out, (uint32_t)d[i] << 24 | (uint32_t)d[i + 1] << 16 |
                                         (uint32_t)d[i + 2] << 8 | d[i + 3]))
                return false;
        return true;
    default: return false;
    }
}
