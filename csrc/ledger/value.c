#include "ledger/value.h"

#include <string.h>

struct cell {
    enum ledger_type type;
    int64_t integer;
    size_t offset;
    size_t len;
};

void ledger_result_init(struct ledger_result *result)
{
    *result = (struct ledger_result){ 0 };
    lest_buf_init(&result->names, 64 * 1024);
    lest_buf_init(&result->cells, LEDGER_RESULT_MAX);
    lest_buf_init(&result->bytes, LEDGER_RESULT_MAX);
}

/* Hashes of secrets pass through here. */
void ledger_result_free(struct ledger_result *result)
{
    lest_buf_free(&result->names);
    lest_buf_free(&result->cells);
    lest_buf_wipe(&result->bytes);
    result->changes = 0;
    result->rows = result->columns = 0;
}

struct ledger_value ledger_result_get(const struct ledger_result *result, size_t row, size_t column)
{
    struct cell cell;
    size_t index = row * result->columns + column;
    if (column >= result->columns || row >= result->rows)
        return (struct ledger_value){ 0 };
    memcpy(&cell, result->cells.data + index * sizeof cell, sizeof cell);
    return (struct ledger_value){
        .type = cell.type,
        .integer = cell.integer,
        .bytes = cell.len ? result->bytes.data + cell.offset : (const uint8_t *)"",
        .len = cell.len,
    };
}

void ledger_result_add(struct ledger_result *result, const struct ledger_value *value)
{
    bool has_bytes = value->type == LEDGER_TEXT || value->type == LEDGER_BLOB;
    struct cell cell = {
        .type = value->type,
        .integer = value->integer,
        .offset = result->bytes.len,
        .len = has_bytes ? value->len : 0,
    };
    lest_buf_append(&result->cells, &cell, sizeof cell);
    if (cell.len)
        lest_buf_append(&result->bytes, value->bytes, value->len);
}

/* RFC 3629 section 4. */
static size_t utf8_length(const uint8_t *at, size_t left)
{
    static const struct {
        uint8_t first_low, first_high, second_low, second_high, len;
    } forms[] = {
        { 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (at[0] < forms[i].first_low || at[0] > forms[i].first_high)
            continue;
        if (forms[i].len > left)
            return 0;
        if (forms[i].len > 1 && (at[1] < forms[i].second_low || at[1] > forms[i].second_high))
            return 0;
        for (size_t j = 2; j < forms[i].len; j++)
            if ((at[j] & 0xc0) != 0x80)
                return 0;
        return forms[i].len;
    }
    return 0;
}

bool ledger_is_text(const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len) {
        size_t step = *at && *at < 0x80 ? 1 : utf8_length(at, len);
        if (!step)
            return false;
        at += step;
        len -= step;
    }
    return true;
}
