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
