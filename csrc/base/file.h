/* Files: read with a maximum, written whole or not at all. */
#ifndef LEST_BASE_FILE_H
#define LEST_BASE_FILE_H

#include "base/buf.h"

#include <limits.h>
#include <sys/types.h>

/** Append a whole file to out; "-" is standard input. A file over out's maximum is an error.
 *  Errors: LEST_E_NOT_FOUND, LEST_E_IO, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status lest_file_read(const char *path, struct lest_buf *out, struct lest_error *err) LEST_MUST_USE;

enum lest_file_how {
    LEST_FILE_REPLACE, /* an existing file is replaced */
    LEST_FILE_NEW      /* an existing file is LEST_E_EXISTS */
};

/** Write a file whole or not at all: a temporary file beside it, made with `mode` from its first byte,
 *  is written, synced and renamed (or linked, for LEST_FILE_NEW), and the folder is synced.
 *  "-" writes to standard output; a device or a pipe is written to, not replaced; of a link, the file it
 *  leads to is replaced, unless a stranger left the link in a folder for all, as /tmp is.
 *  Errors: LEST_E_EXISTS, LEST_E_IO */
enum lest_status lest_file_write(const char *path, const void *data, size_t len, mode_t mode,
                                 enum lest_file_how how, struct lest_error *err) LEST_MUST_USE;

/** Make durable that a file is in its folder.
 *  Errors: LEST_E_IO */
enum lest_status lest_file_sync_folder(const char *path, struct lest_error *err) LEST_MUST_USE;

/** Whether lest_file_write could begin to replace the file, as far as that can be told: a temporary file is
 *  made beside it and removed. For what must not fail after something has happened that cannot be undone.
 *  Errors: LEST_E_IO */
enum lest_status lest_file_check(const char *path, struct lest_error *err) LEST_MUST_USE;

/** The one absolute path of a file, without the links that lest_file_write follows; a file that is not there
 *  yet has that of its folder; "-" is itself.
 *  Errors: LEST_E_NOT_FOUND (no such folder), LEST_E_IO */
enum lest_status lest_file_resolve(const char *path, char out[PATH_MAX],
                                   struct lest_error *err) LEST_MUST_USE;

#endif
