/* An injected clock: a file that several processes map, with the wall clock that they go by instead of this
 * machine's. It runs as fast as real time and is set, forward or back, by the one who made it: years pass in
 * minutes, for the server and the devices of a simulation alike. Durations, deadlines and limits stay on the
 * monotonic clock. The file is of use until the machine starts again. */
#ifndef LEST_BASE_CLOCK_FILE_H
#define LEST_BASE_CLOCK_FILE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/** Make such a file, which must not be there yet, with its clock at wall_us, and go by it here; a process
 *  that made one can set it. Who else goes by it only reads.
 *  Errors: LEST_E_EXISTS, LEST_E_IO */
enum lest_status lest_clock_file_make(const char *path, int64_t wall_us,
                                      struct lest_error *err) LEST_MUST_USE;

/** Open the file of an injected clock: a plain one, of this user or root, that nobody else may write, since
 *  whoever writes it says which certificates are valid.
 *  fd  to read, close-on-exec, the caller's; -1 on failure
 *  Errors: LEST_E_NOT_FOUND, LEST_E_USAGE (it is something else, or another's), LEST_E_IO */
enum lest_status lest_clock_file_open(const char *path, int *fd, struct lest_error *err) LEST_MUST_USE;

/** Go by an open one; the descriptor stays the caller's. Errors: LEST_E_USAGE, LEST_E_IO */
enum lest_status lest_clock_file_follow(int fd, struct lest_error *err) LEST_MUST_USE;

/** Whether this process goes by an injected clock. */
bool lest_clock_file_is_followed(void);

/** Set the clock that this process has made. False: it has made none. */
bool lest_clock_file_set(int64_t wall_us);

#endif
