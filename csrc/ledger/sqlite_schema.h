/* What the files of the SQLite engine ask the database, and the schema's version. */
#ifndef LEST_LEDGER_SQLITE_SCHEMA_H
#define LEST_LEDGER_SQLITE_SCHEMA_H

#include "ledger/engine.h"

#include <sqlite3.h>

/** Set err from SQLite's last error. db may be NULL; what may be NULL, and begins the message.
 *  Returns the status of code. */
enum lest_status ledger_sqlite_fail(sqlite3 *db, int code, const char *what, struct lest_error *err);

/** Run SQL that gives no rows. */
enum lest_status ledger_sqlite_run(sqlite3 *db, const char *sql, const char *what,
                                   struct lest_error *err) LEST_MUST_USE;

/** A PRAGMA or SELECT with one integer as its answer. */
enum lest_status ledger_sqlite_ask(sqlite3 *db, const char *sql, int64_t *out, const char *what,
                                   struct lest_error *err) LEST_MUST_USE;

/** The schema's version of a ledger; an error where it is none, or a newer lest's. */
enum lest_status ledger_sqlite_check_version(sqlite3 *db, const char *path, int64_t *version,
                                             struct lest_error *err) LEST_MUST_USE;

/** Bring the schema to this program's version, in one transaction. */
enum lest_status ledger_sqlite_migrate(sqlite3 *db, const char *path, const struct ledger_options *options,
                                       struct lest_error *err) LEST_MUST_USE;

#endif
