#include "ledger/lookup.h"

#include "base/clock.h"
#include "ledger/sqlite_connect.h"
#include "ledger/sqlite_row.h"
#include "ledger/sqlite_vfs.h"

#include <stdlib.h>
#include <string.h>

/* PROGRESS_STEPS  of SQLite's machine between two looks at the clock: some 10 us */
enum { PROGRESS_STEPS = 1000, LIKE_MAX = 100 };

struct ledger_lookup {
    sqlite3 *db;
    sqlite3_stmt *stmt;
    int64_t deadline_ms;
};

static enum lest_status status_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return LEST_E_LEDGER_BUSY;
    case SQLITE_NOMEM: return LEST_E_NOMEM;
    case SQLITE_TOOBIG: return LEST_E_TOO_LARGE;
    case SQLITE_INTERRUPT: return LEST_E_TIMEOUT;
    case SQLITE_ERROR:
    case SQLITE_AUTH: return LEST_E_USAGE;
    default: return LEST_E_IO;
    }
}

static const char *sentence_of(enum lest_status status)
{
    switch (status) {
    case LEST_E_LEDGER_BUSY: return "the database is locked by another process";
    case LEST_E_NOMEM: return "out of memory";
    case LEST_E_TOO_LARGE: return "the database has a value that is too large";
    case LEST_E_TIMEOUT: return "the database takes too long to answer";
    case LEST_E_USAGE: return "the database does not take the query";
    default: return "the database cannot be read";
    }
}

static enum lest_status fail(sqlite3 *db, int code, struct lest_error *err)
{
    enum lest_status status = status_of(code);
    lest_error_set(err, status, "%s", sentence_of(status));
    lest_error_add_detail(err, db ? sqlite3_errmsg(db) : sqlite3_errstr(code));
    return status;
}

/* What a query may do. */
static int authorize(void *arg, int action, const char *first, const char *second, const char *database,
                     const char *inner)
{
    (void)arg, (void)first, (void)database, (void)inner;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE: return SQLITE_OK;
    case SQLITE_FUNCTION: return strcmp(second, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    default: return SQLITE_DENY;
    }
}

static int is_late(void *arg)
{
    const struct ledger_lookup *lookup = arg;
    return lest_clock_monotonic_ms() >= lookup->deadline_ms;
}

/* A ledger has no views, and short values. */
static int harden(struct ledger_lookup *lookup)
{
    sqlite3 *db = lookup->db;
    sqlite3_extended_result_codes(db, 1);
    ledger_sqlite_harden(db);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 1, (int *)NULL);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, LEDGER_LOOKUP_VALUE_MAX);
    sqlite3_limit(db, SQLITE_LIMIT_COLUMN, LEDGER_LOOKUP_COLUMNS_MAX);
    sqlite3_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LIKE_MAX);
    /* A mapped file that is cut while it is read would end the process. */
    int code = sqlite3_exec(db,
                            "PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;"
                            "PRAGMA query_only = ON",
                            NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_set_authorizer(db, authorize, NULL);
    sqlite3_progress_handler(db, PROGRESS_STEPS, is_late, lookup);
    return code;
}

static enum lest_status prepare(struct ledger_lookup *lookup, const char *sql, struct lest_error *err)
{
    const char *tail = NULL;
    int code = sqlite3_prepare_v3(lookup->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &lookup->stmt, &tail);
    if (code != SQLITE_OK)
        return fail(lookup->db, code, err);
    const char *name = lookup->stmt ? sqlite3_bind_parameter_name(lookup->stmt, 1) : NULL;
    if (!lookup->stmt || tail[strspn(tail, " \t\r\n;")])
        return lest_error_set(err, LEST_E_USAGE, "the query is not one statement");
    if (sqlite3_column_count(lookup->stmt) == 0 || !sqlite3_stmt_readonly(lookup->stmt))
        return lest_error_set(err, LEST_E_USAGE, "the query is no SELECT");
    if (sqlite3_bind_parameter_count(lookup->stmt) != 1 || !name || strcmp(name, ":key") != 0)
        return lest_error_set(err, LEST_E_USAGE, "the query has one parameter, which is :key");
    return LEST_OK;
}

enum lest_status ledger_lookup_open(const char *path, const char *sql, struct ledger_lookup **out,
                                    struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    struct ledger_lookup *lookup = NULL;
    *out = NULL;
    /* To SQLite these are a temporary database, one in memory, and an address. */
    if (!*path || *path == ':' || strncmp(path, "file:", 5) == 0)
        return lest_error_set(err, LEST_E_USAGE, "'%s' is not the path of a database", path);
    lookup = calloc(1, sizeof *lookup);
    if (!lookup)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    ledger_sqlite_configure();
    lookup->deadline_ms = INT64_MAX;
    int code = sqlite3_open_v2(path, &lookup->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX,
                               ledger_sqlite_vfs(path));
    if (code == SQLITE_OK)
        code = harden(lookup);
    status = code == SQLITE_OK ? prepare(lookup, sql, err) : fail(lookup->db, code, err);
    if (status)
        ledger_lookup_close(lookup);
    else
        *out = lookup;
    return status;
}

void ledger_lookup_close(struct ledger_lookup *lookup)
{
    if (!lookup)
        return;
    sqlite3_finalize(lookup->stmt);
    sqlite3_close(lookup->db);
    free(lookup);
}

size_t ledger_lookup_columns(const struct ledger_lookup *lookup)
{
    return (size_t)sqlite3_column_count(lookup->stmt);
}

const char *ledger_lookup_column(const struct ledger_lookup *lookup, size_t column)
{
    const char *name = sqlite3_column_name(lookup->stmt, (int)column);
    return name ? name : "";
}

static enum lest_status step(struct ledger_lookup *lookup, struct ledger_result *result,
                             struct lest_error *err)
{
    int code = sqlite3_step(lookup->stmt);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? LEST_OK : fail(lookup->db, code, err);
    result->columns = (size_t)sqlite3_column_count(lookup->stmt);
    ledger_sqlite_add_row(lookup->stmt, result);
    enum lest_status status = ledger_sqlite_row_status(result, err);
    if (status)
        return status;
    code = sqlite3_step(lookup->stmt);
    if (code == SQLITE_ROW)
        return lest_error_set(err, LEST_E_TOO_LARGE, "the database has more than one row for the key");
    return code == SQLITE_DONE ? LEST_OK : fail(lookup->db, code, err);
}

enum lest_status ledger_lookup_ask(struct ledger_lookup *lookup, const char *key, size_t len, int max_ms,
                                   struct ledger_result *result, struct lest_error *err)
{
    ledger_result_free(result);
    lookup->deadline_ms = lest_clock_monotonic_ms() + max_ms;
    int code = sqlite3_bind_text64(lookup->stmt, 1, key, len, SQLITE_STATIC, SQLITE_UTF8);
    enum lest_status status = code == SQLITE_OK ? step(lookup, result, err) : fail(lookup->db, code, err);
    sqlite3_reset(lookup->stmt);
    sqlite3_clear_bindings(lookup->stmt); /* the key is the caller's, and may be freed now */
    return status;
}
