/* The files of an open ledger, and whether they are still those at its paths. */
#ifndef LEST_LEDGER_SQLITE_FILES_H
#define LEST_LEDGER_SQLITE_FILES_H

#include "base/error.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { LEDGER_FILES = 3 }; /* the database, its WAL, the WAL's index */

/** size  of the database when it was looked at last
 *  head  a descriptor of the database, to read its header; -1: none. To close it drops SQLite's locks on the
 *        file, so all connections of this process to it are closed before
 *  changes, schema  the greatest of the file's two counters: of changes and of changes to the schema. Who
 *        writes to a database raises them; a copy begins at 1, and an older one has less */
struct ledger_files {
    char path[PATH_MAX];
    struct {
        dev_t device;
        ino_t inode;
    } file[LEDGER_FILES];
    _Atomic int64_t size;
    int head;
    _Atomic uint32_t changes, schema;
};

/** Remember which files are at the paths of the database at `path`. Errors: LEST_E_LEDGER */
enum lest_status ledger_files_note(struct ledger_files *files, const char *path,
                                   struct lest_error *err) LEST_MUST_USE;

/** Begin to look at the database's counters, once all that was in the WAL is in it. Errors: LEST_E_LEDGER */
enum lest_status ledger_files_follow(struct ledger_files *files, struct lest_error *err) LEST_MUST_USE;

/** Whether they are there still, and the database has not shrunk, nor was an older copy written over it: what
 *  is written to a file that is not at its path any more, nobody finds again. Any thread.
 *  Errors: LEST_E_LEDGER_LOST */
enum lest_status ledger_files_check(struct ledger_files *files, struct lest_error *err) LEST_MUST_USE;

/** Whether other files are at the paths, whose readers and writers know nothing of these. */
bool ledger_files_are_foreign(const struct ledger_files *files);

/** Where another database is at the path, or an older copy in the file, and the WAL beside it is still ours:
 *  rename that, with ".lost" at its end, or ".lost.1" and so on where there is one. Whoever opened that
 *  database would take the WAL for its own, and be given pages of ours. */
void ledger_files_set_aside(const struct ledger_files *files);

/** Fill err for a ledger that was taken away: `what` happened to the file with this suffix. */
enum lest_status ledger_files_lost(const struct ledger_files *files, const char *suffix, const char *what,
                                   struct lest_error *err) LEST_MUST_USE;

#endif
