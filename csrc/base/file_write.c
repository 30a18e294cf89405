#include "base/draft.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A device or a pipe: renaming over it would put a plain file in its place. */
static bool is_special(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

static enum lest_status write_special(const char *path, const void *data, size_t len, struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || lest_draft_write_all(fd, data, len) < 0)
        status = lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be written", path);
    if (fd >= 0)
        close(fd);
    return status;
}

enum lest_status lest_file_check(const char *path, struct lest_error *err)
{
    struct lest_draft draft;
    if (strcmp(path, "-") == 0)
        return LEST_OK;
    if (is_special(path) && access(path, W_OK) == 0)
        return LEST_OK;
    if (is_special(path))
        return lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be written", path);
    enum lest_status status = lest_draft_begin(&draft, path, LEST_FILE_REPLACE, err);
    if (!status)
        lest_draft_remove_left(draft.target);
    lest_draft_end(&draft);
    return status;
}

enum lest_status lest_file_write(const char *path, const void *data, size_t len, mode_t mode,
                                 enum lest_file_how how, struct lest_error *err)
{
    struct lest_draft draft;
    if (strcmp(path, "-") == 0) {
        if (lest_draft_write_all(STDOUT_FILENO, data, len) < 0)
            return lest_error_set_errno(err, LEST_E_IO, errno, "standard output: cannot be written");
        return LEST_OK;
    }
    if (how == LEST_FILE_REPLACE && is_special(path))
        return write_special(path, data, len, err);
    enum lest_status status = lest_draft_begin(&draft, path, how, err);
    if (!status && fchmod(draft.fd, mode) < 0)
        status = lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be written", path);
    if (!status)
        status = lest_draft_write(&draft, path, data, len, err);
    if (!status)
        status = lest_draft_place(&draft, path, how, err);
    lest_draft_end(&draft);
    return status;
}
