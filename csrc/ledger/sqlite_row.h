/* Rows of SQLite as results. */
#ifndef LEST_LEDGER_SQLITE_ROW_H
#define LEST_LEDGER_SQLITE_ROW_H

#include "base/error.h"
#include "ledger/value.h"

#include <sqlite3.h>

/** Add the row on which a statement stands. The first one brings the names. The result's columns are set.
 *  A REAL is its text. Failures are kept in the result's buffers. */
void ledger_sqlite_add_row(sqlite3_stmt *stmt, struct ledger_result *result);

/** Whether all that was added is there. */
bool ledger_sqlite_fits(const struct ledger_result *result);

/** Why it is not.
 *  Errors: LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status ledger_sqlite_row_status(const struct ledger_result *result,
                                          struct lest_error *err) LEST_MUST_USE;

#endif
