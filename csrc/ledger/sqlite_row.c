#include "ledger/sqlite_row.h"

#include <string.h>

static void add_names(sqlite3_stmt *stmt, struct ledger_result *result)
{
    for (int i = 0; i < (int)result->columns; i++) {
        const char *name = sqlite3_column_name(stmt, i);
        lest_buf_append(&result->names, name ? name : "", name ? strlen(name) + 1 : 1);
    }
}

/* A float that is a whole number is that number: whatever wrote 1.0 meant what wrote 1. Past 2^53 a float
 * is no number in particular. */
static bool is_whole(double number)
{
    const double most = 9007199254740992.0;
    return number >= -most && number <= most && number == (double)(int64_t)number;
}

static void take_text(sqlite3_stmt *stmt, int column, struct ledger_value *value)
{
    value->type = LEDGER_TEXT;
    value->bytes = sqlite3_column_text(stmt, column);
    value->len = (size_t)sqlite3_column_bytes(stmt, column);
}

static void take_float(sqlite3_stmt *stmt, int column, struct ledger_value *value)
{
    double number = sqlite3_column_double(stmt, column);
    if (!is_whole(number)) {
        take_text(stmt, column, value);
        return;
    }
    value->type = LEDGER_INTEGER;
    value->integer = (int64_t)number;
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
        case SQLITE_FLOAT: take_float(stmt, i, &value); break;
        case SQLITE_TEXT: take_text(stmt, i, &value); break;
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
