/* Commits that are synced later: the write-ahead log of an open ledger. */
#ifndef LEST_LEDGER_SQLITE_WAL_H
#define LEST_LEDGER_SQLITE_WAL_H

#include "base/error.h"

#include <sqlite3.h>
#include <stdbool.h>

/* The WAL of an open ledger, to be synced by any thread while the connection goes on. */
struct ledger_wal;

/** db   has read from the file, so that its WAL is there, and is closed before the result
 *  out  the caller's, ledger_wal_close(); NULL on failure
 *  Makes durable all that is there already, and takes checkpoints over from SQLite. Errors:
 *  LEST_E_LEDGER, LEST_E_NOMEM */
enum lest_status ledger_wal_open(sqlite3 *db, const char *path, struct ledger_wal **out,
                                 struct lest_error *err) LEST_MUST_USE;

/** After db was closed, since a descriptor of the database goes with it. NULL is fine. */
void ledger_wal_close(struct ledger_wal *wal);

/** Make durable what was committed before the call, in the files that are at the ledger's paths. After a
 *  failure all further calls fail. Errors: LEST_E_LEDGER, LEST_E_LEDGER_LOST */
enum lest_status ledger_wal_sync(struct ledger_wal *wal, struct lest_error *err) LEST_MUST_USE;

/** Move what was committed into the database, so that the WAL may begin anew. Any thread, one at a time,
 *  while the connection goes on; ledger_wal_is_long() says when. Errors: LEST_E_LEDGER, LEST_E_LEDGER_BUSY (a
 *  reader keeps it from moving what should have been moved) */
enum lest_status ledger_wal_checkpoint(struct ledger_wal *wal, struct lest_error *err) LEST_MUST_USE;
bool ledger_wal_is_long(const struct ledger_wal *wal);

/** Before a transaction of db: whether the WAL is as long as it should be. Errors: LEST_E_LEDGER_LOST */
enum lest_status ledger_wal_check(struct ledger_wal *wal, sqlite3 *db, struct lest_error *err) LEST_MUST_USE;

/** Whether the WAL must be left as it is when the ledger is closed: a sync has failed, or its paths are
 *  another ledger's. */
bool ledger_wal_must_stay(const struct ledger_wal *wal);

#endif
