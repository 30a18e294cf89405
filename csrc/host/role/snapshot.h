/* A snapshot of the configuration, as the roles get it: one file in memory that no process can change, with the
 * files that must be the same for every process of a generation, whenever it starts. */
#ifndef LEST_HOST_ROLE_SNAPSHOT_H
#define LEST_HOST_ROLE_SNAPSHOT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Of the text that the config child writes; of the files that it names. */
enum { HOST_CONFIG_MAX = 1024 * 1024, HOST_FILES_MAX = 64 * 1024 * 1024 };

/** Make a snapshot of the config child's text: the configuration as JSON, then the key and the path of each file, all of
 *  them ended by NUL. The files are read here, since the child has no rights to; in the result the path, the
 *  size in decimal (both ended by NUL) and the bytes stand for each.
 *  fd  close-on-exec, the caller's; -1 on failure. Errors: LEST_E_CONFIG, with the key of the file that
 *  cannot be read; LEST_E_IO, LEST_E_NOMEM */
enum lest_status host_snapshot_new(const uint8_t *text, size_t len, int *fd,
                                   struct lest_error *err) LEST_MUST_USE;

/** Map a snapshot that was passed on, and close the descriptor; its bytes begin with the JSON.
 *  data  the caller's, host_snapshot_free(). Errors: LEST_E_IO */
enum lest_status host_snapshot_attach(int fd, const char **data, size_t *size,
                                      struct lest_error *err) LEST_MUST_USE;
void host_snapshot_free(const char *data, size_t size);

/** Walk over the files; *at starts as NULL. False at the end. */
struct host_snapshot_file {
    const char *path;
    const char *bytes;
    size_t size;
};
bool host_snapshot_next(const char *data, size_t size, const char **at, struct host_snapshot_file *out);

#endif
