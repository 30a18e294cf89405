#include "ledger/sqlite_row.h"

#include <string.h>

static void add_names(sqlite3_stmt *stmt, struct ledger_result *result)
{
    for (int i = 0; i < (int)result->columns; i++) {
        const char *name = sqlite3_column_name(stmt, i);
        lest_buf_append(&result->names, name ? name : "", name ? strlen(name) + 1 : 1);
    }
}

/* Most questions find no row, and need no names. */
void ledger_sqlite_add_row(sqlite3_stmt *stmt, struct ledger_result *result)
{
    if (!result->rows)
        add_names(stmt, result);
    for (int i = 0; i < (int)result->columns; i++) {
        struct ledger_value value = { 0 };
        switch (sqlite3_column_type(stmt, i)) {
        case SQLITE_INTEGER:
            value.type = LEDGER_INTEGER;
            value.integer = sqlite3_column_int64(stmt, i);
            break;
        case SQLITE_FLOAT:
        case SQLITE_TEXT:
            value.type = LEDGER_TEXT;
            value.bytes = sqlite3_column_text(stmt, i);
            value.len = (size_t)sqlite3_column_bytes(stmt, i);
            break;
        case SQLITE_BLOB:
            value.type = LEDGER_BLOB;
            value.bytes = sqlite3_column_blob(stmt, i);
            value.len = (size_t)sqlite3_column_bytes(stmt, i);
            break;
        default: break;
        }
        ledger_result_add(result, &value);
    }
    result->rows++;
}

bool ledger_sqlite_fits(const struct ledger_result *result)
{
    return !result->names.failed && !result->cells.failed && !result->bytes.failed;
}

enum lest_status ledger_sqlite_row_status(const struct ledger_result *result, struct lest_error *err)
{
    enum lest_status status = lest_buf_status(&result->names, err);
    if (!status)
        status = lest_buf_status(&result->cells, err);
    if (!status)
        status = lest_buf_status(&result->bytes, err);
    return status;
}
