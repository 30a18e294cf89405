#include "ledger/sqlite_vfs.h"

#include <sqlite3.h>
#include <stdio.h>

static int keep_name(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    int len = snprintf(out, (size_t)size, "%s", name);
    return len < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* SQLite's own files, but a relative name stays one. SQLite looks every name up from the root, which
 * fails for a process that entered the folder before it became an account that cannot enter what is
 * above. NULL is SQLite's default. */
const char *ledger_sqlite_vfs(const char *path)
{
    static sqlite3_vfs here;
    if (*path == '/')
        return NULL;
    if (!sqlite3_vfs_find("lest-here")) {
        const sqlite3_vfs *usual = sqlite3_vfs_find(NULL);
        if (!usual)
            return NULL;
        here = *usual;
        here.pNext = NULL;
        here.zName = "lest-here";
        here.xFullPathname = keep_name;
        sqlite3_vfs_register(&here, 0);
    }
    return here.zName;
}
