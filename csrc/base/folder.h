/* Folders whose changes last: names that move, and one owner at a time. */
#ifndef LEST_BASE_FOLDER_H
#define LEST_BASE_FOLDER_H

#include "base/error.h"

#include <limits.h>
#include <sys/types.h>

/** Make a folder, its mode lessened by the umask, durably. Errors: LEST_E_EXISTS, LEST_E_IO */
enum lest_status lest_folder_make(const char *path, mode_t mode, struct lest_error *err) LEST_MUST_USE;

/** Make a folder unless one is there, or a link to one; its mode stays then.
 *  Errors: LEST_E_EXISTS (what is there is no folder), LEST_E_IO */
enum lest_status lest_folder_ensure(const char *path, mode_t mode, struct lest_error *err) LEST_MUST_USE;

/** Whether a folder is this account's alone to write in: a link in its place counts as what it leads to.
 *  Errors: LEST_E_USAGE (another account's, or others may write there), LEST_E_NOT_FOUND, LEST_E_IO */
enum lest_status lest_folder_is_own(const char *path, struct lest_error *err) LEST_MUST_USE;

/** What a symbolic link says, not followed.
 *  Errors: LEST_E_NOT_FOUND (nothing is there), LEST_E_IO (also: it is no link) */
enum lest_status lest_folder_target(const char *path, char out[PATH_MAX],
                                    struct lest_error *err) LEST_MUST_USE;

/** Give a file or a folder another name in the same file system, durably. A folder that has something in it
 *  is not replaced. Errors: LEST_E_EXISTS, LEST_E_IO */
enum lest_status lest_folder_move(const char *from, const char *to, struct lest_error *err) LEST_MUST_USE;

/** Remove a file, a link or an empty folder; what is not there is removed already. Not durable by itself.
 *  Errors: LEST_E_IO */
enum lest_status lest_folder_remove(const char *path, struct lest_error *err) LEST_MUST_USE;

/** Open a lock, which one process has at a time, and which ends with it: a file of mode 0600 that stays.
 *  fd  the caller's to close, -1 on failure
 *  Errors: LEST_E_UNAVAILABLE (another process has it), LEST_E_IO (also: it is no plain file) */
enum lest_status lest_folder_lock(const char *path, int *fd, struct lest_error *err) LEST_MUST_USE;

#endif
