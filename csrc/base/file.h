/* Files: read with a maximum, written whole or not at all. */
#ifndef LEST_BASE_FILE_H
#define LEST_BASE_FILE_H

#include "base/buf.h"

#include <limits.h>
#include <sys/types.h>

/** Append a whole file to out; "-" is standard input. A file over out's maximum is an error.
 *  Errors: LEST_E_NOT_FOUND, LEST_E_IO, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status lest_file_read(const char *path, struct lest_buf *out, struct lest_error *err) LEST_MUST_USE;

/** As lest_file_read, for a plain file alone, to which a link may lead: whatever else is put in its place, it
 *  waits for nobody. "-" is a file of that name.
 *  Errors: LEST_E_USAGE (it is something else), and those of lest_file_read */
enum lest_status lest_file_read_plain(const char *path, struct lest_buf *out,
                                      struct lest_error *err) LEST_MUST_USE;

/** As lest_file_read, for a file whose contents are taken for our own, as a private key that an earlier run
 *  has made: only a plain file of this user or root that no other may write, and no link. It waits for
 *  nobody.
 *  Errors: LEST_E_USAGE (it is something else, or another's), and those of lest_file_read */
enum lest_status lest_file_read_own(const char *path, struct lest_buf *out,
                                    struct lest_error *err) LEST_MUST_USE;

enum lest_file_how {
    LEST_FILE_REPLACE, /* an existing file is replaced */
    LEST_FILE_NEW      /* an existing file is LEST_E_EXISTS */
};

/** Write a file whole or not at all: a draft, which nobody but us can read, is written, synced and put in its
 *  place with `mode`, and the folder is synced. With LEST_FILE_NEW, the draft has no name where the file
 *  system can do that (O_TMPFILE), so that a process that dies leaves nothing; else it is PATH.lest-XXXXXX.
 *  "-" writes to standard output; a device or a pipe is written to, not replaced; of a link, the file it
 *  leads to is replaced, unless a stranger left the link in a folder for all, as /tmp is.
 *  Errors: LEST_E_EXISTS, LEST_E_IO */
enum lest_status lest_file_write(const char *path, const void *data, size_t len, mode_t mode,
                                 enum lest_file_how how, struct lest_error *err) LEST_MUST_USE;

/** Make durable that a file is in its folder.
 *  Errors: LEST_E_IO */
enum lest_status lest_file_sync_folder(const char *path, struct lest_error *err) LEST_MUST_USE;

/** Whether lest_file_write could begin to replace the file, as far as that can be told: a draft is made
 *  beside it and removed. For what must not fail after something has happened that cannot be undone. Drafts
 *  that writers of this file have left when they were killed are removed.
 *  Errors: LEST_E_IO */
enum lest_status lest_file_check(const char *path, struct lest_error *err) LEST_MUST_USE;

/** The one absolute path of a file, without the links that lest_file_write follows; a file that is not there
 *  yet has that of its folder; "-" is itself.
 *  Errors: LEST_E_NOT_FOUND (no such folder), LEST_E_IO */
enum lest_status lest_file_resolve(const char *path, char out[PATH_MAX],
                                   struct lest_error *err) LEST_MUST_USE;

#endif
