#include "net/incoming.h"

#include <string.h>

/* Of what is around a body: interim answers, heads, chunk sizes, trailers. */
enum { AROUND_MAX = 4 * NET_READER_HEAD_MAX };

static void begin(struct net_incoming *in, size_t body_max)
{
    net_reader_init(&in->reader, body_max);
    in->raw.max = body_max + AROUND_MAX > in->raw.len ? body_max + AROUND_MAX : in->raw.len;
    in->raw.failed = in->raw.too_large = false;
    in->status = 0;
    in->at = in->scanned = 0;
    in->body_max = body_max;
    in->is_done = false;
}

void net_incoming_init(struct net_incoming *in, size_t body_max)
{
    lest_buf_init(&in->raw, 0);
    begin(in, body_max);
}

void net_incoming_free(struct net_incoming *in)
{
    net_reader_free(&in->reader);
    lest_buf_free(&in->raw);
}

void net_incoming_next(struct net_incoming *in, bool head_only, size_t body_max)
{
    lest_buf_consume(&in->raw, in->at);
    net_reader_free(&in->reader);
    begin(in, body_max);
    in->reader.head_only = head_only;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 OK" (RFC 9112 4); the phrase may be missing, with its blank or without. */
static bool take_status(struct net_incoming *in, struct http_slice line)
{
    enum { CODE_AT = 9, PHRASE_AT = 12 };
    const char *text = line.data;
    if (line.len < PHRASE_AT || memcmp(text, "HTTP/1.", 7) != 0 || !is_digit(text[7]) || text[8] != ' ')
        return false;
    for (int i = CODE_AT; i < PHRASE_AT; i++)
        if (!is_digit(text[i]))
            return false;
    struct http_slice phrase = { text + PHRASE_AT, line.len - PHRASE_AT };
    if (phrase.len && (phrase.data[0] != ' ' || !http_is_field_value(http_trim(phrase))))
        return false;
    in->status = (text[9] - '0') * 100 + (text[10] - '0') * 10 + (text[11] - '0');
    return in->status >= 100;
}

static enum lest_status take_line(struct net_incoming *in, struct http_slice line, struct lest_error *err)
{
    static const char start[] = "HTTP/";
    const size_t len = sizeof start - 1;
    /* The reader would begin anew, without the headers so far. */
    if (in->status && line.len >= len && memcmp(line.data, start, len) == 0)
        return lest_error_set(err, LEST_E_PROTOCOL, "the answer has a second status line");
    if (!in->status && !take_status(in, line))
        return lest_error_set(err, LEST_E_PROTOCOL, "the answer does not begin as HTTP/1.1 does");
    enum lest_status status = net_reader_take_line(&in->reader, line, in->status, err);
    if (!status && line.len == 0 && !in->reader.head_complete)
        in->status = 0; /* 100 and 103 come before the answer */
    return status;
}

/* Whether there was a line; an error with status set. */
static bool next_line(struct net_incoming *in, enum lest_status *status, struct lest_error *err)
{
    const char *from = (const char *)in->raw.data + in->at;
    size_t left = in->raw.len - in->at;
    const char *end = left > in->scanned ? memchr(from + in->scanned, '\n', left - in->scanned) : NULL;
    if (!end) {
        in->scanned = left;
        if (left > NET_READER_HEAD_MAX)
            *status = lest_error_set(err, LEST_E_TOO_LARGE, "a line of the answer is too long");
        return false;
    }
    size_t len = (size_t)(end - from);
    if (len == 0 || from[len - 1] != '\r') {
        *status = lest_error_set(err, LEST_E_PROTOCOL, "a line of the answer ends without a CR");
        return false;
    }
    *status = take_line(in, (struct http_slice){ from, len - 1 }, err);
    in->at += len + 1;
    in->scanned = 0;
    return *status == LEST_OK;
}

static enum lest_status take_chunks(struct net_incoming *in, struct lest_error *err)
{
    struct http_refusal why;
    size_t consumed = 0;
    enum http_result result = http_chunked_feed(&in->chunked, (const char *)in->raw.data + in->at,
                                                in->raw.len - in->at, &consumed, &in->reader.body, &why);
    if (result == HTTP_REFUSED)
        return lest_error_set(err, why.status == 413 ? LEST_E_TOO_LARGE : LEST_E_PROTOCOL,
                              "the chunks of the answer: %s", why.reason);
    in->at += consumed;
    in->is_done = result == HTTP_DONE;
    return lest_buf_status(&in->reader.body, err);
}

static bool has_no_body(const struct net_incoming *in)
{
    return in->reader.head_only || in->status == 204 || in->status == 304 ||
           (in->reader.has_length && in->reader.length == 0);
}

static enum lest_status take_body(struct net_incoming *in, struct lest_error *err)
{
    struct net_reader *reader = &in->reader;
    size_t len = in->raw.len - in->at;
    if (has_no_body(in)) {
        in->is_done = true;
        return LEST_OK;
    }
    if (reader->chunked)
        return take_chunks(in, err);
    if (reader->has_length && reader->length > in->body_max)
        return lest_error_set(err, LEST_E_TOO_LARGE, "the answer is too large");
    if (reader->has_length && len > reader->length - reader->body.len)
        len = (size_t)(reader->length - reader->body.len);
    enum lest_status status = net_reader_take_body(reader, in->raw.data + in->at, len, err);
    in->at += len;
    in->is_done = reader->has_length && reader->body.len == reader->length;
    return status;
}

enum lest_status net_incoming_take(struct net_incoming *in, const void *data, size_t len,
                                   struct lest_error *err)
{
    lest_buf_append(&in->raw, data, len);
    enum lest_status status = lest_buf_status(&in->raw, err);
    if (status || in->is_done)
        return status;
    bool had_head = in->reader.head_complete;
    while (!in->reader.head_complete && next_line(in, &status, err))
        ;
    if (status || !in->reader.head_complete)
        return status;
    if (!had_head)
        http_chunked_init(&in->chunked, in->body_max);
    status = take_body(in, err);
    if (!status && in->is_done)
        net_reader_finish(&in->reader);
    return status;
}

enum lest_status net_incoming_end(struct net_incoming *in, bool peer_ended, struct lest_error *err)
{
    const struct net_reader *reader = &in->reader;
    size_t len = in->raw.len;
    if (in->is_done)
        return LEST_OK;
    if (reader->head_complete && !reader->has_length && !reader->chunked && peer_ended) {
        net_reader_finish(&in->reader);
        in->is_done = true;
        return LEST_OK;
    }
    return lest_error_set(err, LEST_E_CLOSED, "the server has closed the connection after %zu bytes%s", len,
                          len ? ": the answer was cut short" : " of an answer");
}
