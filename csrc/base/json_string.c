#include "base/json.h"
#include "base/utf8.h"

#include <string.h>

static void append_unit(struct lest_buf *out, uint32_t unit)
{
    lest_buf_append_fmt(out, "\\u%04x", (unsigned)unit);
}

static void append_escape(struct lest_buf *out, uint32_t code)
{
    static const char values[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = code && code < 0x80 ? strchr(values, (int)code) : NULL;
    if (found) {
        lest_buf_append_byte(out, '\\');
        lest_buf_append_byte(out, (uint8_t)letters[found - values]);
    } else if (code < 0x10000) {
        append_unit(out, code);
    } else {
        append_unit(out, 0xd800 + ((code - 0x10000) >> 10));
        append_unit(out, 0xdc00 + (code & 0x3ff));
    }
}

/* Most text: what stands for itself, and is seen. */
static bool is_plain(char c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

void lest_json_append_string(struct lest_buf *out, const void *text, size_t len)
{
    static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
    const char *at = text, *end = len ? at + len : at, *plain = at;
    lest_buf_append_byte(out, '"');
    while (at < end) {
        uint32_t code;
        if (is_plain(*at)) {
            at++;
            continue;
        }
        size_t size = lest_utf8_decode(at, (size_t)(end - at), &code);
        if (size > 1 && !lest_utf8_is_unseen(code)) {
            at += size;
            continue;
        }
        lest_buf_append(out, plain, (size_t)(at - plain));
        if (size)
            append_escape(out, code);
        else
            lest_buf_append_str(out, replacement);
        at += size ? size : 1;
        plain = at;
    }
    lest_buf_append(out, plain, (size_t)(at - plain));
    lest_buf_append_byte(out, '"');
}
