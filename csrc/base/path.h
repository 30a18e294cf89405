/* Where a path leads. */
#ifndef LEST_BASE_PATH_H
#define LEST_BASE_PATH_H

#include <limits.h>
#include <stdbool.h>

/** The folder of a path, "." if it names none; false: it is too long. */
bool lest_path_folder(const char *path, char out[PATH_MAX]);

/** Where a path leads through its links; false: it leads nowhere, or is not to be followed, since a stranger
 *  left the link in a folder for all, as /tmp is. */
bool lest_path_follow(const char *path, char out[PATH_MAX]);

#endif
