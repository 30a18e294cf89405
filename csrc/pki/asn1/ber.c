#include "pki/asn1/ber.h"

enum { DEPTH_MAX = 32, CONSTRUCTED = 0x20, OCTETS_IN_PIECES = PKI_DER_OCTET_STRING | CONSTRUCTED };

/* What is read, from at to end. problem is set once, by the first failure. */
struct ber {
    const uint8_t *at, *end;
    const char *problem;
    struct lest_buf *out;
};

static bool fail(struct ber *in, const char *problem)
{
    in->problem = problem;
    return false;
}

static size_t left(const struct ber *in)
{
    return (size_t)(in->end - in->at);
}

/* The identifier: its first octet, and all of them as they stand. */
static bool read_tag(struct ber *in, struct pki_bytes *tag)
{
    *tag = (struct pki_bytes){ in->at, 1 };
    if (left(in) == 0)
        return fail(in, "is cut off");
    if ((*in->at++ & 0x1f) != 0x1f)
        return true;
    do {
        if (left(in) == 0 || tag->len == 5)
            return fail(in, left(in) ? "has a malformed tag" : "is cut off");
        tag->len++;
    } while (*in->at++ & 0x80);
    return true;
}

static bool read_length(struct ber *in, size_t *len, bool *indefinite)
{
    if (left(in) == 0)
        return fail(in, "is cut off");
    uint8_t first = *in->at++;
    *indefinite = first == 0x80;
    *len = first < 0x80 ? first : 0;
    if (first > 0x80) {
        size_t octets = first & 0x7f;
        if (octets > left(in))
            return fail(in, "is cut off");
        for (; octets; octets--, in->at++) {
            if (*len >> 24)
                return fail(in, "has a length beyond all bounds");
            *len = *len << 8 | *in->at;
        }
    }
    return *len <= left(in) || fail(in, "is cut off");
}

static bool copy(struct ber *in, unsigned depth, bool in_octets);

/* The contents of a constructed element, to its end or to the end-of-contents octets. */
static bool copy_contents(struct ber *in, size_t len, bool indefinite, unsigned depth, bool in_octets)
{
    const uint8_t *end = in->end;
    if (!indefinite)
        in->end = in->at + len;
    for (;;) {
        if (indefinite && left(in) >= 2 && in->at[0] == 0 && in->at[1] == 0) {
            in->at += 2;
            return true;
        }
        if (!indefinite && left(in) == 0)
            break;
        if (!copy(in, depth, in_octets))
            return false;
    }
    in->end = end;
    return true;
}

/* in_octets: a piece of an octet string, of which only the contents count. */
static bool copy(struct ber *in, unsigned depth, bool in_octets)
{
    struct pki_bytes tag;
    size_t len;
    bool indefinite;
    if (depth == DEPTH_MAX)
        return fail(in, "is nested too deeply");
    if (!read_tag(in, &tag) || !read_length(in, &len, &indefinite))
        return false;
    uint8_t first = tag.data[0];
    if (first == 0)
        return fail(in, "has an end of contents where none can be");
    if (in_octets && (first & ~CONSTRUCTED) != PKI_DER_OCTET_STRING)
        return fail(in, "has an octet string with something else in it");
    if (!(first & CONSTRUCTED)) {
        if (indefinite)
            return fail(in, "has an indefinite length where none can be");
        if (in_octets)
            lest_buf_append(in->out, in->at, len);
        else if (tag.len == 1)
            pki_der_put(in->out, first, in->at, len);
        else
            return fail(in, "has a tag with a number over 30");
        in->at += len;
        return true;
    }
    if (tag.len != 1)
        return fail(in, "has a tag with a number over 30");
    bool pieces = in_octets || first == OCTETS_IN_PIECES;
    if (in_octets)
        return copy_contents(in, len, indefinite, depth + 1, true);
    size_t mark = pki_der_put_open(in->out, pieces ? PKI_DER_OCTET_STRING : first);
    if (!copy_contents(in, len, indefinite, depth + 1, pieces))
        return false;
    pki_der_put_close(in->out, mark);
    return !in->out->failed;
}

enum lest_status pki_ber_to_der(const char *what, enum lest_status malformed, const void *data, size_t len,
                                struct lest_buf *out, struct lest_error *err)
{
    struct ber in = { .at = data, .end = (const uint8_t *)data + len, .out = out };
    if (copy(&in, 0, false) && left(&in))
        in.problem = "is followed by more data";
    if (in.problem)
        return lest_error_set(err, malformed, "%s: the message %s at byte %zu", what, in.problem,
                              (size_t)(in.at - (const uint8_t *)data));
    return lest_buf_status(out, err);
}
