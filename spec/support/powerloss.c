/* A disk that forgets at a loss of power what was not synced: for LD_PRELOAD.
 *
 * Writes to a ledger (names that end in ".db" or "-wal") are noted with what they replace. A sync takes 3 ms
 * and makes durable what was written before it began. At the signal the process loses power: all that is not
 * durable is undone, or, every other time, a random half of it, as a disk may write in any order; then the
 * process is killed.
 *
 * POWERLOSS_FAIL names a file; while it is there, a sync of a WAL fails with EIO and makes nothing durable.
 * POWERLOSS_HANG names another; while that is there, a sync of a WAL does not end. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SYNC_US = 3000, FILES_MAX = 16, FDS_MAX = 4096 };

enum kind { OTHER, DATABASE, WAL };

struct file {
    dev_t device;
    ino_t inode;
    int fd; /* a copy, that stays open */
    off_t durable_size;
};

/* One write, with the bytes that it replaced; behind the old end these are zeros. */
struct note {
    struct note *before;
    struct file *file;
    off_t offset;
    size_t len;
    unsigned char old[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file files[FILES_MAX];
static int file_count;
static struct note *notes; /* the newest first */

static unsigned char kinds[FDS_MAX];

static int (*real_open)(const char *, int, ...);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int loss_signal;

static void enter(sigset_t *before)
{
    sigset_t loss;
    sigemptyset(&loss);
    sigaddset(&loss, loss_signal);
    pthread_sigmask(SIG_BLOCK, &loss, before);
    pthread_mutex_lock(&lock);
}

static void leave(const sigset_t *before)
{
    pthread_mutex_unlock(&lock);
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* The file of a ledger that fd is open on, or NULL. */
static struct file *file_of(int fd)
{
    struct stat info;
    if (fd < 0 || fd >= FDS_MAX || kinds[fd] == OTHER || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
        return NULL;
    for (int i = 0; i < file_count; i++)
        if (files[i].device == info.st_dev && files[i].inode == info.st_ino)
            return &files[i];
    if (file_count == FILES_MAX)
        abort();
    files[file_count] = (struct file){ info.st_dev, info.st_ino, dup(fd), info.st_size };
    return &files[file_count++];
}

/* What fd was opened as. Not asked of /proc, which a process that cannot be dumped may not read. */
static int remember(const char *name, int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        kinds[fd] = ends_with(name, "-wal") ? WAL : ends_with(name, ".db") ? DATABASE : OTHER;
    /* The first to open a file can write it: SQLite. */
    sigset_t before;
    enter(&before);
    file_of(fd);
    leave(&before);
    return fd;
}

int open(const char *name, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & O_CREAT) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return remember(name, real_open(name, flags, mode));
}

int open64(const char *name, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & O_CREAT) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return remember(name, real_open(name, flags, mode));
}

static void note_write(struct file *file, off_t offset, size_t len)
{
    struct note *note = calloc(1, sizeof *note + len);
    if (!note)
        abort();
    *note = (struct note){ .before = notes, .file = file, .offset = offset, .len = len };
    if (pread(file->fd, note->old, len, offset) < 0)
        abort();
    notes = note;
}

static ssize_t write_noted(int fd, const void *bytes, size_t len, off_t offset)
{
    sigset_t before;
    enter(&before);
    struct file *file = file_of(fd);
    if (file)
        note_write(file, offset, len);
    ssize_t result = real_pwrite(fd, bytes, len, offset);
    leave(&before);
    return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    return write_noted(fd, bytes, len, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t offset)
{
    return write_noted(fd, bytes, len, offset);
}

/* What is cut off is a write of nothing over it. */
static int truncate_noted(int fd, off_t size)
{
    sigset_t before;
    struct stat info;
    enter(&before);
    struct file *file = file_of(fd);
    if (file && fstat(fd, &info) == 0 && info.st_size > size)
        note_write(file, size, (size_t)(info.st_size - size));
    int result = real_ftruncate(fd, size);
    leave(&before);
    return result;
}

int ftruncate(int fd, off_t size)
{
    return truncate_noted(fd, size);
}

int ftruncate64(int fd, off_t size)
{
    return truncate_noted(fd, size);
}

/* Forget what is durable: all of the file from `newest` on. */
static void forget(const struct file *file, const struct note *newest)
{
    struct note **at = &notes;
    while (*at != newest)
        at = &(*at)->before;
    while (*at) {
        struct note *note = *at;
        if (note->file == file) {
            *at = note->before;
            free(note);
        } else {
            at = &note->before;
        }
    }
}

static bool is_there(const char *variable)
{
    const char *name = getenv(variable);
    return name && access(name, F_OK) == 0;
}

static int sync_noted(int fd)
{
    sigset_t before;
    struct stat info = { 0 };
    while (kinds[fd] == WAL && is_there("POWERLOSS_HANG"))
        usleep(SYNC_US);
    if (kinds[fd] == WAL && is_there("POWERLOSS_FAIL")) {
        errno = EIO;
        return -1;
    }
    enter(&before);
    struct file *file = file_of(fd);
    struct note *newest = notes;
    if (file)
        fstat(fd, &info);
    leave(&before);
    usleep(SYNC_US);
    if (!file)
        return 0;
    enter(&before);
    /* Another sync of the file may have ended meanwhile, and have forgotten that note and more. */
    struct note *note = notes;
    while (note && note != newest)
        note = note->before;
    if (note)
        forget(file, note);
    file->durable_size = info.st_size;
    leave(&before);
    return 0;
}

int fdatasync(int fd)
{
    return sync_noted(fd);
}

int fsync(int fd)
{
    return sync_noted(fd);
}

static uint32_t coins;

/* The linear congruence of Numerical Recipes, whose upper bits are good. */
static bool toss(void)
{
    coins = coins * 1664525 + 1013904223;
    return coins >> 31;
}

static void lose_power(int number)
{
    (void)number;
    pthread_mutex_lock(&lock);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    coins = (uint32_t)(now.tv_nsec ^ getpid());
    bool half = toss();
    for (const struct note *note = notes; note; note = note->before)
        if (!half || toss())
            real_pwrite(note->file->fd, note->old, note->len, note->offset);
    for (int i = 0; !half && i < file_count; i++)
        real_ftruncate(files[i].fd, files[i].durable_size);
    kill(getpid(), SIGKILL);
}

static void __attribute__((constructor)) start(void)
{
    struct sigaction action = { .sa_handler = lose_power };
    loss_signal = SIGRTMIN + 3;
    *(void **)&real_open = dlsym(RTLD_NEXT, "open64");
    *(void **)&real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    *(void **)&real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    sigaction(loss_signal, &action, NULL);
}
