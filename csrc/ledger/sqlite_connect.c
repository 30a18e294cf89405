#include "ledger/sqlite_connect.h"

#include "ledger/engine.h"
#include "ledger/sqlite_schema.h"
#include "ledger/sqlite_vfs.h"
#include "ledger/statements.h"

#include <fcntl.h>
#include <pthread.h>

enum { VALUE_MAX = 4 * 1024 * 1024, SQL_MAX = 64 * 1024 };

/* Nobody waits for the other end of a pipe that was put in the place of a database. */
static int open_at_once(const char *path, int flags, int mode)
{
    return open(path, flags | O_NONBLOCK, mode);
}

/* A savepoint keeps old pages in a statement journal, which by default goes to a temporary file at 64 KiB:
 * made, written and unlinked in every fourth transaction of a busy authority. Nobody asks SQLite how much
 * memory it has, and to count it takes a lock at each piece. Where something else of this process uses SQLite
 * already, both are refused, and cost time only. */
static void configure(void)
{
    sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, -1);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_vfs *files = sqlite3_vfs_find(NULL);
    if (files && files->iVersion >= 3 && files->xSetSystemCall)
        files->xSetSystemCall(files, "open", (sqlite3_syscall_ptr)open_at_once);
}

void ledger_sqlite_configure(void)
{
    static pthread_once_t configured = PTHREAD_ONCE_INIT;
    pthread_once(&configured, configure);
}

void ledger_sqlite_harden(sqlite3 *db)
{
    static const struct {
        int what, value;
    } switches[] = {
        { SQLITE_DBCONFIG_DEFENSIVE, 1 },      { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
        { SQLITE_DBCONFIG_DQS_DML, 0 },        { SQLITE_DBCONFIG_DQS_DDL, 0 },
        { SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 }, { SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
        { SQLITE_DBCONFIG_ENABLE_FKEY, 1 },    { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
    };
    static const struct {
        int what, value;
    } limits[] = {
        { SQLITE_LIMIT_LENGTH, VALUE_MAX },
        { SQLITE_LIMIT_SQL_LENGTH, SQL_MAX },
        { SQLITE_LIMIT_ATTACHED, 0 },
        { SQLITE_LIMIT_VARIABLE_NUMBER, LEDGER_PARAMETERS_MAX },
        { SQLITE_LIMIT_EXPR_DEPTH, 50 },
        { SQLITE_LIMIT_COMPOUND_SELECT, 4 },
        { SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1 },
        { SQLITE_LIMIT_TRIGGER_DEPTH, 1 },
    };
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        sqlite3_db_config(db, switches[i].what, switches[i].value, (int *)NULL);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        sqlite3_limit(db, limits[i].what, limits[i].value);
}

/* Where a file cannot be written, SQLite opens it for reading and says nothing. */
enum lest_status ledger_sqlite_connect(const char *path, sqlite3 **out, struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    ledger_sqlite_configure();
    int code = sqlite3_open_v2(path, out, flags, ledger_sqlite_vfs(path));
    if (code != SQLITE_OK)
        status = ledger_sqlite_fail(*out, code, path, err);
    else if (sqlite3_db_readonly(*out, "main") == 1)
        status = lest_error_set(err, LEST_E_LEDGER, "%s: the ledger cannot be written", path);
    if (status) {
        sqlite3_close(*out);
        *out = NULL;
        return status;
    }
    sqlite3_extended_result_codes(*out, 1);
    sqlite3_busy_timeout(*out, LEDGER_BUSY_MS);
    ledger_sqlite_harden(*out);
    /* A statement has one plan for all values. Without this SQLite compares those that are bound with the
     * conditions of partial indexes, and prepares a statement anew each time that it runs. */
    sqlite3_db_config(*out, SQLITE_DBCONFIG_ENABLE_QPSG, 1, (int *)NULL);
    return LEST_OK;
}
