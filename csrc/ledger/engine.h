/* What an engine of the ledger gives to ledger.c. */
#ifndef LEST_LEDGER_ENGINE_H
#define LEST_LEDGER_ENGINE_H

#include "ledger/value.h"

enum { LEDGER_BUSY_MS = 5000 };

/** busy_ms    how long a statement waits for another process's write; LEDGER_BUSY_MS unless told
 *  create     make a ledger where there is none, or an empty file; otherwise that is LEST_E_NOT_FOUND, or
 *             LEST_E_LEDGER
 *  sync_later  LEDGER_COMMIT_LATER does not wait for the disk, and ledger_sync() does; otherwise each commit
 *             waits
 *  read_only  nothing is made or changed, whatever `create` says: each statement that would do so fails with
 *             LEST_E_LEDGER, as does opening one of another version. Where no other process had it open and
 *             one has it now, all fail with LEST_E_LEDGER_BUSY
 *  max_pages  0, or a ceiling on the file's size in pages, so that a full disk can be tried
 *  progress   called about once a second while an older ledger is brought to this version, with the seconds
 *             that it has taken, and once, with 0, before the long end of one that was killed; may be NULL */
struct ledger_options {
    int busy_ms;
    bool create;
    bool sync_later;
    bool read_only;
    int64_t max_pages;
    void (*progress)(void *arg, int64_t seconds);
    void *progress_arg;
};

/** Called now and then while something long goes on: so many of all steps are done. */
struct ledger_progress {
    void (*call)(void *arg, int64_t done, int64_t all);
    void *arg;
};

enum ledger_control {
    LEDGER_BEGIN,        /* takes the write lock at once, so that nothing inside fails for it */
    LEDGER_COMMIT,       /* durable when it succeeds; when it fails nothing of the transaction is kept, unless
                          * only the sync failed, after which the ledger is to be closed */
    LEDGER_COMMIT_LATER, /* as COMMIT, but durable only when ledger_sync() has succeeded after it */
    LEDGER_ROLLBACK,     /* never fails; nothing to do where there is no transaction */
    LEDGER_SAVEPOINT,    /* one request among the neighbours of a batch; not nested */
    LEDGER_RELEASE,      /* end the savepoint, keeping what was done since */
    LEDGER_ROLLBACK_TO,  /* undo what was done since the savepoint, which stays open */
};

/** execute  index is the statement's place in ledger_statements; values are checked
 *  control  the calls are in order; only the database can refuse them
 *  in_transaction  what the database itself thinks
 *  sync  any thread; nothing to do where each commit is durable by itself
 *  is_long, checkpoint, backup, copy  as ledger_is_long, ledger_checkpoint, ledger_backup, ledger_copy */
struct ledger_engine {
    enum lest_status (*open)(const char *path, const struct ledger_options *options, void **connection,
                             struct lest_error *err);
    enum lest_status (*check)(const char *path, struct lest_error *err);
    void (*close)(void *connection);
    enum lest_status (*execute)(void *connection, size_t index, const struct ledger_value *values,
                                struct ledger_result *result, struct lest_error *err);
    enum lest_status (*control)(void *connection, enum ledger_control what, struct lest_error *err);
    bool (*in_transaction)(void *connection);
    enum lest_status (*sync)(void *connection, struct lest_error *err);
    bool (*is_long)(void *connection);
    enum lest_status (*checkpoint)(void *connection, struct lest_error *err);
    enum lest_status (*backup)(void *connection, const char *path, const struct ledger_progress *progress,
                               struct lest_error *err);
    enum lest_status (*copy)(void *connection, int *out, struct lest_error *err);
};

extern const struct ledger_engine ledger_sqlite;

/** The version of the schema this program knows. */
int ledger_schema_version(void);

#endif
