/* JSON (RFC 8259): strings that are safe to show, and a reader of texts from anywhere.
 *
 * Why a reader of our own: an inventory's answer is hostile input of a policy. lua-cjson makes every number a
 * float, so that 2^53 and 2^53 + 1 are one device, takes NaN and hexadecimals, and follows the locale.
 * Jansson is strict, but makes a tree of its own, outside of the memory that a policy may use. This reader
 * allocates nothing: it hands out one token after the other and remembers a bit for each level. */
#ifndef LEST_BASE_JSON_H
#define LEST_BASE_JSON_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Levels of lists and objects; a reader has a bit for each. */
enum { LEST_JSON_DEPTH_MAX = 64 };

enum lest_json_kind {
    LEST_JSON_WRONG, /* no JSON: the reader's `problem` says why */
    LEST_JSON_END,   /* of the text */
    LEST_JSON_OBJECT,
    LEST_JSON_OBJECT_END,
    LEST_JSON_LIST,
    LEST_JSON_LIST_END,
    LEST_JSON_NAME, /* of a member; its value is the next token */
    LEST_JSON_STRING,
    LEST_JSON_NUMBER,
    LEST_JSON_TRUE,
    LEST_JSON_FALSE,
    LEST_JSON_NULL
};

/** text, len   borrowed from the input: a name or string without its quotes, with its escapes; a number
 *  is_whole     of a number: without fraction and exponent */
struct lest_json_token {
    enum lest_json_kind kind;
    const char *text;
    size_t len;
    bool is_whole;
};

struct lest_json_reader {
    const char *at, *end;
    uint64_t objects; /* a bit a level, the innermost lowest: whether it is an object */
    unsigned depth;
    unsigned expected;
    const char *problem;
};

/** Begin to read a text, which is borrowed while the reader is used. */
void lest_json_read(struct lest_json_reader *reader, const void *text, size_t len);

/** The next token. Before an END or a WRONG, which are the last, every opened list and object is closed or
 *  the text is wrong: strings are UTF-8 with pairs of surrogates only, numbers have the form of RFC 8259 6,
 *  and one value is the whole text. (Whether a name comes twice, who keeps names must see.) */
struct lest_json_token lest_json_next(struct lest_json_reader *reader);

/** Write what a NAME or a STRING stands for; out has room for token->len bytes. Returns how many it took. */
size_t lest_json_unescape(const struct lest_json_token *token, char *out);

/** The value of a whole NUMBER; false: it does not fit. */
bool lest_json_integer(const struct lest_json_token *token, int64_t *out) LEST_MUST_USE;

/** Append a string with its quotes. What a terminal obeys, or what hides or reorders the text beside it
 *  (lest_utf8_is_unseen), is escaped; a byte that is no UTF-8 becomes U+FFFD. */
void lest_json_append_string(struct lest_buf *out, const void *text, size_t len);

#endif
