#include "host/role/log_wait.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

static int patience_ms;

/* Looked at before each write: standard error is often not ours alone, and to make it non-blocking would do
 * so for all that share it. */
static bool may_write(void)
{
    static bool is_stalled;
    struct pollfd wait = { .fd = STDERR_FILENO, .events = POLLOUT };
    int ready;
    do {
        ready = poll(&wait, 1, is_stalled ? 0 : patience_ms);
    } while (ready < 0 && errno == EINTR);
    is_stalled = ready == 0;
    return ready != 0;
}

void host_log_wait(int wait_ms)
{
    patience_ms = wait_ms;
    lest_log_set_gate(may_write);
}
