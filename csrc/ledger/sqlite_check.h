/* What can be told of a path before a ledger is opened there. */
#ifndef LEST_LEDGER_SQLITE_CHECK_H
#define LEST_LEDGER_SQLITE_CHECK_H

#include "base/error.h"

#include <sqlite3.h>
#include <stdbool.h>

/** Whether SQLite takes this text for the path of a file. Errors: LEST_E_CONFIG */
enum lest_status ledger_sqlite_check_path(const char *path, struct lest_error *err) LEST_MUST_USE;

/** Whether a file is there that is not empty. Errors: LEST_E_NOT_FOUND, LEST_E_LEDGER */
enum lest_status ledger_sqlite_check_there(const char *path, struct lest_error *err) LEST_MUST_USE;

/** Whether a ledger has a WAL beside it: a process has it open, or left it in a hurry. */
bool ledger_sqlite_has_wal(const char *path);

/** Open a ledger that is there to read of it; nothing is made or changed, beside it neither. One that has no
 *  WAL is taken not to change: what was read of it is right if it has none afterwards.
 *  out  the caller's, sqlite3_close() it; NULL on failure
 *  Errors: as ledger_run() */
enum lest_status ledger_sqlite_look(const char *path, sqlite3 **out, struct lest_error *err) LEST_MUST_USE;

/** As ledger_check(). */
enum lest_status ledger_sqlite_check(const char *path, struct lest_error *err) LEST_MUST_USE;

#endif
