/* A question to a database of SQLite that is somebody else's, as an inventory: one SELECT with one parameter,
 * `:key`. The file is opened to read, may hold anything, and may change at any time. */
#ifndef LEST_LEDGER_LOOKUP_H
#define LEST_LEDGER_LOOKUP_H

#include "base/error.h"
#include "ledger/value.h"

enum { LEDGER_LOOKUP_COLUMNS_MAX = 64, LEDGER_LOOKUP_VALUE_MAX = 64 * 1024 };

struct ledger_lookup;

/** Open the file and prepare the question, which may read, and nothing else: no other file, no function
 *  that a database's schema chooses, no temporary file.
 *  out  the caller's, ledger_lookup_close() it; NULL on failure
 *  Errors: LEST_E_USAGE (no SELECT with the parameter :key alone; more than LEDGER_LOOKUP_COLUMNS_MAX
 *  columns), LEST_E_LEDGER_BUSY, LEST_E_IO (no such file, no database, damage: SQLite's words are in
 *  detail), LEST_E_NOMEM */
enum lest_status ledger_lookup_open(const char *path, const char *sql, struct ledger_lookup **out,
                                    struct lest_error *err) LEST_MUST_USE;

/** NULL is nothing. */
void ledger_lookup_close(struct ledger_lookup *lookup);

/** How many columns an answer has, and their names, which are borrowed until the next call. */
size_t ledger_lookup_columns(const struct ledger_lookup *lookup);
const char *ledger_lookup_column(const struct ledger_lookup *lookup, size_t column);

/** Ask: no row or one. It waits for nobody's lock.
 *  key, len  UTF-8, borrowed for the call
 *  max_ms    how long it may take; what SQLite reads of a slow disk at once is not cut short
 *  result    initialised by the caller; what was in it is dropped
 *  Errors: LEST_E_LEDGER_BUSY (another process writes: ask again), LEST_E_TIMEOUT, LEST_E_TOO_LARGE (more
 *  than one row, or a value of more than LEDGER_LOOKUP_VALUE_MAX bytes), LEST_E_IO, LEST_E_NOMEM */
enum lest_status ledger_lookup_ask(struct ledger_lookup *lookup, const char *key, size_t len, int max_ms,
                                   struct ledger_result *result, struct lest_error *err) LEST_MUST_USE;

#endif
