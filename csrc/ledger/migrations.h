/* The schema, as the steps that lead to it. */
#ifndef LEST_LEDGER_MIGRATIONS_H
#define LEST_LEDGER_MIGRATIONS_H

#include <stddef.h>

/** Step i takes a ledger of version i to version i + 1. A step that was released is never edited. */
extern const char *const ledger_sqlite_migrations[];
extern const size_t ledger_sqlite_migration_count;

#endif
