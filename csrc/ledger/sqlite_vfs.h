/* Where SQLite looks for a ledger's files. */
#ifndef LEST_LEDGER_SQLITE_VFS_H
#define LEST_LEDGER_SQLITE_VFS_H

/** SQLite's files, with relative names that stay relative. NULL is SQLite's default. */
const char *ledger_sqlite_vfs(const char *path);

#endif
