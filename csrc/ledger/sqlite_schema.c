#include "ledger/sqlite_schema.h"

#include "base/clock.h"
#include "ledger/migrations.h"

#include <inttypes.h>
#include <string.h>

enum {
    APPLICATION_ID = 0x6c657374, /* "lest": tells a ledger from another program's database */
    LIKE_MAX = 100,
    PROGRESS_STEPS = 100000 /* of SQLite's machine, between two looks at the clock: milliseconds */
};

static enum lest_status status_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT: return LEST_E_LEDGER_CONSTRAINT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return LEST_E_LEDGER_BUSY;
    case SQLITE_NOMEM: return LEST_E_NOMEM;
    case SQLITE_TOOBIG: return LEST_E_TOO_LARGE;
    default: return LEST_E_LEDGER;
    }
}

static const char *sentence_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT: return "the ledger refuses the row";
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "the ledger is locked by another process";
    case SQLITE_NOMEM: return "out of memory";
    case SQLITE_TOOBIG: return "the value is too large for the ledger";
    case SQLITE_FULL: return "the ledger cannot grow: the disk is full";
    case SQLITE_CORRUPT: return "the ledger's file is damaged";
    case SQLITE_NOTADB: return "the file is not a ledger";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return "the ledger cannot be written";
    case SQLITE_CANTOPEN: return "the ledger cannot be opened";
    default: return "the ledger failed";
    }
}

/* SQLite's words name tables and columns, never values. */
enum lest_status ledger_sqlite_fail(sqlite3 *db, int code, const char *what, struct lest_error *err)
{
    int number = db ? sqlite3_system_errno(db) : 0;
    lest_error_set(err, status_of(code), "%s%s%s", what ? what : "", what ? ": " : "", sentence_of(code));
    lest_error_add_detail(err, db ? sqlite3_errmsg(db) : sqlite3_errstr(code));
    if (number && ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN))
        lest_error_add_detail(err, strerror(number));
    return status_of(code);
}

enum lest_status ledger_sqlite_run(sqlite3 *db, const char *sql, const char *what, struct lest_error *err)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? LEST_OK : ledger_sqlite_fail(db, code, what, err);
}

/* A PRAGMA or SELECT with one integer as its answer. */
enum lest_status ledger_sqlite_ask(sqlite3 *db, const char *sql, int64_t *out, const char *what,
                                   struct lest_error *err)
{
    sqlite3_stmt *stmt = NULL;
    *out = 0;
    int code = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(stmt, 0);
    enum lest_status status =
        code == SQLITE_ROW || code == SQLITE_DONE ? LEST_OK : ledger_sqlite_fail(db, code, what, err);
    sqlite3_finalize(stmt);
    return status;
}

enum lest_status ledger_sqlite_check_version(sqlite3 *db, const char *path, int64_t *version,
                                             struct lest_error *err)
{
    int64_t application = 0, objects = 0;
    /* In one snapshot: another process may be making the ledger just now. */
    bool alone = sqlite3_get_autocommit(db);
    enum lest_status status = alone ? ledger_sqlite_run(db, "BEGIN", path, err) : LEST_OK;
    if (!status)
        status = ledger_sqlite_ask(db, "PRAGMA application_id", &application, path, err);
    if (!status)
        status = ledger_sqlite_ask(db, "PRAGMA user_version", version, path, err);
    if (!status)
        status = ledger_sqlite_ask(db, "SELECT count(*) FROM sqlite_schema", &objects, path, err);
    if (alone)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    if (status)
        return status;
    if (application != APPLICATION_ID && (application || *version || objects))
        return lest_error_set(err, LEST_E_LEDGER, "%s: a database of another program, not a ledger", path);
    if (*version < 0 || (size_t)*version > ledger_sqlite_migration_count)
        return lest_error_set(err, LEST_E_LEDGER,
                              "%s: written by a newer lest (schema %" PRId64 ", this one knows %zu)", path,
                              *version, ledger_sqlite_migration_count);
    return LEST_OK;
}

int ledger_schema_version(void)
{
    return (int)ledger_sqlite_migration_count;
}

static enum lest_status run_migrations(sqlite3 *db, const char *path, struct lest_error *err)
{
    char text[96];
    int64_t version = 0;
    /* Another process may have done it while this one waited for the lock. */
    enum lest_status status = ledger_sqlite_check_version(db, path, &version, err);
    for (size_t i = (size_t)version; !status && i < ledger_sqlite_migration_count; i++)
        status = ledger_sqlite_run(db, ledger_sqlite_migrations[i], path, err);
    if (status)
        return status;
    sqlite3_snprintf(sizeof text, text, "PRAGMA application_id = %d; PRAGMA user_version = %d",
                     (int)APPLICATION_ID, (int)ledger_sqlite_migration_count);
    return ledger_sqlite_run(db, text, path, err);
}

struct progress {
    const struct ledger_options *options;
    int64_t since_ms;
    int64_t told_s;
};

static int on_progress(void *arg)
{
    struct progress *progress = arg;
    int64_t seconds = (lest_clock_monotonic_ms() - progress->since_ms) / 1000;
    if (seconds > progress->told_s)
        progress->options->progress(progress->options->progress_arg, seconds);
    progress->told_s = seconds;
    return 0; /* go on */
}

/* For the length of a migration: the memory that sorts new indexes, and the LIKE in SQLite's own statements
 * that drop a column; ours have none. */
static enum lest_status run_prepared(sqlite3 *db, const char *path, const struct ledger_options *options,
                                     struct lest_error *err)
{
    struct progress progress = { .options = options, .since_ms = lest_clock_monotonic_ms() };
    int usual = sqlite3_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LIKE_MAX);
    if (options->progress)
        sqlite3_progress_handler(db, PROGRESS_STEPS, on_progress, &progress);
    enum lest_status status = ledger_sqlite_run(db, "PRAGMA cache_size = -65536", path, err);
    if (!status)
        status = run_migrations(db, path, err);
    if (!status)
        status = ledger_sqlite_run(db, "COMMIT", path, err);
    if (!status)
        status = ledger_sqlite_run(db, "PRAGMA cache_size = -2000", path, err); /* the default */
    sqlite3_progress_handler(db, 0, NULL, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, usual);
    return status;
}

enum lest_status ledger_sqlite_migrate(sqlite3 *db, const char *path, const struct ledger_options *options,
                                       struct lest_error *err)
{
    int64_t version;
    enum lest_status status = ledger_sqlite_check_version(db, path, &version, err);
    if (status || (size_t)version == ledger_sqlite_migration_count)
        return status;
    if (!version && !options->create)
        return lest_error_set(err, LEST_E_LEDGER, "%s: an empty database, not a ledger", path);
    status = ledger_sqlite_run(db, "BEGIN IMMEDIATE", path, err);
    if (status)
        return status;
    status = run_prepared(db, path, options, err);
    if (status && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}
