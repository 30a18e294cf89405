/* A snapshot of the configuration, as the roles get it: one file in memory that no process can change. It
 * also has the files that must be the same for every process of a generation, whenever the process starts. */
#ifndef LEST_HOST_ROLE_SNAPSHOT_H
#define LEST_HOST_ROLE_SNAPSHOT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The most bytes of the text that the config child writes, and of the files that it names together. */
enum { HOST_CONFIG_MAX = 1024 * 1024, HOST_FILES_MAX = 64 * 1024 * 1024 };

/** Make a snapshot of the config child's text, and read the files that it names: the child has no right to.
 *    the text      the configuration as JSON, then for each file its key in the configuration and its path;
 *                  each ends with NUL
 *    the snapshot  the JSON with its NUL, then for each file its path, its size in decimal (both end with
 *                  NUL) and its bytes
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
