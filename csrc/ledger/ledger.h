/* The ledger: what was decided and issued, and what authenticates whom.
 *
 * Callers know named statements (statements.c has them all) and typed values; an engine knows a database.
 * Nothing here builds SQL from outside bytes. One connection belongs to one thread. */
#ifndef LEST_LEDGER_LEDGER_H
#define LEST_LEDGER_LEDGER_H

#include "ledger/engine.h"
#include "ledger/statements.h"

struct ledger;

/** Open, or make, the ledger at path and bring its schema to this version, in one transaction. The file is
 *  made with mode 0600. One written by a newer lest is refused. A relative path is taken from the working
 *  folder, which must stay that while the ledger is open; nothing above that folder is looked at.
 *  out  the caller's, ledger_close() it; NULL on failure
 *  Errors: LEST_E_LEDGER, LEST_E_LEDGER_BUSY, LEST_E_NOT_FOUND, LEST_E_CONFIG, LEST_E_NOMEM */
enum lest_status ledger_open(const char *path, const struct ledger_options *options, struct ledger **out,
                             struct lest_error *err) LEST_MUST_USE;

/** Whether ledger_open would open what is at this path, as far as can be told while nothing is made or
 *  changed: a ledger is there, of this version or older, and its folder can be written to.
 *  Errors: LEST_E_NOT_FOUND, LEST_E_LEDGER, LEST_E_LEDGER_BUSY, LEST_E_CONFIG, LEST_E_NOMEM */
enum lest_status ledger_check(const char *path, struct lest_error *err) LEST_MUST_USE;

/** An open transaction is rolled back. NULL is nothing. */
void ledger_close(struct ledger *ledger);

/** Run one statement. Outside a transaction it is durable when this returns.
 *  values  one for each of the statement's parameters, in their order; borrowed for the call
 *  result  initialised by the caller; what was in it is dropped
 *  Errors: LEST_E_LEDGER_CONSTRAINT (a row like it is there already, or a rule of the schema forbids it),
 *  LEST_E_LEDGER_BUSY, LEST_E_LEDGER (disk full, I/O, damage: the database's words are in detail),
 *  LEST_E_MALFORMED (a text that is not UTF-8 or holds NUL), LEST_E_TOO_LARGE, LEST_E_NOMEM,
 *  LEST_E_INTERNAL (a value of another type than declared) */
enum lest_status ledger_run(struct ledger *ledger, const struct ledger_statement *statement,
                            const struct ledger_value *values, struct ledger_result *result,
                            struct lest_error *err) LEST_MUST_USE;

/** Control the transaction. A full disk or an I/O error may end a transaction on the database's side; from
 *  then on every statement, savepoint and the commit fail with LEST_E_LEDGER until LEDGER_ROLLBACK or
 *  LEDGER_COMMIT, so that nothing runs outside the transaction it was meant for.
 *  Errors: as ledger_run; LEST_E_INTERNAL for a call out of order */
enum lest_status ledger_control(struct ledger *ledger, enum ledger_control what,
                                struct lest_error *err) LEST_MUST_USE;

/** Make durable all that was committed before the call, by whichever process. Any thread may call it, while
 *  the ledger's own goes on; not after ledger_close() has begun. Once it has failed it fails for good: what
 *  was committed may be lost, and nothing more can be promised with this ledger open. So it does where the
 *  files that are open are not those at the ledger's path any more, or were cut: LEST_E_LEDGER_LOST.
 *  Errors: LEST_E_LEDGER, LEST_E_LEDGER_LOST */
enum lest_status ledger_sync(const struct ledger *ledger, struct lest_error *err) LEST_MUST_USE;

/** Whether so much was committed since the last ledger_checkpoint() that another is due: it moves what was
 *  committed to where it stays. Any thread may make it, one at a time, while the ledger's own goes on. After
 *  an I/O error ledger_sync() fails too; otherwise nothing is lost, but the ledger's WAL grows. Where the
 *  ledger was not opened with sync_later, commits do it themselves.
 *  Errors: LEST_E_LEDGER, LEST_E_LEDGER_BUSY (another process's reading keeps it from its work) */
bool ledger_is_long(const struct ledger *ledger);
enum lest_status ledger_checkpoint(const struct ledger *ledger, struct lest_error *err) LEST_MUST_USE;

/** Copy what is in the ledger now to a new file, of mode 0600, whole and durable or not at all; until then it
 *  is at path with ".part" at its end. Others go on reading and writing, but their WAL grows meanwhile. Not
 *  inside a transaction.
 *  progress  may be NULL; must not use the ledger
 *  Errors: LEST_E_EXISTS, LEST_E_IO, LEST_E_LEDGER, LEST_E_LEDGER_BUSY, LEST_E_NOMEM, LEST_E_INTERNAL */
enum lest_status ledger_backup(struct ledger *ledger, const char *path,
                               const struct ledger_progress *progress, struct lest_error *err) LEST_MUST_USE;

/** The same, to a file beside the ledger that has no name, for who hands it on: *out is a descriptor of it,
 *  the caller's; -1 on failure.
 *  Errors: LEST_E_UNAVAILABLE (it would fill the disk), LEST_E_IO, LEST_E_LEDGER, LEST_E_LEDGER_BUSY,
 *  LEST_E_NOMEM, LEST_E_INTERNAL */
enum lest_status ledger_copy(struct ledger *ledger, int *out, struct lest_error *err) LEST_MUST_USE;

#endif
