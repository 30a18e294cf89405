#include "host/role/errand.h"

#include "base/log.h"
#include "base/meter.h"
#include "host/role/parent.h"
#include "lua/binding.h"
#include "lua/channel.h"
#include "lua/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS_MAX = 86400 };

static void reset_signals(void)
{
    static const int own[] = { SIGTERM, SIGALRM, SIGCHLD };
    sigset_t none;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        signal(own[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Does not return. */
static void run(lua_State *L, int connection, int input, pid_t parent, unsigned seconds)
{
    reset_signals();
    alarm(seconds);
    lest_meters_use(NULL);
    lest_board_use(NULL, 0);
    int code = 1;
    if (dup2(input, STDIN_FILENO) >= 0 && host_parent_keep_only(connection)) {
        host_parent_follow(parent);
        lestL_loop_renew(L);
        lua_pushvalue(L, 3);
        if (lestL_call(L, 0, 1, "errand"))
            code = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : 1;
    }
    lest_log_flush();
    _exit(code);
}

static int fail(lua_State *L, int number, const int ends[2])
{
    struct lest_error err;
    lest_error_set_errno(&err, LEST_E_UNAVAILABLE, number, "the command cannot be started");
    if (ends[0] >= 0) {
        close(ends[0]);
        close(ends[1]);
    }
    return lestL_fail(L, &err);
}

int host_errand_start(lua_State *L, void (*in_child)(void))
{
    int connection = lestL_channel_fd(L, 1), ends[2] = { -1, -1 };
    lua_Integer seconds = luaL_checkinteger(L, 2);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    luaL_argcheck(L, seconds > 0 && seconds <= SECONDS_MAX, 2, "a time is up to a day");
    lua_settop(L, 3);
    luaL_Stream *stream = lestL_push_stream(L);
    if (connection < 0)
        return fail(L, EPIPE, ends);
    if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0)
        return fail(L, errno, ends);
    fflush(NULL);
    lest_log_flush();
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return fail(L, errno, ends);
    if (pid == 0) {
        in_child();
        run(L, connection, ends[0], parent, (unsigned)seconds);
    }
    /* What is written is a line that the command asked for. Who sends more than the pipe has room for keeps
     * nobody waiting: it is an error. */
    lestL_open_stream(stream, ends[1], "w");
    close(ends[0]);
    lua_pushinteger(L, pid);
    lua_insert(L, -2);
    return 2;
}

int host_errand_reap(lua_State *L)
{
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0)
        return 0;
    lua_pushinteger(L, pid);
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 2;
}

int host_errand_end(lua_State *L)
{
    lua_Integer pid = luaL_checkinteger(L, 1);
    luaL_argcheck(L, pid > 1 && pid <= INT_MAX, 1, "an errand's process is wanted");
    kill((pid_t)pid, SIGTERM);
    return 0;
}
