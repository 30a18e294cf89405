#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lest_buf_init(struct lest_buf *buf, size_t max)
{
    *buf = (struct lest_buf){ .max = max };
}

void lest_buf_free(struct lest_buf *buf)
{
    free(buf->data);
    lest_buf_init(buf, buf->max);
}

void lest_wipe(void *data, size_t len)
{
    if (data)
        explicit_bzero(data, len);
}

void lest_buf_wipe(struct lest_buf *buf)
{
    lest_wipe(buf->data, buf->cap);
    lest_buf_free(buf);
}

uint8_t *lest_buf_reserve(struct lest_buf *buf, size_t extra)
{
    if (buf->failed)
        return NULL;
    if (extra > buf->max - buf->len) {
        buf->failed = buf->too_large = true;
        return NULL;
    }
    size_t need = buf->len + extra;
    if (need > buf->cap) {
        size_t cap = buf->cap ? buf->cap : 64;
        while (cap < need)
            cap *= 2;
        if (cap > buf->max)
            cap = buf->max;
        /* Not realloc: a buffer may hold a secret, and the old copy must not stay behind unwiped. */
        uint8_t *data = malloc(cap);
        if (!data) {
            buf->failed = true;
            return NULL;
        }
        if (buf->len)
            memcpy(data, buf->data, buf->len);
        lest_wipe(buf->data, buf->cap);
        free(buf->data);
        buf->data = data;
        buf->cap = cap;
    }
    return buf->data ? buf->data + buf->len : NULL;
}

void lest_buf_append(struct lest_buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return;
    uint8_t *room = lest_buf_reserve(buf, len);
    if (!room)
        return;
    memcpy(room, data, len);
    buf->len += len;
}

void lest_buf_append_byte(struct lest_buf *buf, uint8_t byte)
{
    lest_buf_append(buf, &byte, 1);
}

void lest_buf_append_str(struct lest_buf *buf, const char *text)
{
    lest_buf_append(buf, text, strlen(text));
}

void lest_buf_append_number(struct lest_buf *buf, int64_t number)
{
    char digits[20], *end = digits + sizeof digits, *at = end;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (number < 0)
        *--at = '-';
    lest_buf_append(buf, at, (size_t)(end - at));
}

void lest_buf_append_fmt(struct lest_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len <= 0) {
        buf->failed = buf->failed || len < 0;
        return;
    }
    /* vsnprintf writes a final NUL: room for it is asked for and not counted. */
    char small[256];
    char *text = (size_t)len < sizeof small ? small : malloc((size_t)len + 1);
    if (!text) {
        buf->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    lest_buf_append(buf, text, (size_t)len);
    if (text != small)
        free(text);
}

void lest_buf_consume(struct lest_buf *buf, size_t count)
{
    if (count >= buf->len) {
        buf->len = 0;
        return;
    }
    memmove(buf->data, buf->data + count, buf->len - count);
    buf->len -= count;
}

enum lest_status lest_buf_status(const struct lest_buf *buf, struct lest_error *err)
{
    if (!buf->failed)
        return LEST_OK;
    if (buf->too_large)
        return lest_error_set(err, LEST_E_TOO_LARGE, "more than the %zu bytes allowed", buf->max);
    return lest_error_set(err, LEST_E_NOMEM, "out of memory");
}
