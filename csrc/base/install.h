/* Files for other accounts, put in their places by one that may do more than they: nothing on the way there
 * is believed. */
#ifndef LEST_BASE_INSTALL_H
#define LEST_BASE_INSTALL_H

#include "base/error.h"

#include <sys/types.h>

/** How a file is to be found.
 *  uid, gid  (uid_t)-1, (gid_t)-1: as files that this process makes */
struct lest_install_as {
    mode_t mode;
    uid_t uid;
    gid_t gid;
};

/** Put a file in its place whole or not at all: a draft beside it, PATH.lest-new, gets its owner and mode
 *  first, then the bytes; it is synced and renamed over what is there, and the folder is synced. A draft that
 *  an earlier one has left is removed. A folder on the way is entered through a link only where root or this
 *  account made that link, and what is at the path is replaced only where it is a plain file: a link there
 *  is never followed, since who owns the folder could lead it to any file.
 *  Errors: LEST_E_USAGE (something else than a plain file is there, or a stranger's link leads there),
 *          LEST_E_NOT_FOUND (no such folder), LEST_E_IO */
enum lest_status lest_install_file(const char *path, const void *data, size_t len,
                                   const struct lest_install_as *as, struct lest_error *err) LEST_MUST_USE;

/** Make path a symbolic link to target, which need not be there, in one step where one is there already.
 *  Errors: as above; LEST_E_USAGE also where something else than a link is at the path */
enum lest_status lest_install_link(const char *target, const char *path,
                                   struct lest_error *err) LEST_MUST_USE;

/** Remove a folder and the files and links in it. It is found as above and opened once: a link in its place
 *  is no folder, whatever it leads to, and one that takes the folder's place meanwhile changes nothing.
 *  Errors: LEST_E_NOT_FOUND (no folder is there), LEST_E_USAGE (a stranger's link leads there),
 *          LEST_E_IO (it has a folder in it, or more than 1000 names) */
enum lest_status lest_install_remove_folder(const char *path, struct lest_error *err) LEST_MUST_USE;

#endif
