/* A process that dies at its n-th change of a folder, or whose disk fails there: for LD_PRELOAD.
 *
 * DEATH_FOLDER is part of the paths that count. DEATH_AT=n: the n-th change is made (of a write, half), what
 * was written and not synced is lost, as at a power cut, and the process is killed. FULL_AT=n: from the n-th
 * change on there is no space. READ_ONLY=1: nothing can be changed. DEATH_COUNT names a file that gets a byte
 * for each change. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FDS_MAX = 1024, LOST_MAX = 256 };

static bool watched[FDS_MAX], dirty[FDS_MAX];
static int lost[LOST_MAX], lost_count; /* copies of what was closed and not synced */
static long count;

static long number_of(const char *name)
{
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : 0;
}

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

#define REAL(result, name, ...) ((result(*)(__VA_ARGS__))real(name))

static bool counts(const char *path)
{
    const char *folder = getenv("DEATH_FOLDER");
    return folder && *folder && strstr(path, folder) != NULL;
}

/* The same of a path below a folder that is open. */
static bool counts_at(int folder, const char *path)
{
    char link[64], whole[2 * PATH_MAX];
    if (*path == '/' || folder == AT_FDCWD)
        return counts(path);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t len = readlink(link, whole, PATH_MAX - 1);
    if (len < 0)
        abort();
    snprintf(whole + len, sizeof whole - (size_t)len, "/%s", path);
    return counts(whole);
}

static void die(void)
{
    for (int fd = 0; fd < FDS_MAX; fd++)
        if (dirty[fd] && ftruncate(fd, 0) < 0)
            abort();
    for (int i = 0; i < lost_count; i++)
        if (ftruncate(lost[i], 0) < 0)
            abort();
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static void note_count(void)
{
    const char *path = getenv("DEATH_COUNT");
    int fd = path ? REAL(int, "open", const char *, int, int)(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    if (fd < 0)
        return;
    if (REAL(ssize_t, "write", int, const void *, size_t)(fd, ".", 1) != 1)
        abort();
    REAL(int, "close", int)(fd);
}

/* Begin a change. False, with errno: the disk does not let it. */
static bool begin(bool takes_space)
{
    count++;
    note_count();
    if (getenv("READ_ONLY")) {
        errno = EROFS;
        return false;
    }
    long full_at = number_of("FULL_AT");
    if (takes_space && full_at && count >= full_at) {
        errno = ENOSPC;
        return false;
    }
    return true;
}

static bool is_last(void)
{
    return number_of("DEATH_AT") == count && count > 0;
}

static int end(int result)
{
    if (is_last())
        die();
    return result;
}

static int watch(int fd)
{
    if (fd >= 0 && fd < FDS_MAX) {
        watched[fd] = true;
        dirty[fd] = false;
    }
    return fd;
}

static int open_noted(const char *name, const char *path, int flags, mode_t mode)
{
    bool changes = (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE || flags & O_TRUNC) && counts(path);
    if (changes && !begin(true))
        return -1;
    int fd = REAL(int, name, const char *, int, mode_t)(path, flags, mode);
    return changes ? end(watch(fd)) : fd;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_noted("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_noted("open64", path, flags, mode);
}

static int make_noted(const char *name, char *path, int flags)
{
    bool changes = counts(path);
    if (changes && !begin(true))
        return -1;
    int fd = REAL(int, name, char *, int)(path, flags);
    return changes ? end(watch(fd)) : fd;
}

int mkostemp(char *path, int flags)
{
    return make_noted("mkostemp", path, flags);
}

int mkostemp64(char *path, int flags)
{
    return make_noted("mkostemp64", path, flags);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    ssize_t (*real_write)(int, const void *, size_t) = real("write");
    if (fd < 0 || fd >= FDS_MAX || !watched[fd])
        return real_write(fd, bytes, len);
    if (!begin(true))
        return -1;
    dirty[fd] = true;
    ssize_t put = real_write(fd, bytes, is_last() ? len / 2 : len);
    end(0);
    return put;
}

int fsync(int fd)
{
    int (*real_fsync)(int) = real("fsync");
    if (fd < 0 || fd >= FDS_MAX || !watched[fd])
        return real_fsync(fd);
    if (!begin(false))
        return -1;
    dirty[fd] = false;
    return end(real_fsync(fd));
}

int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX) {
        if (dirty[fd] && lost_count < LOST_MAX)
            lost[lost_count++] = fcntl(fd, F_DUPFD_CLOEXEC, FDS_MAX);
        watched[fd] = dirty[fd] = false;
    }
    return REAL(int, "close", int)(fd);
}

#define CHANGE_OF_ONE(name, takes_space)                                                                     \
    int name(const char *path)                                                                               \
    {                                                                                                        \
        int (*real_change)(const char *) = real(#name);                                                      \
        if (!counts(path))                                                                                   \
            return real_change(path);                                                                        \
        return begin(takes_space) ? end(real_change(path)) : -1;                                             \
    }

CHANGE_OF_ONE(unlink, false)
CHANGE_OF_ONE(remove, false)
CHANGE_OF_ONE(rmdir, false)

#define CHANGE_OF_TWO(name, takes_space)                                                                     \
    int name(const char *from, const char *to)                                                               \
    {                                                                                                        \
        int (*real_change)(const char *, const char *) = real(#name);                                        \
        if (!counts(to))                                                                                     \
            return real_change(from, to);                                                                    \
        return begin(takes_space) ? end(real_change(from, to)) : -1;                                         \
    }

CHANGE_OF_TWO(rename, false)
CHANGE_OF_TWO(symlink, true)
CHANGE_OF_TWO(link, true)

int mkdir(const char *path, mode_t mode)
{
    int (*real_mkdir)(const char *, mode_t) = real("mkdir");
    if (!counts(path))
        return real_mkdir(path, mode);
    return begin(true) ? end(real_mkdir(path, mode)) : -1;
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    int (*real_linkat)(int, const char *, int, const char *, int) = real("linkat");
    if (!counts(to))
        return real_linkat(from_folder, from, to_folder, to, flags);
    return begin(true) ? end(real_linkat(from_folder, from, to_folder, to, flags)) : -1;
}

int unlinkat(int folder, const char *path, int flags)
{
    int (*real_unlinkat)(int, const char *, int) = real("unlinkat");
    if (!counts_at(folder, path))
        return real_unlinkat(folder, path, flags);
    return begin(false) ? end(real_unlinkat(folder, path, flags)) : -1;
}

int symlinkat(const char *target, int folder, const char *path)
{
    int (*real_symlinkat)(const char *, int, const char *) = real("symlinkat");
    if (!counts_at(folder, path))
        return real_symlinkat(target, folder, path);
    return begin(true) ? end(real_symlinkat(target, folder, path)) : -1;
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    int (*real_renameat)(int, const char *, int, const char *) = real("renameat");
    if (!counts_at(to_folder, to))
        return real_renameat(from_folder, from, to_folder, to);
    return begin(false) ? end(real_renameat(from_folder, from, to_folder, to)) : -1;
}
