#include "base/hex.h"
#include "base/json.h"
#include "base/utf8.h"

#include <string.h>

/* What may come next. */
enum { VALUE, FIRST_ITEM, FIRST_NAME, NAME, AFTER_VALUE, NOTHING };

void lest_json_read(struct lest_json_reader *reader, const void *text, size_t len)
{
    *reader = (struct lest_json_reader){ .at = text, .end = (const char *)text + len, .expected = VALUE };
}

static struct lest_json_token wrong(struct lest_json_reader *reader, const char *problem)
{
    reader->problem = problem;
    reader->expected = NOTHING;
    return (struct lest_json_token){ .kind = LEST_JSON_WRONG, .text = reader->at };
}

static char peek(const struct lest_json_reader *reader)
{
    if (reader->at == reader->end)
        return '\0';
    return *reader->at;
}

static bool take(struct lest_json_reader *reader, char c)
{
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(struct lest_json_reader *reader)
{
    while (reader->at < reader->end && is_blank(*reader->at))
        reader->at++;
}

static void after_value(struct lest_json_reader *reader)
{
    reader->expected = reader->depth ? AFTER_VALUE : NOTHING;
}

static struct lest_json_token open_level(struct lest_json_reader *reader, bool is_object)
{
    if (reader->depth == LEST_JSON_DEPTH_MAX)
        return wrong(reader, "lists and objects are nested too deep");
    struct lest_json_token token = { is_object ? LEST_JSON_OBJECT : LEST_JSON_LIST, reader->at, 1, false };
    reader->at++;
    reader->depth++;
    reader->objects = reader->objects << 1 | is_object;
    reader->expected = is_object ? FIRST_NAME : FIRST_ITEM;
    return token;
}

/* At the ']' or '}' of the innermost level. */
static struct lest_json_token close_level(struct lest_json_reader *reader)
{
    struct lest_json_token token = { reader->objects & 1 ? LEST_JSON_OBJECT_END : LEST_JSON_LIST_END,
                                     reader->at, 1, false };
    reader->at++;
    reader->depth--;
    reader->objects >>= 1;
    after_value(reader);
    return token;
}

/* The code unit of four digits after "\u"; -1: they are none. */
static int32_t unit_of(const char *at, const char *end)
{
    uint8_t bytes[2];
    return end - at >= 4 && lest_hex_decode(at, 4, bytes) ? bytes[0] << 8 | bytes[1] : -1;
}

static bool is_surrogate(int32_t unit, int32_t first)
{
    return unit >= first && unit < first + 0x400;
}

/* A character from the "\u" at `at`, and its bytes of text; 0: it is none. */
static size_t long_escape(const char *at, const char *end, uint32_t *code)
{
    int32_t high = unit_of(at + 2, end), low;
    if (high < 0 || is_surrogate(high, 0xdc00))
        return 0;
    *code = (uint32_t)high;
    if (!is_surrogate(high, 0xd800))
        return 6;
    low = end - at >= 12 && at[6] == '\\' && at[7] == 'u' ? unit_of(at + 8, end) : -1;
    if (!is_surrogate(low, 0xdc00))
        return 0;
    *code = 0x10000U + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return 12;
}

static const char short_escapes[] = "\"\\/bfnrt";
static const char short_values[] = "\"\\/\b\f\n\r\t";

/* What the escape at `at` stands for, and its bytes of text; 0: it is no escape. */
static size_t escape(const char *at, const char *end, uint32_t *code)
{
    if (end - at < 2)
        return 0;
    if (at[1] == 'u')
        return long_escape(at, end, code);
    const char *found = memchr(short_escapes, at[1], sizeof short_escapes - 1);
    if (!found)
        return 0;
    *code = (unsigned char)short_values[found - short_escapes];
    return 2;
}

/* What stands for itself, as most do. */
static void skip_plain(struct lest_json_reader *reader)
{
    const char *at = reader->at, *end = reader->end;
    while (at < end && *at >= ' ' && *at < 0x7f && *at != '\\' && *at != '"')
        at++;
    reader->at = at;
}

static struct lest_json_token read_string(struct lest_json_reader *reader, enum lest_json_kind kind)
{
    uint32_t code;
    if (!take(reader, '"'))
        return wrong(reader, "a string is missing");
    struct lest_json_token token = { .kind = kind, .text = reader->at };
    for (skip_plain(reader); !take(reader, '"'); skip_plain(reader)) {
        size_t left = (size_t)(reader->end - reader->at);
        if (!left)
            return wrong(reader, "a string has no end");
        if ((unsigned char)*reader->at < ' ')
            return wrong(reader, "a string has a control character");
        size_t len =
            *reader->at == '\\' ? escape(reader->at, reader->end, &code) : lest_utf8_length(reader->at, left);
        if (!len)
            return wrong(reader,
                         *reader->at == '\\' ? "a string has a wrong escape" : "a string is not UTF-8");
        reader->at += len;
    }
    token.len = (size_t)(reader->at - token.text) - 1;
    return token;
}

static bool take_digits(struct lest_json_reader *reader)
{
    const char *start = reader->at;
    while (peek(reader) >= '0' && peek(reader) <= '9')
        reader->at++;
    return reader->at > start;
}

/* number = [ "-" ] int [ frac ] [ exp ] (RFC 8259 6) */
static struct lest_json_token read_number(struct lest_json_reader *reader)
{
    struct lest_json_token token = { LEST_JSON_NUMBER, reader->at, 0, true };
    take(reader, '-');
    bool good = take(reader, '0') || take_digits(reader);
    if (good && take(reader, '.')) {
        token.is_whole = false;
        good = take_digits(reader);
    }
    if (good && (take(reader, 'e') || take(reader, 'E'))) {
        token.is_whole = false;
        if (!take(reader, '+'))
            take(reader, '-');
        good = take_digits(reader);
    }
    if (!good)
        return wrong(reader, "a number is wrong");
    token.len = (size_t)(reader->at - token.text);
    return token;
}

static struct lest_json_token read_word(struct lest_json_reader *reader)
{
    static const struct {
        const char *word;
        enum lest_json_kind kind;
    } words[] = { { "true", LEST_JSON_TRUE }, { "false", LEST_JSON_FALSE }, { "null", LEST_JSON_NULL } };
    size_t left = (size_t)(reader->end - reader->at);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i].word);
        if (left < len || memcmp(reader->at, words[i].word, len) != 0)
            continue;
        reader->at += len;
        return (struct lest_json_token){ words[i].kind, reader->at - len, len, false };
    }
    return wrong(reader, left ? "a value is missing" : "the text ends too early");
}

static struct lest_json_token read_value(struct lest_json_reader *reader)
{
    char c = peek(reader);
    if (c == '{' || c == '[')
        return open_level(reader, c == '{');
    struct lest_json_token token = c == '"' ? read_string(reader, LEST_JSON_STRING)
                                   : c == '-' || (c >= '0' && c <= '9') ? read_number(reader)
                                                                        : read_word(reader);
    if (token.kind != LEST_JSON_WRONG)
        after_value(reader);
    return token;
}

static struct lest_json_token read_name(struct lest_json_reader *reader)
{
    struct lest_json_token token = read_string(reader, LEST_JSON_NAME);
    if (token.kind == LEST_JSON_WRONG)
        return token;
    skip_blanks(reader);
    if (!take(reader, ':'))
        return wrong(reader, "a ':' is missing");
    reader->expected = VALUE;
    return token;
}

struct lest_json_token lest_json_next(struct lest_json_reader *reader)
{
    if (reader->problem)
        return wrong(reader, reader->problem);
    skip_blanks(reader);
    bool in_object = reader->objects & 1;
    bool at_end = reader->depth && peek(reader) == (in_object ? '}' : ']');
    switch (reader->expected) {
    case FIRST_ITEM: return at_end ? close_level(reader) : read_value(reader);
    case FIRST_NAME: return at_end ? close_level(reader) : read_name(reader);
    case NAME: return read_name(reader);
    case VALUE: return read_value(reader);
    case AFTER_VALUE:
        if (at_end)
            return close_level(reader);
        if (!take(reader, ','))
            return wrong(reader, in_object ? "a ',' or '}' is missing" : "a ',' or ']' is missing");
        reader->expected = in_object ? NAME : VALUE;
        return lest_json_next(reader);
    default: break;
    }
    if (reader->at < reader->end)
        return wrong(reader, "something follows the value");
    return (struct lest_json_token){ .kind = LEST_JSON_END, .text = reader->at };
}

size_t lest_json_unescape(const struct lest_json_token *token, char *out)
{
    const char *at = token->text, *end = at + token->len;
    size_t len = 0;
    while (at < end) {
        const char *next = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((next ? next : end) - at);
        memcpy(out + len, at, plain);
        len += plain;
        at += plain;
        if (at < end) {
            uint32_t code = 0;
            at += escape(at, end, &code);
            len += lest_utf8_encode(code, out + len);
        }
    }
    return len;
}

bool lest_json_integer(const struct lest_json_token *token, int64_t *out)
{
    bool negative = *token->text == '-';
    int64_t value = 0; /* kept negative: there is one more of these */
    for (size_t i = negative; i < token->len; i++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, token->text[i] - '0', &value))
            return false;
    if (!negative && __builtin_sub_overflow(0, value, &value))
        return false;
    *out = value;
    return true;
}
