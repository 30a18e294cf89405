#include "http/chunked.h"

#include "base/hex.h"

enum state {
    SIZE,         /* hexadecimal digits of the size, or what may follow them */
    BLANK,        /* after a blank (BWS), which ";" must follow */
    EXTENSION,    /* after ";", up to CR */
    SIZE_LF,      /* the LF after the size line */
    DATA,         /* chunk_left bytes */
    DATA_CR,      /* the CRLF after them */
    DATA_LF,      /* */
    TRAILER,      /* the start of a trailer line, or the CR of the last empty line */
    TRAILER_NAME, /* */
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    DONE,
    BROKEN
};

void http_chunked_init(struct http_chunked *decoder, uint64_t body_max)
{
    *decoder = (struct http_chunked){ .body_max = body_max, .state = SIZE };
}

static int refuse(struct http_refusal *why, int status, const char *reason)
{
    *why = (struct http_refusal){ status, reason };
    return BROKEN;
}

/* chunk-size: leading zeros are counted too, so that they cannot go on for ever. */
static int size_digit(struct http_chunked *d, int value, struct http_refusal *why)
{
    enum { DIGITS_MAX = 16 };
    if (++d->size_digits > DIGITS_MAX || d->chunk_left > UINT64_MAX >> 4)
        return refuse(why, 400, "a chunk size is too long");
    d->chunk_left = d->chunk_left << 4 | (unsigned)value;
    if (d->chunk_left > d->body_max - d->body_len)
        return refuse(why, 413, "the body is too large");
    return SIZE;
}

static int size_byte(struct http_chunked *d, char c, struct http_refusal *why)
{
    int value = lest_hex_value(c);
    if (value >= 0)
        return size_digit(d, value, why);
    if (d->size_digits == 0)
        return refuse(why, 400, "a chunk has no size");
    if (c == '\r')
        return SIZE_LF;
    if (c == ';')
        return EXTENSION;
    if (c == ' ' || c == '\t')
        return BLANK;
    return refuse(why, 400, "a chunk size is not hexadecimal");
}

static int size_line_end(struct http_chunked *d)
{
    bool last = d->chunk_left == 0;
    d->size_digits = 0;
    return last ? TRAILER : DATA;
}

/* A trailer line is checked as a header line is, byte by byte, and dropped: none has a meaning here. */
static int trailer_byte(struct http_chunked *d, char c, struct http_refusal *why)
{
    if (++d->trailers > HTTP_TRAILERS_MAX)
        return refuse(why, 431, "the trailers are too long");
    switch (d->state) {
    case TRAILER:
        if (c == '\r')
            return LAST_LF;
        return http_is_tchar(c) ? TRAILER_NAME : refuse(why, 400, "a trailer name is not a token");
    case TRAILER_NAME:
        if (c == ':')
            return TRAILER_VALUE;
        return http_is_tchar(c) ? TRAILER_NAME : refuse(why, 400, "a trailer name is not a token");
    default:
        if (c == '\r')
            return TRAILER_LF;
        return http_is_field_char(c) ? TRAILER_VALUE : refuse(why, 400, "a trailer has a control character");
    }
}

static int extension_byte(struct http_chunked *d, char c, struct http_refusal *why)
{
    if (c == '\r' && d->state == EXTENSION)
        return SIZE_LF;
    if (++d->extensions > HTTP_CHUNK_EXTENSIONS_MAX)
        return refuse(why, 431, "the chunk extensions are too long");
    if (d->state == BLANK && c != ' ' && c != '\t')
        return c == ';' ? EXTENSION : refuse(why, 400, "a chunk size is not hexadecimal");
    return http_is_field_char(c) ? d->state : refuse(why, 400, "a chunk extension has a control character");
}

static int step(struct http_chunked *d, char c, struct http_refusal *why)
{
    switch (d->state) {
    case SIZE: return size_byte(d, c, why);
    case BLANK:
    case EXTENSION: return extension_byte(d, c, why);
    case SIZE_LF: return c == '\n' ? size_line_end(d) : refuse(why, 400, "a CR stands alone");
    case DATA_CR: return c == '\r' ? DATA_LF : refuse(why, 400, "a chunk is longer than its size");
    case DATA_LF: return c == '\n' ? SIZE : refuse(why, 400, "a CR stands alone");
    case TRAILER:
    case TRAILER_NAME:
    case TRAILER_VALUE: return trailer_byte(d, c, why);
    case TRAILER_LF: return c == '\n' ? TRAILER : refuse(why, 400, "a CR stands alone");
    case LAST_LF: return c == '\n' ? DONE : refuse(why, 400, "a CR stands alone");
    default: return refuse(why, 400, "nothing may follow the last chunk");
    }
}

static size_t take_data(struct http_chunked *d, const char *data, size_t len, struct lest_buf *out)
{
    size_t count = len < d->chunk_left ? len : (size_t)d->chunk_left;
    if (out)
        lest_buf_append(out, data, count);
    d->body_len += count;
    d->chunk_left -= count;
    if (d->chunk_left == 0)
        d->state = DATA_CR;
    return count;
}

enum http_result http_chunked_feed(struct http_chunked *decoder, const char *data, size_t len,
                                   size_t *consumed, struct lest_buf *out, struct http_refusal *why)
{
    size_t i = 0;
    while (i < len && decoder->state != DONE && decoder->state != BROKEN) {
        if (decoder->state == DATA)
            i += take_data(decoder, data + i, len - i, out);
        else
            decoder->state = step(decoder, data[i++], why);
    }
    *consumed = i;
    if (decoder->state == BROKEN)
        return HTTP_REFUSED;
    return decoder->state == DONE ? HTTP_DONE : HTTP_MORE;
}
