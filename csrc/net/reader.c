#include "net/reader.h"

#include <stdlib.h>
#include <string.h>

void net_reader_init(struct net_reader *reader, size_t body_max)
{
    reader->headers = NULL;
    reader->header_count = reader->header_room = 0;
    reader->head_only = reader->head_complete = reader->has_length = reader->chunked = false;
    lest_buf_init(&reader->head, NET_READER_HEAD_MAX);
    lest_buf_init(&reader->body, body_max);
}

void net_reader_free(struct net_reader *reader)
{
    lest_buf_free(&reader->head);
    lest_buf_free(&reader->body);
    free(reader->headers);
    reader->headers = NULL;
}

/* RFC 9112 6.3: where a length is no number, or differs from another, the end of the body cannot be told.
 * With Transfer-Encoding beside it, a proxy on the way may have taken another end than we do. */
static const char *check_framing(struct net_reader *reader, struct http_slice name, struct http_slice value)
{
    if (http_equal_nocase(name, http_text("Content-Length"))) {
        uint64_t length;
        if (!http_decimal(value, &length))
            return "its Content-Length is no number";
        if (reader->has_length && length != reader->length)
            return "it has two different lengths";
        reader->has_length = true;
        reader->length = length;
    } else if (http_equal_nocase(name, http_text("Transfer-Encoding"))) {
        if (reader->chunked || !http_equal_nocase(value, http_text("chunked")))
            return "its Transfer-Encoding is not just 'chunked'";
        reader->chunked = true;
    }
    return reader->has_length && reader->chunked ? "it has both a length and chunks" : NULL;
}

static void restart_head(struct net_reader *reader)
{
    reader->header_count = 0;
    reader->has_length = reader->chunked = false;
    reader->head.len = 0;
}

/* Grown by doubling: most answers have less than ten, and a script has hundreds of requests under way. */
static bool make_room(struct net_reader *reader)
{
    enum { FIRST = 8 };
    if (reader->header_count < reader->header_room)
        return true;
    size_t room = reader->header_room ? reader->header_room * 2 : FIRST;
    struct http_header *grown = realloc(reader->headers, room * sizeof *grown);
    if (!grown)
        return false;
    reader->headers = grown;
    reader->header_room = room;
    return true;
}

/* The names and values are lengths until the buffer moves no more; see net_reader_finish(). */
static enum lest_status add_header(struct net_reader *reader, struct http_slice name, struct http_slice value,
                                   struct lest_error *err)
{
    if (reader->header_count == NET_READER_HEADERS_MAX)
        return lest_error_set(err, LEST_E_TOO_LARGE, "the answer has too many headers");
    if (!make_room(reader))
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    reader->headers[reader->header_count++] = (struct http_header){ { NULL, name.len }, { NULL, value.len } };
    lest_buf_append(&reader->head, name.data, name.len);
    lest_buf_append(&reader->head, value.data, value.len);
    if (reader->head.failed)
        return lest_error_set(err, LEST_E_TOO_LARGE, "the answer has too large headers");
    return LEST_OK;
}

static enum lest_status take_header(struct net_reader *reader, struct http_slice line, struct lest_error *err)
{
    const char *colon = memchr(line.data, ':', line.len);
    struct http_slice name = { line.data, colon ? (size_t)(colon - line.data) : 0 };
    if (!colon || !http_is_token(name))
        return lest_error_set(err, LEST_E_PROTOCOL, "the answer has a malformed header");
    struct http_slice value = http_trim((struct http_slice){ colon + 1, line.len - name.len - 1 });
    if (!http_is_field_value(value))
        return lest_error_set(err, LEST_E_PROTOCOL, "a header of the answer has control characters");
    const char *wrong = check_framing(reader, name, value);
    if (wrong)
        return lest_error_set(err, LEST_E_PROTOCOL, "the answer cannot be read: %s", wrong);
    return add_header(reader, name, value, err);
}

enum lest_status net_reader_take_line(struct net_reader *reader, struct http_slice line, long http_status,
                                      struct lest_error *err)
{
    if (reader->head_complete)
        return LEST_OK;
    while (line.len && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
        line.len--;
    if (line.len == 0) {
        reader->head_complete = http_status >= 200;
        return LEST_OK;
    }
    if (line.len > 5 && memcmp(line.data, "HTTP/", 5) == 0 &&
        !memchr(line.data, ':', line.len < 9 ? line.len : 9)) {
        restart_head(reader); /* 100 and 103 come before the answer */
        return LEST_OK;
    }
    return take_header(reader, line, err);
}

enum lest_status net_reader_take_body(struct net_reader *reader, const void *data, size_t len,
                                      struct lest_error *err)
{
    lest_buf_append(&reader->body, data, len);
    if (!reader->body.failed)
        return LEST_OK;
    return reader->body.too_large ? lest_error_set(err, LEST_E_TOO_LARGE, "the answer is too large")
                                  : lest_error_set(err, LEST_E_NOMEM, "out of memory");
}

/* Without a length or chunks a body ends with the connection. Only close_notify tells this end from a
 * connection that an attacker has cut (RFC 8446 6.1). */
bool net_reader_is_whole(const struct net_reader *reader, long http_status, bool peer_ended)
{
    if (reader->head_only || http_status == 204 || http_status == 304 || reader->chunked)
        return true;
    if (reader->has_length)
        return reader->body.len == reader->length;
    return peer_ended;
}

void net_reader_finish(struct net_reader *reader)
{
    const char *at = (const char *)reader->head.data;
    for (size_t i = 0; i < reader->header_count; i++) {
        struct http_header *header = &reader->headers[i];
        header->name.data = at;
        header->value.data = at + header->name.len;
        at = header->value.data + header->value.len;
    }
}
