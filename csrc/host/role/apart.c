#include "host/role/apart.h"

#include "base/log.h"
#include "host/role/parent.h"
#include "lua/binding.h"
#include "lua/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

/* What the loop of the parent hears is not for this process, whose own loop hears no signal. */
static void ignore_signals(void)
{
    static const int numbers[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2 };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], SIG_IGN);
}

static bool say(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t sent = write(STDOUT_FILENO, text, len);
        if (sent < 0 && errno != EINTR)
            return false;
        text += sent > 0 ? sent : 0;
        len -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

void host_apart_run(lua_State *L, const int ends[3], int keep, pid_t parent)
{
    int code = 1;
    size_t len;
    ignore_signals();
    setpgid(0, 0);
    host_parent_die_with(parent);
    for (int i = 0; i < 3; i++)
        if (dup2(ends[i], i) < 0)
            _exit(126);
    if (host_parent_keep_only(keep)) {
        lestL_loop_renew(L);
        lua_pushvalue(L, 1);
        if (lestL_call(L, 0, 1, "work apart") && lua_type(L, -1) == LUA_TSTRING) {
            const char *text = lua_tolstring(L, -1, &len);
            code = say(text, len) ? 0 : 1;
        }
    }
    lest_log_flush();
    _exit(code);
}
