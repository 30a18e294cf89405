/* Commits that are durable a little later: with synchronous=NORMAL a COMMIT writes the WAL and does not wait
 * for the disk; the wait is fdatasync() on the WAL, in a thread of its own, while the connection goes on.
 *
 * What makes that as durable as FULL (SQLite 3.40; wal.c and pager.c):
 * - A transaction is its frames in the WAL. sqlite3WalFrames() syncs them at a commit only where
 *   WAL_SYNC_FLAGS asks for it, which is FULL; so under NORMAL the sync here is the only one, and whoever
 *   answers for a commit waits for it. After a loss of power, recovery keeps the frames up to the first whose
 *   checksum is wrong: a commit is never kept without those before it.
 * - A checkpoint moves frames into the database: walCheckpoint() syncs the WAL before it writes the first
 *   page, and the database before it says that all frames were moved (nBackfill). Only then may the next
 *   writer begin at the WAL's start again (walRestartLog()), so a commit whose frames are overwritten is in a
 *   database that was synced. sqlite3WalFrames() syncs the new header before the frames that it is to vouch
 *   for.
 * - The WAL stays the same file while a connection is open: sqlite3WalClose() deletes it only with the
 *   database locked for itself alone. Closing another descriptor of it drops no lock; locks are on the
 *   database and on the -shm file.
 * - A failed sync of the database in a checkpoint is as final as one of the WAL: the next checkpoint would
 *   take its pages for written, and let the WAL that has them be overwritten.
 * - Whether the files at the ledger's paths are still those that are written to is looked at after each sync,
 *   before an answer leaves, and whether the WAL was cut before each transaction.
 * - The folder is synced once here, after the WAL was made; SQLite does so at its first sync of a file that
 *   it made (unixSync(), UNIXFILE_DIRSYNC), which is the header's. */
#include "ledger/sqlite_wal.h"

#include "base/clock.h"
#include "base/file.h"
#include "ledger/engine.h"
#include "ledger/sqlite_connect.h"
#include "ledger/sqlite_files.h"
#include "ledger/sqlite_schema.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Pages in the WAL at which SQLite makes a checkpoint by itself; here a thread does. A WAL can begin anew
 * only when all of it was moved, and under load the thread is always a little behind: at the maximum the
 * commit itself moves what is left. Where more than LEFT_MAX cannot be moved, somebody reads an old state and
 * does not end, and the WAL grows. */
enum { CHECKPOINT_FRAMES = 1000, FRAMES_MAX = 16000, LEFT_MAX = 2000, RETRY_MS = 5 };
enum { WAL_HEADER = 32, FRAME_HEADER = 24 };

/* fd     opened before the first commit and kept: the kernel tells of a failed write each descriptor that was
 *        open then, once
 * error  errno of the sync that failed
 * other  a connection for checkpoints in another thread
 * frames, moved  how many the WAL has, and had at the last checkpoint
 * blocked  the last checkpoint has left more than LEFT_MAX
 * size   of the WAL when it was looked at last, by the ledger's own thread */
struct ledger_wal {
    int fd;
    atomic_int error;
    sqlite3 *other;
    atomic_int frames, moved;
    atomic_bool blocked;
    int64_t size, page_size;
    struct ledger_files files;
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
                  : ledger_files_check(&wal->files, err);
}

/* How many frames the WAL has, and how many of them are in the database now. LEST_E_LEDGER_BUSY: another
 * checkpoint is under way. A full disk leaves all in the WAL and nothing is lost; an I/O error may be that of
 * a sync. */
static enum lest_status checkpoint(struct ledger_wal *wal, sqlite3 *db, int *frames, int *moved,
                                   struct lest_error *err)
{
    atomic_store(&wal->moved, atomic_load(&wal->frames));
    int code = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, frames, moved);
    if ((code & 0xff) == SQLITE_IOERR) {
        int none = 0;
        int number = sqlite3_system_errno(db);
        atomic_compare_exchange_strong(&wal->error, &none, number ? number : EIO);
    }
    if (code != SQLITE_OK)
        return ledger_sqlite_fail(db, code, NULL, err);
    atomic_store(&wal->blocked, *frames - *moved > LEFT_MAX);
    return LEST_OK;
}

enum lest_status ledger_wal_checkpoint(struct ledger_wal *wal, struct lest_error *err)
{
    int frames, moved;
    enum lest_status status = checkpoint(wal, wal->other, &frames, &moved, err);
    if (status == LEST_E_LEDGER_BUSY)
        return LEST_OK;
    if (status || !atomic_load(&wal->blocked))
        return status;
    return lest_error_set(
        err, LEST_E_LEDGER_BUSY,
        "the ledger's WAL grows (%d pages): another process reads the ledger, and does not end", frames);
}

/* A WAL that was cut while its frames were still to be moved. Others may have moved them all, and cut it as
 * they may: SQLite knows then that it is empty. */
static bool is_cut(struct ledger_wal *wal, sqlite3 *db)
{
    struct stat info;
    int frames = 0;
    if (fstat(wal->fd, &info) < 0)
        return true;
    if (info.st_size < wal->size) {
        int code = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, NULL);
        if (code != SQLITE_OK && code != SQLITE_BUSY)
            return true;
    }
    wal->size = info.st_size;
    return frames > 0 && info.st_size < WAL_HEADER + frames * (FRAME_HEADER + wal->page_size);
}

enum lest_status ledger_wal_check(struct ledger_wal *wal, sqlite3 *db, struct lest_error *err)
{
    if (!is_cut(wal, db))
        return LEST_OK;
    atomic_store(&wal->error, EIO);
    return ledger_files_lost(&wal->files, "-wal", "was cut", err);
}

bool ledger_wal_must_stay(const struct ledger_wal *wal)
{
    return atomic_load(&wal->error) || ledger_files_are_foreign(&wal->files);
}

bool ledger_wal_is_long(const struct ledger_wal *wal)
{
    return atomic_load(&wal->blocked) ||
           atomic_load(&wal->frames) - atomic_load(&wal->moved) >= CHECKPOINT_FRAMES;
}

/* After each commit; in place of SQLite's own hook, which makes the checkpoints. */
static int on_commit(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct ledger_wal *wal = arg;
    struct stat info;
    int all, moved;
    (void)name;
    if (frames < atomic_exchange(&wal->frames, frames))
        atomic_store(&wal->moved, 0); /* it has begun anew */
    if (fstat(wal->fd, &info) == 0)
        wal->size = info.st_size;
    enum lest_status status = frames >= FRAMES_MAX ? checkpoint(wal, db, &all, &moved, NULL) : LEST_OK;
    (void)status; /* the next sync tells, or the next checkpoint */
    return SQLITE_OK;
}

static enum lest_status open_other(struct ledger_wal *wal, const char *path, struct lest_error *err)
{
    int64_t objects;
    enum lest_status status = ledger_sqlite_connect(path, &wal->other, err);
    if (!status)
        status = ledger_sqlite_run(wal->other,
                                   "PRAGMA synchronous = NORMAL; PRAGMA cell_size_check = ON;"
                                   "PRAGMA mmap_size = 0",
                                   path, err);
    /* A connection that has read nothing has no WAL yet, and makes no checkpoint of it. */
    return status ? status
                  : ledger_sqlite_ask(wal->other, "SELECT count(*) FROM sqlite_schema", &objects, path, err);
}

/* What an earlier process committed may be in memory alone, its sync failed and the pages taken for clean: a
 * checkpoint writes them anew, into the database. All that is there now must be moved; who reads an old
 * state, or moves it too, is waited for. */
static enum lest_status move_all(struct ledger_wal *wal, sqlite3 *db, const char *path,
                                 struct lest_error *err)
{
    int64_t deadline = lest_clock_monotonic_ms() + LEDGER_BUSY_MS;
    int wanted = -1;
    for (;; sqlite3_sleep(RETRY_MS)) {
        int frames = 0, moved = 0;
        enum lest_status status = checkpoint(wal, db, &frames, &moved, err);
        if (status && status != LEST_E_LEDGER_BUSY)
            return status;
        if (!status && wanted < 0)
            wanted = frames;
        /* With fewer than there were it has begun anew, which needs all to be moved. */
        if (!status && (moved >= wanted || frames < wanted))
            return LEST_OK;
        if (lest_clock_monotonic_ms() >= deadline)
            return lest_error_set(err, LEST_E_LEDGER_BUSY,
                                  "%s: another process reads the ledger, and does not end", path);
    }
}

/* The files at the ledger's paths, if the database that is open is among them. */
static enum lest_status note_files(struct ledger_wal *wal, sqlite3 *db, const char *path,
                                   struct lest_error *err)
{
    int has_moved = 0;
    enum lest_status status = ledger_files_note(&wal->files, path, err);
    if (!status && sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved) == SQLITE_OK &&
        has_moved)
        status = lest_error_set(err, LEST_E_LEDGER, "%s: was replaced while it was opened", path);
    return status;
}

static enum lest_status begin(struct ledger_wal *wal, sqlite3 *db, const char *path, struct lest_error *err)
{
    enum lest_status status = open_other(wal, path, err);
    if (!status)
        status = ledger_sqlite_ask(db, "PRAGMA page_size", &wal->page_size, path, err);
    if (!status)
        status = note_files(wal, db, path, err);
    if (!status)
        status = move_all(wal, db, path, err);
    if (!status)
        status = ledger_files_follow(&wal->files, err);
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
    wal->files.head = -1;
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
    ledger_files_set_aside(&wal->files);
    if (wal->other && ledger_wal_must_stay(wal))
        sqlite3_db_config(wal->other, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(wal->other);
    if (wal->fd >= 0)
        close(wal->fd);
    if (wal->files.head >= 0)
        close(wal->files.head);
    free(wal);
}
