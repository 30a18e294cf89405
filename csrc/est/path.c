#include "est/path.h"

#include "base/hex.h"

#include <string.h>

enum segment_state { SEGMENT_OK, SEGMENT_EMPTY, SEGMENT_DOTS, SEGMENT_BAD, SEGMENT_LONG };

/* One segment in normal form. The longest name that is compared is a label. */
struct segment {
    char text[EST_LABEL_MAX + 1];
    size_t len;
};

static enum segment_state put(struct segment *out, const char *text, size_t len)
{
    if (out->len + len > EST_LABEL_MAX)
        return SEGMENT_LONG;
    memcpy(out->text + out->len, text, len);
    out->len += len;
    return SEGMENT_OK;
}

/* At "%": an unreserved character is decoded; any other stays encoded, with upper-case digits, as RFC 3986
 * 6.2.2.1 has it. An encoded "/" or "\" is refused, since a reader that decodes it would see two segments; so
 * is a control character, which may end a line or a string. */
static enum segment_state put_encoded(struct segment *out, struct http_slice in)
{
    static const char digits[] = "0123456789ABCDEF";
    int high = in.len > 1 ? lest_hex_value(in.data[1]) : -1,
        low = in.len > 2 ? lest_hex_value(in.data[2]) : -1;
    if (high < 0 || low < 0)
        return SEGMENT_BAD;
    char c = (char)(high << 4 | low);
    if (http_is_unreserved(c))
        return put(out, &c, 1);
    if (c == '/' || c == '\\' || (unsigned char)c < 0x20 || c == 0x7f)
        return SEGMENT_BAD;
    return put(out, (char[]){ '%', digits[high], digits[low] }, 3);
}

static enum segment_state normalise(struct http_slice in, struct segment *out)
{
    enum segment_state state = SEGMENT_OK;
    out->len = 0;
    while (in.len && state == SEGMENT_OK) {
        size_t step = in.data[0] == '%' && in.len > 2 ? 3 : 1;
        if (in.data[0] == '%')
            state = put_encoded(out, in);
        else
            state = http_is_pchar(in.data[0]) ? put(out, in.data, 1) : SEGMENT_BAD;
        in = (struct http_slice){ in.data + step, in.len - step };
    }
    out->text[out->len] = '\0';
    if (state == SEGMENT_OK && out->len == 0)
        state = SEGMENT_EMPTY;
    if (state == SEGMENT_OK && (strcmp(out->text, ".") == 0 || strcmp(out->text, "..") == 0))
        state = SEGMENT_DOTS;
    return state;
}

static bool refuse(struct http_refusal *why, const char *reason)
{
    *why = (struct http_refusal){ 404, reason };
    return false;
}

/* The next segment of *rest, which begins with its "/". */
static bool next_segment(struct http_slice *rest, struct segment *out, struct http_refusal *why)
{
    struct http_slice raw = { rest->data + 1, 0 };
    while (raw.len + 1 < rest->len && raw.data[raw.len] != '/')
        raw.len++;
    *rest = (struct http_slice){ raw.data + raw.len, rest->len - raw.len - 1 };
    switch (normalise(raw, out)) {
    case SEGMENT_OK: return true;
    case SEGMENT_EMPTY: return refuse(why, "the path has an empty segment or ends in a slash");
    case SEGMENT_DOTS: return refuse(why, "the path has a dot segment");
    case SEGMENT_LONG: return refuse(why, "a path segment is too long");
    default: return refuse(why, "the path has a character that no EST path holds");
    }
}

static struct http_slice slice_of(const struct segment *segment)
{
    return (struct http_slice){ segment->text, segment->len };
}

static bool find_operation(const struct segment *segment, struct est_route *out, struct http_refusal *why)
{
    if (!est_operation_find(slice_of(segment), &out->operation))
        return refuse(why, "there is no such EST operation");
    if (!est_operation_info(out->operation)->offered)
        return refuse(why, "this EST operation is not offered here");
    return true;
}

bool est_route_parse(struct http_slice target, struct est_route *out, struct http_refusal *why)
{
    static const char *const prefix[] = { ".well-known", "est" };
    enum { PREFIX_LEN = 2, SEGMENTS_MAX = 4 };
    struct segment segments[SEGMENTS_MAX];
    size_t count = 0;
    const char *query = target.len ? memchr(target.data, '?', target.len) : NULL;
    if (query)
        target.len = (size_t)(query - target.data);
    if (target.len == 0 || target.data[0] != '/')
        return refuse(why, "the request target is no path");
    while (target.len) {
        if (count == SEGMENTS_MAX)
            return refuse(why, "the path has more segments than a label and an operation");
        if (!next_segment(&target, &segments[count], why))
            return false;
        if (count < PREFIX_LEN && strcmp(segments[count].text, prefix[count]) != 0)
            return refuse(why, "only paths under /.well-known/est are served");
        count++;
    }
    if (count <= PREFIX_LEN)
        return refuse(why, "the path names no EST operation");
    out->label[0] = '\0';
    if (count == SEGMENTS_MAX) {
        if (est_name_is_reserved(slice_of(&segments[PREFIX_LEN])))
            return refuse(why, "an operation's name cannot be a label");
        memcpy(out->label, segments[PREFIX_LEN].text, segments[PREFIX_LEN].len + 1);
    }
    return find_operation(&segments[count - 1], out, why);
}

enum lest_status est_label_check(struct http_slice label, struct lest_error *err)
{
    struct segment normal;
    switch (normalise(label, &normal)) {
    case SEGMENT_OK: break;
    case SEGMENT_EMPTY: return lest_error_set(err, LEST_E_CONFIG, "a label has at least one character");
    case SEGMENT_DOTS:
        return lest_error_set(err, LEST_E_CONFIG, "the label '%s' is a dot segment", normal.text);
    case SEGMENT_LONG:
        return lest_error_set(err, LEST_E_CONFIG, "the label is longer than %d characters", EST_LABEL_MAX);
    default:
        return lest_error_set(err, LEST_E_CONFIG,
                              "the label '%.*s' has a character that a path segment cannot hold",
                              (int)(label.len < EST_LABEL_MAX ? label.len : EST_LABEL_MAX), label.data);
    }
    if (!http_equal(label, slice_of(&normal)))
        return lest_error_set(err, LEST_E_CONFIG, "the label '%.*s' is to be written '%s'",
                              (int)(label.len < EST_LABEL_MAX ? label.len : EST_LABEL_MAX), label.data,
                              normal.text);
    if (est_name_is_reserved(label))
        return lest_error_set(err, LEST_E_CONFIG,
                              "the label '%s' is the name of an EST operation (RFC 7030 3.2.2)", normal.text);
    return LEST_OK;
}
