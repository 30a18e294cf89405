/* Commits that are durable a little later: with synchronous=NORMAL a COMMIT writes the WAL and does not wait
 * for the disk; the wait is fdatasync() on the WAL, in a thread of its own, while the connection goes on.
 *
 * What makes that as durable as FULL (SQLite 3.40; wal.c and pager.c):
 * - A transaction is its frames in the WAL. sqlite3WalFrames() syncs them at a commit only where
 *   WAL_SYNC_FLAGS asks for it, which is FULL; so under NORMAL the sync here is the only one, and whoever
 *   answers for a commit waits for it. After a loss of power, recovery keeps the frames up to the first whose
 *   checksum is wrong: a commit is never kept without those before it.
 * - A checkpoint moves frames into the database: walCheckpoint() syncs the WAL before it writes the first page,
 *   and the database before it says that all frames were moved (nBackfill). Only then may the next writer begin
 *   at the WAL's start again (walRestartLog()), so a commit whose frames are overwritten is in a database that
 *   was synced. sqlite3WalFrames() syncs the new header before the frames that it is to vouch for.
 * - The WAL stays the same file while a connection is open: sqlite3WalClose() deletes it only with the
 *   database locked for itself alone. Closing another descriptor of it drops no lock; locks are on the
 *   database and on the -shm file.
 * - A failed sync of the database in a checkpoint is as final as one of the WAL: the next checkpoint would take
 *   its pages for written, and let the WAL that has them be overwritten.
 * - The folder is synced once here, after the WAL was made; SQLite does so at its first sync of a file that it
 *   made (unixSync(), UNIXFILE_DIRSYNC), which is the header's. */
#include "ledger/sqlite_wal.h"

#include "base/file.h"
#include "ledger/sqlite_schema.h"
#include "ledger/sqlite_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Pages in the WAL at which SQLite makes a checkpoint by itself; here a thread does. A WAL can begin anew only
 * when all of it was moved, and under load the thread is always a little behind: at the maximum the commit
 * itself moves what is left. */
enum { CHECKPOINT_FRAMES = 1000, FRAMES_MAX = 16000 };

/* fd     opened before the first commit and kept: the kernel tells of a failed write each descriptor that was
 *        open then, once
 * error  errno of the sync that failed
 * other  a connection for checkpoints in another thread
 * frames, moved  how many the WAL has, and had at the last checkpoint */
struct ledger_wal {
    int fd;
    atomic_int error;
    sqlite3 *other;
    atomic_int frames, moved;
};

enum lest_status ledger_wal_sync(struct ledger_wal *wal, struct lest_error *err)
{
    int number = atomic_load(&wal->error);
    int result = 0;
    while (!number && (result = fdatasync(wal->fd)) < 0 && errno == EINTR)
        ;
    /* A failed sync cannot be tried again: the kernel has told of the pages that it could not write, takes
     * them for clean from then on, and the next fdatasync() would succeed without them. */
    if (result < 0) {
        number = errno;
        atomic_store(&wal->error, number);
    }
    return number ? lest_error_set_errno(err, LEST_E_LEDGER, number,
                                         "what was committed to the ledger cannot be made durable")
                  : LEST_OK;
}

/* A checkpoint that is under way elsewhere, or a full disk, leaves all in the WAL: nothing is lost. */
static enum lest_status checkpoint(struct ledger_wal *wal, sqlite3 *db, struct lest_error *err)
{
    atomic_store(&wal->moved, atomic_load(&wal->frames));
    int code = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if ((code & 0xff) != SQLITE_IOERR)
        return LEST_OK;
    int none = 0;
    int number = sqlite3_system_errno(db);
    atomic_compare_exchange_strong(&wal->error, &none, number ? number : EIO);
    return ledger_sqlite_fail(db, code, NULL, err);
}

enum lest_status ledger_wal_checkpoint(struct ledger_wal *wal, struct lest_error *err)
{
    return checkpoint(wal, wal->other, err);
}

bool ledger_wal_has_failed(const struct ledger_wal *wal)
{
    return atomic_load(&wal->error) != 0;
}

bool ledger_wal_is_long(const struct ledger_wal *wal)
{
    return atomic_load(&wal->frames) - atomic_load(&wal->moved) >= CHECKPOINT_FRAMES;
}

/* After each commit; in place of SQLite's own hook, which makes the checkpoints. */
static int on_commit(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct ledger_wal *wal = arg;
    (void)name;
    if (frames < atomic_exchange(&wal->frames, frames))
        atomic_store(&wal->moved, 0); /* it has begun anew */
    enum lest_status status = frames >= FRAMES_MAX ? checkpoint(wal, db, NULL) : LEST_OK;
    (void)status; /* the next sync tells */
    return SQLITE_OK;
}

static enum lest_status open_other(struct ledger_wal *wal, const char *path, struct lest_error *err)
{
    int64_t objects;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &wal->other, flags, ledger_sqlite_vfs(path));
    if (code != SQLITE_OK)
        return ledger_sqlite_fail(wal->other, code, path, err);
    sqlite3_extended_result_codes(wal->other, 1);
    enum lest_status status = ledger_sqlite_run(wal->other, "PRAGMA synchronous = NORMAL", path, err);
    /* A connection that has read nothing has no WAL yet, and makes no checkpoint of it. */
    return status ? status
                  : ledger_sqlite_ask(wal->other, "SELECT count(*) FROM sqlite_schema", &objects, path, err);
}

/* What an earlier process committed may be in memory alone, its sync failed and the pages taken for clean: a
 * checkpoint writes them anew, into the database. */
static enum lest_status begin(struct ledger_wal *wal, sqlite3 *db, const char *path, struct lest_error *err)
{
    enum lest_status status = open_other(wal, path, err);
    if (!status)
        status = checkpoint(wal, db, err);
    if (!status)
        status = ledger_wal_sync(wal, err);
    if (!status)
        status = lest_file_sync_folder(path, err);
    if (!status)
        sqlite3_wal_hook(db, on_commit, wal);
    return status;
}

enum lest_status ledger_wal_open(sqlite3 *db, const char *path, struct ledger_wal **out,
                                 struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    char name[PATH_MAX];
    *out = NULL;
    struct ledger_wal *wal = calloc(1, sizeof *wal);
    if (!wal)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    int len = snprintf(name, sizeof name, "%s-wal", path);
    wal->fd = len < (int)sizeof name ? open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;
    if (wal->fd < 0)
        status = lest_error_set_errno(err, LEST_E_LEDGER, errno, "%s: its WAL cannot be opened", path);
    else
        status = begin(wal, db, path, err);
    if (status)
        ledger_wal_close(wal);
    else
        *out = wal;
    return status;
}

void ledger_wal_close(struct ledger_wal *wal)
{
    if (!wal)
        return;
    if (wal->other && ledger_wal_has_failed(wal))
        sqlite3_db_config(wal->other, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(wal->other);
    if (wal->fd >= 0)
        close(wal->fd);
    free(wal);
}
