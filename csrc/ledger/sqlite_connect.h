/* Connections of the SQLite engine, all alike. */
#ifndef LEST_LEDGER_SQLITE_CONNECT_H
#define LEST_LEDGER_SQLITE_CONNECT_H

#include "base/error.h"

#include <sqlite3.h>

/** Set what is set once a process, before any other call of SQLite. */
void ledger_sqlite_configure(void);

/** Switch off what a ledger has no use for, and bound the rest: the file may be another's work. */
void ledger_sqlite_harden(sqlite3 *db);

/** A connection for reading and writing the file, hardened, which waits LEDGER_BUSY_MS for another's lock. A
 *  file that can only be read is an error.
 *  out  the caller's, sqlite3_close() it; NULL on failure. Errors: LEST_E_LEDGER, LEST_E_NOMEM */
enum lest_status ledger_sqlite_connect(const char *path, sqlite3 **out, struct lest_error *err) LEST_MUST_USE;

#endif
