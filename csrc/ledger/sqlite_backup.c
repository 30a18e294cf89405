/* A copy of what the database has at one moment: a read transaction holds that, while others go on writing.
 * It is made under another name, and has its own when it is whole and on disk. */
#include "ledger/sqlite_backup.h"

#include "base/file.h"
#include "ledger/sqlite_connect.h"
#include "ledger/sqlite_schema.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* PAGES       between two calls of progress
 * ROOM_SHARE  of the free disk, that a copy which is handed on may take: a half */
enum { PAGES = 1000, ROOM_SHARE = 2 };

static enum lest_status copy_pages(sqlite3 *from, sqlite3 *to, const struct ledger_progress *progress,
                                   const char *part, struct lest_error *err)
{
    int code = SQLITE_OK;
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (!backup)
        return ledger_sqlite_fail(to, sqlite3_errcode(to), part, err);
    while (code == SQLITE_OK) {
        code = sqlite3_backup_step(backup, PAGES);
        int total = sqlite3_backup_pagecount(backup);
        if (progress)
            progress->call(progress->arg, total - sqlite3_backup_remaining(backup), total);
    }
    sqlite3_backup_finish(backup);
    return code == SQLITE_DONE ? LEST_OK : ledger_sqlite_fail(to, code, part, err);
}

static enum lest_status copy(sqlite3 *from, const char *part, bool stays,
                             const struct ledger_progress *progress, struct lest_error *err)
{
    sqlite3 *to = NULL;
    int64_t objects;
    enum lest_status status = ledger_sqlite_connect(part, &to, err);
    if (!stays)
        unlink(part);
    /* A file that is not whole is thrown away: nothing in it is undone, and it is synced once. */
    if (!status)
        status = ledger_sqlite_run(to, "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF", part, err);
    if (!status)
        status = ledger_sqlite_run(from, "BEGIN", NULL, err);
    if (!status)
        status = ledger_sqlite_ask(from, "SELECT count(*) FROM sqlite_schema", &objects, NULL, err);
    if (!status)
        status = copy_pages(from, to, progress, part, err);
    if (!sqlite3_get_autocommit(from))
        sqlite3_exec(from, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(to);
    return status;
}

/* A link is not made where there is something. */
static enum lest_status give_name(int fd, const char *part, const char *path, struct lest_error *err)
{
    if (fsync(fd) < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be written", part);
    if (link(part, path) == 0)
        return LEST_OK;
    if (errno == EEXIST)
        return lest_error_set(err, LEST_E_EXISTS, "%s exists already and is not overwritten", path);
    return lest_error_set_errno(err, LEST_E_IO, errno, "%s: the backup cannot be made", path);
}

enum lest_status ledger_sqlite_backup(sqlite3 *db, const char *path, const struct ledger_progress *progress,
                                      struct lest_error *err)
{
    char part[PATH_MAX];
    int len = snprintf(part, sizeof part, "%s.part", path);
    int fd = -1;
    if (len >= (int)sizeof part)
        errno = ENAMETOOLONG;
    else
        fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return lest_error_set_errno(err, errno == EEXIST ? LEST_E_EXISTS : LEST_E_IO, errno,
                                    "%s.part: the backup cannot be made", path);
    enum lest_status status = copy(db, part, true, progress, err);
    if (!status)
        status = give_name(fd, part, path, err);
    unlink(part);
    close(fd);
    return status ? status : lest_file_sync_folder(path, err);
}

/* The disk that the copy would fill is the one that the ledger needs. */
static enum lest_status check_room(sqlite3 *db, int fd, struct lest_error *err)
{
    struct statvfs disk;
    int64_t pages = 0, page_size = 0;
    enum lest_status status = ledger_sqlite_ask(db, "PRAGMA page_count", &pages, NULL, err);
    if (!status)
        status = ledger_sqlite_ask(db, "PRAGMA page_size", &page_size, NULL, err);
    if (status || fstatvfs(fd, &disk) < 0)
        return status;
    uint64_t needed = (uint64_t)pages * (uint64_t)page_size, free_bytes = disk.f_bavail * disk.f_frsize;
    if (free_bytes / ROOM_SHARE >= needed)
        return LEST_OK;
    return lest_error_set(err, LEST_E_UNAVAILABLE,
                          "there is no room for a copy beside the ledger: it needs %d times its size",
                          (int)ROOM_SHARE);
}

enum lest_status ledger_sqlite_copy(sqlite3 *db, int *out, struct lest_error *err)
{
    char part[PATH_MAX];
    int len = snprintf(part, sizeof part, "%s.copy-XXXXXX", sqlite3_db_filename(db, "main"));
    *out = -1;
    if (len >= (int)sizeof part)
        return lest_error_set(err, LEST_E_IO, "the ledger's path is too long for a copy");
    int fd = mkostemp(part, O_CLOEXEC);
    if (fd < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "%s: the copy cannot be made", part);
    enum lest_status status = check_room(db, fd, err);
    if (!status)
        status = copy(db, part, false, NULL, err);
    else
        unlink(part);
    if (status)
        close(fd);
    else
        *out = fd;
    return status;
}
