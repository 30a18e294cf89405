#include "ledger/ledger.h"

#include "ledger/engine.h"

#include <stdlib.h>
#include <string.h>

struct ledger {
    const struct ledger_engine *engine;
    void *connection;
    bool begun;     /* the caller is in a transaction */
    bool savepoint; /* and in a savepoint of it */
};

struct cell {
    enum ledger_type type;
    int64_t integer;
    size_t offset;
    size_t len;
};

void ledger_result_init(struct ledger_result *result)
{
    *result = (struct ledger_result){ 0 };
    lest_buf_init(&result->names, 64 * 1024);
    lest_buf_init(&result->cells, LEDGER_RESULT_MAX);
    lest_buf_init(&result->bytes, LEDGER_RESULT_MAX);
}

/* Hashes of secrets pass through here. */
void ledger_result_free(struct ledger_result *result)
{
    lest_buf_free(&result->names);
    lest_buf_free(&result->cells);
    lest_buf_wipe(&result->bytes);
    result->changes = 0;
    result->rows = result->columns = 0;
}

struct ledger_value ledger_result_get(const struct ledger_result *result, size_t row, size_t column)
{
    struct cell cell;
    size_t index = row * result->columns + column;
    if (column >= result->columns || row >= result->rows)
        return (struct ledger_value){ 0 };
    memcpy(&cell, result->cells.data + index * sizeof cell, sizeof cell);
    return (struct ledger_value){
        .type = cell.type,
        .integer = cell.integer,
        .bytes = cell.len ? result->bytes.data + cell.offset : (const uint8_t *)"",
        .len = cell.len,
    };
}

void ledger_result_add(struct ledger_result *result, const struct ledger_value *value)
{
    bool has_bytes = value->type == LEDGER_TEXT || value->type == LEDGER_BLOB;
    struct cell cell = {
        .type = value->type,
        .integer = value->integer,
        .offset = result->bytes.len,
        .len = has_bytes ? value->len : 0,
    };
    lest_buf_append(&result->cells, &cell, sizeof cell);
    if (cell.len)
        lest_buf_append(&result->bytes, value->bytes, value->len);
}

const struct ledger_statement *ledger_statement_find(const char *name)
{
    for (size_t i = 0; i < ledger_statement_count; i++)
        if (strcmp(ledger_statements[i].name, name) == 0)
            return &ledger_statements[i];
    return NULL;
}

/* RFC 3629 section 4. */
static size_t utf8_length(const uint8_t *at, size_t left)
{
    static const struct {
        uint8_t first_low, first_high, second_low, second_high, len;
    } forms[] = {
        { 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (at[0] < forms[i].first_low || at[0] > forms[i].first_high)
            continue;
        if (forms[i].len > left)
            return 0;
        if (forms[i].len > 1 && (at[1] < forms[i].second_low || at[1] > forms[i].second_high))
            return 0;
        for (size_t j = 2; j < forms[i].len; j++)
            if ((at[j] & 0xc0) != 0x80)
                return 0;
        return forms[i].len;
    }
    return 0;
}

bool ledger_is_text(const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len) {
        size_t step = *at && *at < 0x80 ? 1 : utf8_length(at, len);
        if (!step)
            return false;
        at += step;
        len -= step;
    }
    return true;
}

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
        if (values->type == LEDGER_TEXT && !ledger_is_text(values->bytes, values->len))
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
    if (status)
        ledger_result_free(result);
    return status;
}

static bool in_order(const struct ledger *ledger, enum ledger_control what)
{
    switch (what) {
    case LEDGER_BEGIN: return !ledger->begun;
    case LEDGER_COMMIT:
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
        [LEDGER_BEGIN] = "begin",         [LEDGER_COMMIT] = "commit",   [LEDGER_ROLLBACK] = "rollback",
        [LEDGER_SAVEPOINT] = "savepoint", [LEDGER_RELEASE] = "release", [LEDGER_ROLLBACK_TO] = "rollback_to",
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
        if (status && what == LEDGER_COMMIT)
            undo(ledger);
    }
    follow(ledger, what, status == LEST_OK);
    return status;
}
