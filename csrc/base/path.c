#include "base/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool lest_path_folder(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    int len = slash ? (int)(slash - path) + 1 : 1;
    int size = snprintf(out, PATH_MAX, "%.*s", len, slash ? path : ".");
    return size >= 0 && size < PATH_MAX;
}

/* Whether a link was left by a stranger in a folder for all, as /tmp is: it could lead to any file of ours.
 * (The kernel follows none such where fs.protected_symlinks is set; realpath() does all the same.) */
static bool is_trap(const char *path)
{
    enum { FOR_ALL = S_ISVTX | S_IWOTH };
    char folder[PATH_MAX];
    struct stat link, place;
    return lstat(path, &link) == 0 && S_ISLNK(link.st_mode) && lest_path_folder(path, folder) &&
           stat(folder, &place) == 0 && (place.st_mode & FOR_ALL) == FOR_ALL && link.st_uid != geteuid() &&
           link.st_uid != place.st_uid;
}

bool lest_path_follow(const char *path, char out[PATH_MAX])
{
    return !is_trap(path) && realpath(path, out);
}
