#include "host/supervisor/relay.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* PASS_MAX  bytes in one turn; a pipe has 64 KiB */
enum { PIECE = 4096, PASS_MAX = 256 * 1024 };

enum lest_status host_relay_open(struct host_relay *relay, int *child_end, struct lest_error *err)
{
    int ends[2];
    *child_end = relay->fd = -1;
    relay->len = 0;
    relay->is_cut = false;
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

static void end_line(struct host_relay *relay)
{
    if (relay->len)
        lest_log_add_line(relay->line, relay->len);
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
    if (relay->fd >= 0)
        close(relay->fd);
    relay->fd = -1;
}
