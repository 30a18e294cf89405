#include "ledger/sqlite_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOST_MAX = 100 };

/* Where the counters are in the header of a database (sqlite.org/fileformat2, 1.3) */
enum { CHANGES_AT = 24, SCHEMA_AT = 40, HEAD_SIZE = 100 };

static const char *const suffixes[LEDGER_FILES] = { "", "-wal", "-shm" };

enum look { SAME, GONE, OTHER, SHORT, OLDER };

static int look_at(const struct ledger_files *files, int i, struct stat *info)
{
    char name[PATH_MAX + 8];
    snprintf(name, sizeof name, "%s%s", files->path, suffixes[i]);
    return stat(name, info);
}

static uint32_t number_at(const uint8_t *head, int at)
{
    return (uint32_t)head[at] << 24 | (uint32_t)head[at + 1] << 16 | (uint32_t)head[at + 2] << 8 |
           head[at + 3];
}

/* One that is too short for a header was cut, which its size tells. */
static bool read_head(const struct ledger_files *files, uint32_t *changes, uint32_t *schema)
{
    uint8_t head[HEAD_SIZE];
    if (files->head < 0 || pread(files->head, head, sizeof head, 0) != sizeof head)
        return false;
    *changes = number_at(head, CHANGES_AT);
    *schema = number_at(head, SCHEMA_AT);
    return true;
}

static bool is_older(const struct ledger_files *files)
{
    uint32_t changes, schema;
    return read_head(files, &changes, &schema) &&
           (changes < atomic_load(&files->changes) || schema < atomic_load(&files->schema));
}

static enum look compare(const struct ledger_files *files, int i, struct stat *info)
{
    if (look_at(files, i, info) < 0)
        return GONE;
    if (info->st_dev != files->file[i].device || info->st_ino != files->file[i].inode)
        return OTHER;
    if (i > 0)
        return SAME;
    if (info->st_size < atomic_load(&files->size))
        return SHORT;
    return is_older(files) ? OLDER : SAME;
}

/* What was seen; where two threads look, the greater one stays. */
static void keep_greater(_Atomic uint32_t *most, uint32_t seen)
{
    uint32_t before = atomic_load(most);
    while (before < seen && !atomic_compare_exchange_weak(most, &before, seen))
        ;
}

static void note_head(struct ledger_files *files)
{
    uint32_t changes, schema;
    if (!read_head(files, &changes, &schema))
        return;
    keep_greater(&files->changes, changes);
    keep_greater(&files->schema, schema);
}

enum lest_status ledger_files_follow(struct ledger_files *files, struct lest_error *err)
{
    files->head = open(files->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (files->head < 0)
        return lest_error_set_errno(err, LEST_E_LEDGER, errno, "%s: cannot be looked at", files->path);
    note_head(files);
    return LEST_OK;
}

enum lest_status ledger_files_note(struct ledger_files *files, const char *path, struct lest_error *err)
{
    struct stat info;
    int len = snprintf(files->path, sizeof files->path, "%s", path);
    bool fits = len < (int)sizeof files->path;
    for (int i = LEDGER_FILES - 1; i >= 0; i--) {
        if (!fits || look_at(files, i, &info) < 0)
            return lest_error_set_errno(err, LEST_E_LEDGER, fits ? errno : ENAMETOOLONG,
                                        "%s%s: cannot be looked at", path, suffixes[i]);
        files->file[i].device = info.st_dev;
        files->file[i].inode = info.st_ino;
    }
    atomic_store(&files->size, info.st_size);
    return LEST_OK;
}

enum lest_status ledger_files_lost(const struct ledger_files *files, const char *suffix, const char *what,
                                   struct lest_error *err)
{
    lest_error_set(err, LEST_E_LEDGER_LOST, "%s%s: %s while the ledger was in use", files->path, suffix,
                   what);
    lest_error_add_detail(err, "stop the server, put the ledger in order, start the server");
    return LEST_E_LEDGER_LOST;
}

enum lest_status ledger_files_check(struct ledger_files *files, struct lest_error *err)
{
    static const char *const words[] = { [GONE] = "was removed",
                                         [OTHER] = "was replaced by another file",
                                         [SHORT] = "was cut",
                                         [OLDER] = "was overwritten with an older copy" };
    struct stat info;
    for (int i = 0; i < LEDGER_FILES; i++) {
        enum look look = compare(files, i, &info);
        if (look != SAME)
            return ledger_files_lost(files, suffixes[i], words[look], err);
        if (i == 0)
            atomic_store(&files->size, info.st_size);
    }
    note_head(files);
    return LEST_OK;
}

void ledger_files_set_aside(const struct ledger_files *files)
{
    char from[PATH_MAX + 8], to[PATH_MAX + 24] = "";
    struct stat info;
    enum look database = compare(files, 0, &info);
    if ((database != OTHER && database != OLDER) || compare(files, 1, &info) != SAME)
        return;
    snprintf(from, sizeof from, "%s%s", files->path, suffixes[1]);
    /* One of another time is kept, since it may be all that there is of what it has. */
    for (int i = 0; i < LOST_MAX && (i == 0 || lstat(to, &info) == 0); i++)
        snprintf(to, sizeof to, i ? "%s.lost.%d" : "%s.lost", from, i);
    rename(from, to);
}

bool ledger_files_are_foreign(const struct ledger_files *files)
{
    struct stat info;
    return compare(files, 0, &info) != SAME || compare(files, 1, &info) == OTHER ||
           compare(files, 2, &info) == OTHER;
}
