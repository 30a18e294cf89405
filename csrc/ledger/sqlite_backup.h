/* Copies of a ledger that is in use. */
#ifndef LEST_LEDGER_SQLITE_BACKUP_H
#define LEST_LEDGER_SQLITE_BACKUP_H

#include "ledger/engine.h"

#include <sqlite3.h>

/** As ledger_backup(). */
enum lest_status ledger_sqlite_backup(sqlite3 *db, const char *path, const struct ledger_progress *progress,
                                      struct lest_error *err) LEST_MUST_USE;

/** As ledger_copy(). */
enum lest_status ledger_sqlite_copy(sqlite3 *db, int *out, struct lest_error *err) LEST_MUST_USE;

#endif
