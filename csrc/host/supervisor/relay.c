#include "host/supervisor/relay.h"

#include "base/clock.h"
#include "base/log.h"
#include "host/supervisor/speaker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* PASS_MAX   bytes in one turn; a pipe has 64 KiB
 * RATE       bytes a second of a child's lines, more than a worker at its limit writes
 * ROOM_MAX   bytes at once
 * LINE_COST  of a line, at least: a short text becomes a line that is longer
 * TEXT_MAX   bytes that are shown of what is no line of the log: a line has room for them, however escaped
 * TELL_MS    between two lines that tell of those dropped */
enum { PIECE = 4096, PASS_MAX = 256 * 1024 };
/* HEAD_MAX   bytes of a line in which its level is */
enum { HEAD_MAX = 80 };
enum { RATE = 4 * 1024 * 1024, ROOM_MAX = 2 * RATE, LINE_COST = 256, TEXT_MAX = 1024, TELL_MS = 1000 };

enum lest_status host_relay_open(struct host_relay *relay, int *child_end, struct lest_error *err)
{
    int ends[2];
    *child_end = relay->fd = -1;
    relay->len = relay->dropped = 0;
    relay->is_cut = false;
    relay->speaker = NULL;
    relay->complaint = NULL;
    relay->room = ROOM_MAX;
    relay->filled_ms = relay->told_ms = lest_clock_monotonic_ms();
    if (pipe2(ends, O_CLOEXEC) < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "a child's standard error cannot be made");
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
        enum lest_status status =
            lest_error_set_errno(err, LEST_E_IO, errno, "a child's standard error cannot be made");
        close(ends[0]);
        close(ends[1]);
        return status;
    }
    relay->fd = ends[0];
    *child_end = ends[1];
    return LEST_OK;
}

/* Each child has a share of the log of its own, which one that was taken over cannot exceed. */
static bool take_room(struct host_relay *relay, size_t len)
{
    int64_t now_ms = lest_clock_monotonic_ms(), cost = len > LINE_COST ? (int64_t)len : LINE_COST;
    int64_t room = relay->room + (now_ms - relay->filled_ms) * RATE / 1000;
    relay->room = room < ROOM_MAX ? room : ROOM_MAX;
    relay->filled_ms = now_ms;
    if (relay->room < cost)
        return false;
    relay->room -= cost;
    return true;
}

static void write_about(const struct host_relay *relay, enum lest_log_level level, const char *event,
                        struct lest_log_field what)
{
    const char *name = relay->speaker ? relay->speaker : "config";
    struct lest_log_field fields[] = { lest_log_text("child", name),
                                       lest_log_integer("child_pid", relay->pid), what };
    lest_log_write(level, event, fields, sizeof fields / sizeof *fields);
}

void host_relay_tell(struct host_relay *relay)
{
    if (!relay->dropped)
        return;
    int64_t now_ms = lest_clock_monotonic_ms();
    if (now_ms - relay->told_ms < TELL_MS)
        return;
    write_about(relay, LEST_LOG_ERROR, "child log lines dropped",
                lest_log_integer("lines", (int64_t)relay->dropped));
    relay->told_ms = now_ms;
    relay->dropped = 0;
}

/* A line of the log whose level is error, in either form. */
static bool is_error(const struct host_relay *relay)
{
    static const char *const marks[] = { "\"level\":\"error\"", " error " };
    const char *mark = marks[lest_log_is_readable()];
    size_t head = relay->len < HEAD_MAX ? relay->len : HEAD_MAX;
    return memmem(relay->line, head, mark, strlen(mark)) != NULL;
}

static void keep_complaint(struct host_relay *relay)
{
    size_t len = relay->len < HOST_RELAY_COMPLAINT_MAX ? relay->len : HOST_RELAY_COMPLAINT_MAX;
    if (!relay->complaint || *relay->complaint || !is_error(relay))
        return;
    memcpy(relay->complaint, relay->line, len);
    relay->complaint[len] = '\0';
}

static void pass_line(struct host_relay *relay)
{
    keep_complaint(relay);
    if (!take_room(relay, relay->len))
        relay->dropped++;
    else if (!relay->speaker ||
             host_speaker_wrote(relay->speaker, relay->pid, lest_log_is_readable(), relay->line, relay->len))
        lest_log_add_line(relay->line, relay->len);
    else
        write_about(relay, LEST_LOG_WARNING, "child wrote",
                    lest_log_bytes("text", relay->line, relay->len < TEXT_MAX ? relay->len : TEXT_MAX));
    host_relay_tell(relay);
}

static void end_line(struct host_relay *relay)
{
    if (relay->len)
        pass_line(relay);
    relay->len = 0;
    relay->is_cut = false;
}

/* A line that is too long is passed on up to there. */
static void add(struct host_relay *relay, const char *bytes, size_t len)
{
    size_t room = sizeof relay->line - relay->len;
    size_t taken = len < room ? len : room;
    if (relay->is_cut)
        return;
    memcpy(relay->line + relay->len, bytes, taken);
    relay->len += taken;
    if (len <= room)
        return;
    end_line(relay);
    relay->is_cut = true;
}

static void split(struct host_relay *relay, const char *bytes, size_t len)
{
    while (len) {
        const char *newline = memchr(bytes, '\n', len);
        size_t used = newline ? (size_t)(newline - bytes) : len;
        add(relay, bytes, used);
        if (!newline)
            return;
        end_line(relay);
        bytes += used + 1;
        len -= used + 1;
    }
}

void host_relay_pass(struct host_relay *relay)
{
    char piece[PIECE];
    for (size_t passed = 0; relay->fd >= 0 && passed < PASS_MAX;) {
        ssize_t got = read(relay->fd, piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return;
        if (got == 0) {
            /* It has closed its end and may go on; poll() would not wait any more. */
            close(relay->fd);
            relay->fd = -1;
            return;
        }
        split(relay, piece, (size_t)got);
        passed += (size_t)got;
    }
}

void host_relay_close(struct host_relay *relay)
{
    host_relay_pass(relay);
    end_line(relay);
    relay->told_ms = -TELL_MS;
    host_relay_tell(relay);
    if (relay->fd >= 0)
        close(relay->fd);
    relay->fd = -1;
}
