#include "ledger/ledger.h"

#include "base/utf8.h"
#include "ledger/engine.h"

#include <stdlib.h>
#include <string.h>

struct ledger {
    const struct ledger_engine *engine;
    void *connection;
    bool begun;     /* the caller is in a transaction */
    bool savepoint; /* and in a savepoint of it */
};

enum lest_status ledger_open(const char *path, const struct ledger_options *options, struct ledger **out,
                             struct lest_error *err)
{
    static const struct ledger_options defaults = { .busy_ms = LEDGER_BUSY_MS, .create = true };
    *out = NULL;
    struct ledger *ledger = calloc(1, sizeof *ledger);
    if (!ledger)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    ledger->engine = &ledger_sqlite;
    enum lest_status status =
        ledger->engine->open(path, options ? options : &defaults, &ledger->connection, err);
    if (status)
        free(ledger);
    else
        *out = ledger;
    return status;
}

enum lest_status ledger_check(const char *path, struct lest_error *err)
{
    return ledger_sqlite.check(path, err);
}

void ledger_close(struct ledger *ledger)
{
    if (!ledger)
        return;
    ledger->engine->close(ledger->connection);
    free(ledger);
}

static enum lest_status check_values(const struct ledger_statement *statement,
                                     const struct ledger_value *values, struct lest_error *err)
{
    for (const struct ledger_parameter *p = statement->parameters; p->name; p++, values++) {
        if (values->type == LEDGER_NULL ? !p->optional : values->type != p->type)
            return lest_error_set(err, LEST_E_INTERNAL, "%s: the type of '%s' is wrong", statement->name,
                                  p->name);
        if (values->type == LEDGER_TEXT && !lest_utf8_is_text(values->bytes, values->len))
            return lest_error_set(err, LEST_E_MALFORMED, "%s: '%s' is not UTF-8 text", statement->name,
                                  p->name);
    }
    return LEST_OK;
}

/* A full disk, an I/O error and want of memory make SQLite roll back by itself: what follows in the batch
 * must not run, and commit, one by one. */
static enum lest_status check_alive(struct ledger *ledger, struct lest_error *err)
{
    if (ledger->begun && !ledger->engine->in_transaction(ledger->connection))
        return lest_error_set(err, LEST_E_LEDGER,
                              "the ledger's transaction was lost to an earlier failure in it");
    return LEST_OK;
}

enum lest_status ledger_run(struct ledger *ledger, const struct ledger_statement *statement,
                            const struct ledger_value *values, struct ledger_result *result,
                            struct lest_error *err)
{
    ledger_result_free(result);
    enum lest_status status = check_values(statement, values, err);
    if (!status)
        status = check_alive(ledger, err);
    if (!status)
        status = ledger->engine->execute(ledger->connection, (size_t)(statement - ledger_statements), values,
                                         result, err);
    if (!status && !ledger->begun && result->changes)
        status = ledger_sync(ledger, err);
    if (status)
        ledger_result_free(result);
    return status;
}

static bool in_order(const struct ledger *ledger, enum ledger_control what)
{
    switch (what) {
    case LEDGER_BEGIN: return !ledger->begun;
    case LEDGER_COMMIT:
    case LEDGER_COMMIT_LATER:
    case LEDGER_SAVEPOINT: return ledger->begun && !ledger->savepoint;
    case LEDGER_ROLLBACK: return true;
    case LEDGER_RELEASE:
    case LEDGER_ROLLBACK_TO: return ledger->savepoint;
    }
    return false;
}

/* What the caller is in after the call, whether it worked or not: a failed commit keeps nothing. */
static void follow(struct ledger *ledger, enum ledger_control what, bool worked)
{
    switch (what) {
    case LEDGER_BEGIN: ledger->begun = worked; break;
    case LEDGER_COMMIT:
    case LEDGER_COMMIT_LATER:
    case LEDGER_ROLLBACK: ledger->begun = ledger->savepoint = false; break;
    case LEDGER_SAVEPOINT: ledger->savepoint = worked; break;
    case LEDGER_RELEASE: ledger->savepoint = !worked; break;
    case LEDGER_ROLLBACK_TO: break;
    }
}

static enum lest_status out_of_order(const struct ledger *ledger, enum ledger_control what,
                                     struct lest_error *err)
{
    static const char *const words[] = {
        [LEDGER_BEGIN] = "begin",
        [LEDGER_COMMIT] = "commit",
        [LEDGER_ROLLBACK] = "rollback",
        [LEDGER_COMMIT_LATER] = "commit",
        [LEDGER_SAVEPOINT] = "savepoint",
        [LEDGER_RELEASE] = "release",
        [LEDGER_ROLLBACK_TO] = "rollback_to",
    };
    const char *state = !ledger->begun      ? "no transaction is open"
                        : ledger->savepoint ? "a savepoint is open"
                                            : "a transaction is open, and no savepoint";
    return lest_error_set(err, LEST_E_INTERNAL, "%s is out of order: %s", words[what], state);
}

/* SQLite's ROLLBACK fails only where there is no transaction. */
static void undo(struct ledger *ledger)
{
    enum lest_status status = LEST_OK;
    if (ledger->engine->in_transaction(ledger->connection))
        status = ledger->engine->control(ledger->connection, LEDGER_ROLLBACK, NULL);
    (void)status;
}

enum lest_status ledger_sync(const struct ledger *ledger, struct lest_error *err)
{
    return ledger->engine->sync(ledger->connection, err);
}

bool ledger_is_long(const struct ledger *ledger)
{
    return ledger->engine->is_long(ledger->connection);
}

enum lest_status ledger_checkpoint(const struct ledger *ledger, struct lest_error *err)
{
    return ledger->engine->checkpoint(ledger->connection, err);
}

enum lest_status ledger_backup(struct ledger *ledger, const char *path,
                               const struct ledger_progress *progress, struct lest_error *err)
{
    if (ledger->begun)
        return lest_error_set(err, LEST_E_INTERNAL, "backup is out of order: a transaction is open");
    return ledger->engine->backup(ledger->connection, path, progress, err);
}

enum lest_status ledger_copy(struct ledger *ledger, int *out, struct lest_error *err)
{
    *out = -1;
    if (ledger->begun)
        return lest_error_set(err, LEST_E_INTERNAL, "copy is out of order: a transaction is open");
    return ledger->engine->copy(ledger->connection, out, err);
}

enum lest_status ledger_control(struct ledger *ledger, enum ledger_control what, struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    if (what == LEDGER_ROLLBACK) {
        undo(ledger);
    } else {
        status = check_alive(ledger, err);
        if (!status && !in_order(ledger, what))
            return out_of_order(ledger, what, err);
        if (!status)
            status = ledger->engine->control(ledger->connection, what, err);
        if (status && (what == LEDGER_COMMIT || what == LEDGER_COMMIT_LATER))
            undo(ledger);
        if (!status && what == LEDGER_COMMIT)
            status = ledger_sync(ledger, err);
    }
    follow(ledger, what, status == LEST_OK);
    return status;
}
