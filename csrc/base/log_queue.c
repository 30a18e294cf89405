#include "base/log_queue.h"

#include "base/meter.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { QUEUE_MAX = 256 * 1024 };

static bool (*gate)(void);

static struct {
    size_t dropped; /* lines */
    bool failed;    /* the last write(2) */
    bool is_within; /* the last one that did not has ended within a line */
    bool is_cut;    /* whose rest is lost, and whose end is still to be written */
    size_t first;
    size_t len;
    uint8_t bytes[QUEUE_MAX];
} queue;

void lest_log_queue_set_gate(bool (*may_write)(void))
{
    gate = may_write;
}

size_t lest_log_queue_length(void)
{
    return queue.len;
}

static size_t count_lines(const uint8_t *bytes, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += bytes[i] == '\n';
    return count;
}

/* As many whole lines as a pipe takes at once; a longer line in pieces. */
static size_t piece_length(void)
{
    size_t len = queue.len < PIPE_BUF ? queue.len : PIPE_BUF;
    const uint8_t *bytes = queue.bytes + queue.first;
    const uint8_t *newline = memrchr(bytes, '\n', len);
    return newline ? (size_t)(newline - bytes) + 1 : len;
}

/* What comes first, after the end of a line that was cut as the disk became full: the next is no part of
 * it. */
static ssize_t write_piece(void)
{
    if (queue.is_cut && write(STDERR_FILENO, "\n", 1) != 1)
        return -1;
    queue.is_cut = false;
    return write(STDERR_FILENO, queue.bytes + queue.first, piece_length());
}

static void take_off(size_t len)
{
    queue.first += len;
    queue.len -= len;
    if (!queue.len)
        queue.first = 0;
}

static void drop(const uint8_t *lines, size_t len)
{
    size_t count = count_lines(lines, len);
    queue.dropped += count;
    lest_meter_add(lest_meter_key(LEST_METER_LINES_DROPPED, 0, 0, 0, 0), count);
}

/* There is no reader, or the disk is full. */
static void lose_all(void)
{
    drop(queue.bytes + queue.first, queue.len);
    queue.is_cut = queue.is_cut || queue.is_within;
    queue.is_within = false;
    take_off(queue.len);
}

void lest_log_queue_write(void)
{
    while (queue.len && (!gate || gate())) {
        ssize_t put = write_piece();
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EAGAIN)
            return;
        queue.failed = put < 0;
        if (queue.failed) {
            lose_all();
            return;
        }
        queue.is_within = put > 0 && queue.bytes[queue.first + (size_t)put - 1] != '\n';
        take_off((size_t)put);
    }
}

void lest_log_queue_add(const void *lines, size_t len)
{
    if (len > QUEUE_MAX - queue.len)
        lest_log_queue_write();
    if (len > QUEUE_MAX - queue.len) {
        drop(lines, len);
        return;
    }
    if (len > QUEUE_MAX - queue.first - queue.len) {
        memmove(queue.bytes, queue.bytes + queue.first, queue.len);
        queue.first = 0;
    }
    memcpy(queue.bytes + queue.first + queue.len, lines, len);
    queue.len += len;
}

size_t lest_log_queue_take_dropped(void)
{
    /* To say it where nothing can be written would drop one more line, of which to say so, without end. */
    size_t dropped = queue.len || queue.failed ? 0 : queue.dropped;
    queue.dropped -= dropped;
    return dropped;
}
