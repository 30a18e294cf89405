/* A file on its way to its place: written where nobody finds it, and in its place whole or not at all. */
#ifndef LEST_BASE_DRAFT_H
#define LEST_BASE_DRAFT_H

#include "base/file.h"

#include <limits.h>

/** target  where a link leads, not the link
 *  name    its own; empty: it has none */
struct lest_draft {
    char target[PATH_MAX];
    char name[PATH_MAX];
    int fd;
};

/** Begin one for a path, of mode 0600: beside it, where its writer locks it, so that one that nobody writes
 *  is known; with LEST_FILE_NEW it has no name where the file system can do that. Also after a failure, end
 *  it. Errors: LEST_E_IO */
enum lest_status lest_draft_begin(struct lest_draft *draft, const char *path, enum lest_file_how how,
                                  struct lest_error *err) LEST_MUST_USE;

/** Add bytes; path is for the error. Errors: LEST_E_IO */
enum lest_status lest_draft_write(struct lest_draft *draft, const char *path, const void *data, size_t len,
                                  struct lest_error *err) LEST_MUST_USE;

/** Put it in its place, durably. Errors: LEST_E_EXISTS (with LEST_FILE_NEW), LEST_E_IO */
enum lest_status lest_draft_place(struct lest_draft *draft, const char *path, enum lest_file_how how,
                                  struct lest_error *err) LEST_MUST_USE;

/** Close it; one that is not in its place is gone. More than once is fine. */
void lest_draft_end(struct lest_draft *draft);

/** Remove what writers of this target have left when they were killed. */
void lest_draft_remove_left(const char *target);

/** write() until all is written, or -1. */
int lest_draft_write_all(int fd, const void *data, size_t len);

#endif
