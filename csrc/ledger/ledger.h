/* The ledger: what was decided and issued, and what authenticates whom.
 *
 * Callers know named statements (statements.c has them all) and typed values; an engine knows a database.
 * Nothing here builds SQL from outside bytes. One connection belongs to one thread. */
#ifndef LEST_LEDGER_LEDGER_H
#define LEST_LEDGER_LEDGER_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LEDGER_PARAMETERS_MAX = 40, LEDGER_RESULT_MAX = 64 * 1024 * 1024, LEDGER_BUSY_MS = 5000 };

enum ledger_type { LEDGER_NULL, LEDGER_INTEGER, LEDGER_TEXT, LEDGER_BLOB };

/** One value, in or out. bytes is borrowed and set for TEXT (UTF-8, no NUL inside) and BLOB. */
struct ledger_value {
    enum ledger_type type;
    int64_t integer;
    const void *bytes;
    size_t len;
};

struct ledger_parameter {
    const char *name;
    enum ledger_type type;
    bool optional; /* may be NULL */
};

/** A named statement. Its SQL means a parameter by ":name"; both engines take the same text where SQL is
 *  the same. parameters ends with a NULL name. */
struct ledger_statement {
    const char *name;
    const char *sql;
    struct ledger_parameter parameters[LEDGER_PARAMETERS_MAX + 1];
};

extern const struct ledger_statement ledger_statements[];
extern const size_t ledger_statement_count;

/** The statement of this name, or NULL. */
const struct ledger_statement *ledger_statement_find(const char *name);

/** Everything a statement gave back, in memory of its own; zeroed is empty. */
struct ledger_result {
    int64_t changes; /* rows that an INSERT, UPDATE or DELETE touched */
    size_t rows;
    size_t columns;
    struct lest_buf names; /* the columns' names, each ended by NUL */
    struct lest_buf cells;
    struct lest_buf bytes;
};

/** Start an empty result; release what it holds, which may then be used again. */
void ledger_result_init(struct ledger_result *result);
void ledger_result_free(struct ledger_result *result);

/** A cell; its bytes are borrowed from the result. */
struct ledger_value ledger_result_get(const struct ledger_result *result, size_t row, size_t column);

/** What an engine calls, cell after cell. Failures are kept in the result's buffers. */
void ledger_result_add(struct ledger_result *result, const struct ledger_value *value);

/** busy_ms    how long a statement waits for another process's write; LEDGER_BUSY_MS unless told
 *  create     make the file if there is none; otherwise that is LEST_E_NOT_FOUND
 *  max_pages  0, or a ceiling on the file's size in pages, so that a full disk can be tried */
struct ledger_options {
    int busy_ms;
    bool create;
    int64_t max_pages;
};

struct ledger;

/** Open, or make, the ledger at path and bring its schema to this version, in one transaction. The file is
 *  made with mode 0600. One written by a newer lest is refused. A relative path is taken from the working
 *  folder, which must stay that while the ledger is open; nothing above that folder is looked at.
 *  out  the caller's, ledger_close() it; NULL on failure
 *  Errors: LEST_E_LEDGER, LEST_E_LEDGER_BUSY, LEST_E_NOT_FOUND, LEST_E_CONFIG, LEST_E_NOMEM */
enum lest_status ledger_open(const char *path, const struct ledger_options *options, struct ledger **out,
                             struct lest_error *err) LEST_MUST_USE;

/** Whether ledger_open would make something of this path, as far as can be told while nothing is made or
 *  changed: its folder is there and can be written to; a ledger that is there is of this version or older.
 *  Errors: LEST_E_LEDGER, LEST_E_LEDGER_BUSY, LEST_E_CONFIG, LEST_E_NOMEM */
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

enum ledger_control {
    LEDGER_BEGIN,       /* takes the write lock at once, so that nothing inside fails for it */
    LEDGER_COMMIT,      /* durable when it succeeds; when it fails nothing of the transaction is kept */
    LEDGER_ROLLBACK,    /* never fails; nothing to do where there is no transaction */
    LEDGER_SAVEPOINT,   /* one request among the neighbours of a batch; not nested */
    LEDGER_RELEASE,     /* end the savepoint, keeping what was done since */
    LEDGER_ROLLBACK_TO, /* undo what was done since the savepoint, which stays open */
};

/** Control the transaction. A full disk or an I/O error may end a transaction on the database's side; from
 *  then on every statement, savepoint and the commit fail with LEST_E_LEDGER until LEDGER_ROLLBACK or
 *  LEDGER_COMMIT, so that nothing runs outside the transaction it was meant for.
 *  Errors: as ledger_run; LEST_E_INTERNAL for a call out of order */
enum lest_status ledger_control(struct ledger *ledger, enum ledger_control what,
                                struct lest_error *err) LEST_MUST_USE;

/** The version of the schema this program knows. */
int ledger_schema_version(void);

/** Whether the bytes are UTF-8 without NUL, which is what a TEXT may hold. */
bool ledger_is_text(const void *bytes, size_t len);

#endif
