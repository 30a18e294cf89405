/* JSON texts: levels close as they were opened, every token lies in the text, and what a string stands for is
 * read as the same once it is written. */
#include "fuzz.h"

#include "base/json.h"
#include "base/utf8.h"

static void check_string(const struct lest_json_token *token)
{
    struct lest_buf written;
    struct lest_json_reader reader;
    char *text = malloc(token->len + 1), *again;
    FUZZ_CHECK(text);
    size_t len = lest_json_unescape(token, text);
    FUZZ_CHECK(len <= token->len && lest_utf8_is_valid(text, len));
    lest_buf_init(&written, 8 * len + 2);
    lest_json_append_string(&written, text, len);
    FUZZ_CHECK(!written.failed);
    lest_json_read(&reader, written.data, written.len);
    struct lest_json_token back = lest_json_next(&reader);
    FUZZ_CHECK(back.kind == LEST_JSON_STRING && lest_json_next(&reader).kind == LEST_JSON_END);
    again = malloc(back.len + 1);
    FUZZ_CHECK(again && lest_json_unescape(&back, again) == len && memcmp(again, text, len) == 0);
    lest_buf_free(&written);
    free(text);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = (char *)fuzz_copy(data, size);
    char levels[LEST_JSON_DEPTH_MAX];
    size_t depth = 0, values = 0;
    int64_t whole;
    struct lest_json_token token;
    struct lest_json_reader reader;
    lest_json_read(&reader, copy, size);
    do {
        token = lest_json_next(&reader);
        FUZZ_CHECK(token.text >= copy && token.text + token.len <= copy + size);
        values += depth == 0 && token.kind > LEST_JSON_END;
        switch (token.kind) {
        case LEST_JSON_OBJECT:
        case LEST_JSON_LIST:
            FUZZ_CHECK(depth < sizeof levels);
            levels[depth++] = token.kind == LEST_JSON_OBJECT ? '}' : ']';
            break;
        case LEST_JSON_OBJECT_END:
        case LEST_JSON_LIST_END: FUZZ_CHECK(depth > 0 && levels[--depth] == *token.text); break;
        case LEST_JSON_NAME: FUZZ_CHECK(depth > 0 && levels[depth - 1] == '}'); /* fall through */
        case LEST_JSON_STRING: check_string(&token); break;
        case LEST_JSON_NUMBER:
            FUZZ_CHECK(token.len > 0 &&
                       (!token.is_whole || lest_json_integer(&token, &whole) || token.len > 18));
            break;
        default: break;
        }
    } while (token.kind > LEST_JSON_END);
    FUZZ_CHECK(token.kind == LEST_JSON_WRONG ? reader.problem != NULL : depth == 0 && values == 1);
    FUZZ_CHECK(lest_json_next(&reader).kind == token.kind);
    free(copy);
    return 0;
}
