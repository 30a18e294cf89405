#include "ledger/sqlite_check.h"

#include "base/buf.h"
#include "ledger/engine.h"
#include "ledger/sqlite_connect.h"
#include "ledger/sqlite_schema.h"
#include "ledger/sqlite_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* To SQLite these are a temporary database, one in memory, and an address. */
enum lest_status ledger_sqlite_check_path(const char *path, struct lest_error *err)
{
    if (!*path || *path == ':' || strncmp(path, "file:", 5) == 0)
        return lest_error_set(err, LEST_E_CONFIG, "'%s' is not the path of a ledger", path);
    return LEST_OK;
}

/* Whatever belongs to a ledger is made beside it, also when one that is there is opened. */
static enum lest_status check_folder(const char *path, struct lest_error *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len =
        snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    if (len >= (int)sizeof folder || faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) < 0)
        return lest_error_set_errno(err, LEST_E_LEDGER, errno, "%s: the ledger cannot be opened", path);
    return LEST_OK;
}

/* An empty file is what is left of a ledger, or of the making of one: nothing is known of what it had. */
enum lest_status ledger_sqlite_check_there(const char *path, struct lest_error *err)
{
    struct stat info;
    if (stat(path, &info) == 0)
        return info.st_size ? LEST_OK
                            : lest_error_set(err, LEST_E_LEDGER, "%s: an empty file, not a ledger", path);
    if (errno != ENOENT)
        return lest_error_set_errno(err, LEST_E_LEDGER, errno, "%s: the ledger cannot be opened", path);
    lest_error_set(err, LEST_E_NOT_FOUND, "%s: there is no ledger", path);
    lest_error_add_detail(err, "a lost one is restored from a backup; 'lest ledger init' makes a new one, "
                               "which knows of nothing that was issued before");
    return LEST_E_NOT_FOUND;
}

bool ledger_sqlite_has_wal(const char *path)
{
    char wal[PATH_MAX];
    struct stat info;
    return snprintf(wal, sizeof wal, "%s-wal", path) < (int)sizeof wal && stat(wal, &info) == 0;
}

/* What reads of a file in WAL mode would be made beside it, and stay, unless it is there already or the file
 * is said not to change, which it does not while it has no WAL. */
static int open_to_look(const char *path, sqlite3 **db)
{
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
    if (ledger_sqlite_has_wal(path))
        return sqlite3_open_v2(path, db, flags, ledger_sqlite_vfs(path));
    struct lest_buf uri;
    lest_buf_init(&uri, 3 * PATH_MAX + 32);
    /* What follows two slashes is a host. */
    lest_buf_append_str(&uri, *path == '/' ? "file://" : "file:");
    for (const char *at = path; *at; at++)
        lest_buf_append_fmt(&uri, strchr("%?#", *at) ? "%%%02x" : "%c", *at);
    lest_buf_append(&uri, "?immutable=1", sizeof "?immutable=1");
    int code = uri.failed ? SQLITE_NOMEM
                          : sqlite3_open_v2((const char *)uri.data, db, flags | SQLITE_OPEN_URI,
                                            ledger_sqlite_vfs(path));
    lest_buf_free(&uri);
    return code;
}

enum lest_status ledger_sqlite_look(const char *path, sqlite3 **out, struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    ledger_sqlite_configure();
    int code = open_to_look(path, out);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(*out, LEDGER_BUSY_MS);
        ledger_sqlite_harden(*out);
        return LEST_OK;
    }
    status = ledger_sqlite_fail(*out, code, path, err);
    sqlite3_close(*out);
    *out = NULL;
    return status;
}

enum lest_status ledger_sqlite_check(const char *path, struct lest_error *err)
{
    sqlite3 *db = NULL;
    int64_t version;
    enum lest_status status = ledger_sqlite_check_path(path, err);
    if (status)
        return status;
    status = ledger_sqlite_check_there(path, err);
    if (status)
        return status;
    if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) < 0)
        return lest_error_set_errno(err, LEST_E_LEDGER, errno, "%s: the ledger cannot be opened", path);
    status = check_folder(path, err);
    if (status)
        return status;
    status = ledger_sqlite_look(path, &db, err);
    if (!status)
        status = ledger_sqlite_check_version(db, path, &version, err);
    sqlite3_close(db);
    return status;
}
