/* What the files of the SQLite engine share. */
#ifndef LEST_LEDGER_SQLITE_H
#define LEST_LEDGER_SQLITE_H

#include "ledger/ledger.h"

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

/** SQLite's files, with relative names that stay relative. NULL is SQLite's default. */
const char *ledger_sqlite_vfs(const char *path);

/* The WAL of an open ledger, to be synced by any thread while the connection goes on. */
struct ledger_wal;

/** db   has read from the file, so that its WAL is there, and stays open as long as the result
 *  out  the caller's, ledger_wal_close(); NULL on failure
 *  Makes durable all that is there already, and takes checkpoints over from SQLite. Errors: LEST_E_LEDGER, LEST_E_NOMEM */
enum lest_status ledger_wal_open(sqlite3 *db, const char *path, struct ledger_wal **out,
                                 struct lest_error *err) LEST_MUST_USE;
void ledger_wal_close(struct ledger_wal *wal);

/** Make durable what was committed before the call. After a failure all further calls fail.
 *  Errors: LEST_E_LEDGER */
enum lest_status ledger_wal_sync(struct ledger_wal *wal, struct lest_error *err) LEST_MUST_USE;

/** Move what was committed into the database, so that the WAL may begin anew. Any thread, one at a time, while
 *  the connection goes on; ledger_wal_is_long() says when. Errors: LEST_E_LEDGER, as ledger_wal_sync */
enum lest_status ledger_wal_checkpoint(struct ledger_wal *wal, struct lest_error *err) LEST_MUST_USE;
bool ledger_wal_is_long(const struct ledger_wal *wal);

#endif
