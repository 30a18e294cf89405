/* The SQLite engine: WAL, synchronous=FULL (NORMAL where commits are synced later), one file. */
#include "base/clock.h"
#include "ledger/engine.h"
#include "ledger/sqlite_backup.h"
#include "ledger/sqlite_check.h"
#include "ledger/sqlite_connect.h"
#include "ledger/sqlite_row.h"
#include "ledger/sqlite_schema.h"
#include "ledger/sqlite_wal.h"
#include "ledger/statements.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_US = 1000 };
enum { WAL_KEPT_MAX = 64 * 1024 * 1024 };

/* place[i] is SQLite's number for the statement's parameter i. */
struct prepared {
    sqlite3_stmt *stmt;
    int place[LEDGER_PARAMETERS_MAX];
};

static const char *const control_sql[] = {
    [LEDGER_BEGIN] = "BEGIN IMMEDIATE",
    [LEDGER_COMMIT] = "COMMIT",
    [LEDGER_COMMIT_LATER] = "COMMIT",
    [LEDGER_ROLLBACK] = "ROLLBACK",
    [LEDGER_SAVEPOINT] = "SAVEPOINT request",
    [LEDGER_RELEASE] = "RELEASE request",
    [LEDGER_ROLLBACK_TO] = "ROLLBACK TO request",
};
enum { CONTROLS = sizeof control_sql / sizeof *control_sql };

struct connection {
    sqlite3 *db;
    struct ledger_wal *wal; /* where commits are synced later */
    char *unused_path;      /* opened to read where no other process had it open */
    int busy_ms;
    int64_t wait_until_ms;
    sqlite3_stmt *controls[CONTROLS];
    struct prepared prepared[]; /* by the statement's place in ledger_statements */
};

/* Turning a new file to WAL needs it alone for a moment, and SQLite does not wait for that by itself where
 * waiting could deadlock: two processes that open at once would see "locked". */
static enum lest_status set_wal(sqlite3 *db, const char *path, int busy_ms, struct lest_error *err)
{
    int64_t deadline = lest_clock_monotonic_ms() + busy_ms;
    for (;;) {
        enum lest_status status = ledger_sqlite_run(db, "PRAGMA journal_mode = WAL", path, err);
        if (status != LEST_E_LEDGER_BUSY || lest_clock_monotonic_ms() >= deadline)
            return status;
        sqlite3_sleep(5);
    }
}

static enum lest_status set_pragmas(sqlite3 *db, const char *path, const struct ledger_options *options,
                                    struct lest_error *err)
{
    char text[128];
    enum lest_status status = set_wal(db, path, options->busy_ms, err);
    if (status)
        return status;
    sqlite3_snprintf(sizeof text, text,
                     "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;"
                     "PRAGMA journal_size_limit = %d",
                     (int)WAL_KEPT_MAX);
    status = ledger_sqlite_run(db, text, path, err);
    if (status || !options->max_pages)
        return status;
    sqlite3_snprintf(sizeof text, text, "PRAGMA max_page_count = %lld", (long long)options->max_pages);
    return ledger_sqlite_run(db, text, path, err);
}

static enum lest_status find_places(const struct ledger_statement *statement, struct prepared *prepared,
                                    struct lest_error *err)
{
    char name[64];
    int count = 0;
    for (; statement->parameters[count].name; count++) {
        sqlite3_snprintf(sizeof name, name, ":%s", statement->parameters[count].name);
        prepared->place[count] = sqlite3_bind_parameter_index(prepared->stmt, name);
        if (!prepared->place[count])
            return lest_error_set(err, LEST_E_INTERNAL, "%s declares '%s' and does not use it",
                                  statement->name, statement->parameters[count].name);
    }
    if (count != sqlite3_bind_parameter_count(prepared->stmt))
        return lest_error_set(err, LEST_E_INTERNAL, "%s uses what it does not declare", statement->name);
    return LEST_OK;
}

/* Every statement at once: a file that says it has this schema and has not is found out here. */
static enum lest_status prepare_all(struct connection *c, const char *path, struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    for (size_t i = 0; !status && i < CONTROLS; i++) {
        int code =
            sqlite3_prepare_v3(c->db, control_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &c->controls[i], NULL);
        status = code == SQLITE_OK ? LEST_OK : ledger_sqlite_fail(c->db, code, path, err);
    }
    for (size_t i = 0; !status && i < ledger_statement_count; i++) {
        struct prepared *prepared = &c->prepared[i];
        int code = sqlite3_prepare_v3(c->db, ledger_statements[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                                      &prepared->stmt, NULL);
        status = code == SQLITE_OK ? find_places(&ledger_statements[i], prepared, err)
                                   : ledger_sqlite_fail(c->db, code, path, err);
    }
    return status;
}

/* SQLite would make the file by the umask. O_EXCL: only a file that this call made is closed again here;
 * closing any descriptor of a database drops the locks this process holds on it. */
static enum lest_status make_file(const char *path, struct lest_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0 && errno != EEXIST)
        return lest_error_set_errno(err, LEST_E_LEDGER, errno, "%s: the ledger cannot be made", path);
    if (fd >= 0)
        close(fd);
    return LEST_OK;
}

/* Between two transactions of a busy authority there is no more time than a message takes: SQLite's own
 * handler, which looks at most ten times a second, would miss it for seconds. */
static int wait_for_lock(void *arg, int tries)
{
    struct connection *c = arg;
    if (tries == 0)
        c->wait_until_ms = lest_clock_monotonic_ms() + c->busy_ms;
    if (lest_clock_monotonic_ms() >= c->wait_until_ms)
        return 0;
    usleep(LOOK_US);
    return 1;
}

static void sqlite_close(void *connection)
{
    struct connection *c = connection;
    free(c->unused_path);
    if (!c->db) {
        free(c);
        return;
    }
    /* What a failed sync has left in memory may be gone: no page of it may be moved. The next process keeps
     * what its checksums vouch for. */
    if (c->wal && ledger_wal_must_stay(c->wal))
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    for (size_t i = 0; i < ledger_statement_count; i++)
        sqlite3_finalize(c->prepared[i].stmt);
    for (size_t i = 0; i < CONTROLS; i++)
        sqlite3_finalize(c->controls[i]);
    sqlite3_wal_hook(c->db, NULL, NULL);
    sqlite3_close(c->db); /* rolls back what is open */
    ledger_wal_close(c->wal);
    free(c);
}

/* A WAL that a killed migration has left is moved before the first promise, which may take long. */
static enum lest_status sync_later(struct connection *c, const char *path,
                                   const struct ledger_options *options, struct lest_error *err)
{
    char name[PATH_MAX];
    struct stat info;
    if (options->progress && snprintf(name, sizeof name, "%s-wal", path) < (int)sizeof name &&
        stat(name, &info) == 0 && info.st_size > WAL_KEPT_MAX * 2)
        options->progress(options->progress_arg, 0);
    enum lest_status status = ledger_sqlite_run(c->db, "PRAGMA synchronous = NORMAL", path, err);
    return status ? status : ledger_wal_open(c->db, path, &c->wal, err);
}

/* One of another version has other statements. */
static enum lest_status open_to_read(struct connection *c, const char *path, struct lest_error *err)
{
    int64_t version = 0;
    if (!ledger_sqlite_has_wal(path) && !(c->unused_path = strdup(path)))
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    enum lest_status status = ledger_sqlite_look(path, &c->db, err);
    if (!status)
        status = ledger_sqlite_check_version(c->db, path, &version, err);
    if (!status && version != ledger_schema_version())
        status = lest_error_set(err, LEST_E_LEDGER,
                                "%s: a ledger of an older version (schema %" PRId64 "); a server of this one "
                                "brings it to schema %d at its start",
                                path, version, ledger_schema_version());
    return status;
}

static enum lest_status open_to_write(struct connection *c, const char *path,
                                      const struct ledger_options *options, struct lest_error *err)
{
    enum lest_status status = ledger_sqlite_connect(path, &c->db, err);
    if (status)
        return status;
    c->busy_ms = options->busy_ms;
    sqlite3_busy_handler(c->db, wait_for_lock, c);
    status = set_pragmas(c->db, path, options, err);
    return status ? status : ledger_sqlite_migrate(c->db, path, options, err);
}

static enum lest_status sqlite_open(const char *path, const struct ledger_options *options, void **connection,
                                    struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    struct connection *c = NULL;
    *connection = NULL;
    status = ledger_sqlite_check_path(path, err);
    if (!status)
        status = options->create && !options->read_only ? make_file(path, err)
                                                        : ledger_sqlite_check_there(path, err);
    if (status)
        return status;
    c = calloc(1, sizeof *c + ledger_statement_count * sizeof *c->prepared);
    if (!c)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    status = options->read_only ? open_to_read(c, path, err) : open_to_write(c, path, options, err);
    if (!status)
        status = prepare_all(c, path, err);
    if (!status && options->sync_later)
        status = sync_later(c, path, options, err);
    if (status)
        sqlite_close(c);
    else
        *connection = c;
    return status;
}

static int bind(sqlite3_stmt *stmt, int index, const struct ledger_value *value)
{
    const void *bytes = value->bytes ? value->bytes : ""; /* NULL would bind NULL */
    switch (value->type) {
    case LEDGER_INTEGER: return sqlite3_bind_int64(stmt, index, value->integer);
    case LEDGER_TEXT: return sqlite3_bind_text64(stmt, index, bytes, value->len, SQLITE_STATIC, SQLITE_UTF8);
    case LEDGER_BLOB: return sqlite3_bind_blob64(stmt, index, bytes, value->len, SQLITE_STATIC);
    case LEDGER_NULL: break;
    }
    return sqlite3_bind_null(stmt, index);
}

static int bind_all(const struct prepared *prepared, const struct ledger_statement *statement,
                    const struct ledger_value *values)
{
    int code = SQLITE_OK;
    for (size_t i = 0; code == SQLITE_OK && statement->parameters[i].name; i++)
        code = bind(prepared->stmt, prepared->place[i], &values[i]);
    return code;
}

/* A ledger that is only read may have come into use meanwhile: then what was read may be of two moments. */
static enum lest_status check_unused(const struct connection *c, struct lest_error *err)
{
    if (!c->unused_path || !ledger_sqlite_has_wal(c->unused_path))
        return LEST_OK;
    return lest_error_set(err, LEST_E_LEDGER_BUSY, "%s: came into use while it was read; ask again",
                          c->unused_path);
}

static enum lest_status sqlite_execute(void *connection, size_t index, const struct ledger_value *values,
                                       struct ledger_result *result, struct lest_error *err)
{
    struct connection *c = connection;
    sqlite3_stmt *stmt = c->prepared[index].stmt;
    enum lest_status status = LEST_OK;
    int code = bind_all(&c->prepared[index], &ledger_statements[index], values);
    if (code != SQLITE_OK) {
        status = ledger_sqlite_fail(c->db, code, NULL, err);
        goto out;
    }
    result->columns = (size_t)sqlite3_column_count(stmt);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW && ledger_sqlite_fits(result))
        ledger_sqlite_add_row(stmt, result);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = ledger_sqlite_fail(c->db, code, NULL, err);
    else
        status = ledger_sqlite_row_status(result, err);
    result->changes = result->columns ? 0 : sqlite3_changes64(c->db);
    if (!status)
        status = check_unused(c, err);
out:
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt); /* the values are the caller's, and may be freed now */
    return status;
}

static enum lest_status sqlite_control(void *connection, enum ledger_control what, struct lest_error *err)
{
    struct connection *c = connection;
    sqlite3_stmt *stmt = c->controls[what];
    enum lest_status status = LEST_OK;
    if (what == LEDGER_BEGIN && c->wal)
        status = ledger_wal_check(c->wal, c->db, err);
    if (status)
        return status;
    int code = sqlite3_step(stmt);
    status = code == SQLITE_DONE ? LEST_OK : ledger_sqlite_fail(c->db, code, NULL, err);
    sqlite3_reset(stmt);
    return status;
}

static bool sqlite_in_transaction(void *connection)
{
    return !sqlite3_get_autocommit(((struct connection *)connection)->db);
}

static enum lest_status sqlite_sync(void *connection, struct lest_error *err)
{
    const struct connection *c = connection;
    return c->wal ? ledger_wal_sync(c->wal, err) : LEST_OK;
}

static bool sqlite_is_long(void *connection)
{
    const struct connection *c = connection;
    return c->wal && ledger_wal_is_long(c->wal);
}

static enum lest_status sqlite_checkpoint(void *connection, struct lest_error *err)
{
    const struct connection *c = connection;
    return c->wal ? ledger_wal_checkpoint(c->wal, err) : LEST_OK;
}

static enum lest_status sqlite_backup(void *connection, const char *path,
                                      const struct ledger_progress *progress, struct lest_error *err)
{
    const struct connection *c = connection;
    return ledger_sqlite_backup(c->db, path, progress, err);
}

static enum lest_status sqlite_copy(void *connection, int *out, struct lest_error *err)
{
    const struct connection *c = connection;
    return ledger_sqlite_copy(c->db, out, err);
}

const struct ledger_engine ledger_sqlite = {
    .open = sqlite_open,
    .check = ledger_sqlite_check,
    .close = sqlite_close,
    .execute = sqlite_execute,
    .control = sqlite_control,
    .in_transaction = sqlite_in_transaction,
    .sync = sqlite_sync,
    .is_long = sqlite_is_long,
    .checkpoint = sqlite_checkpoint,
    .backup = sqlite_backup,
    .copy = sqlite_copy,
};
