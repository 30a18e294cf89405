#include "host/role/program.h"

#include "base/log.h"
#include "host/role/apart.h"
#include "host/role/parent.h"
#include "lua/binding.h"
#include "lua/folder.h"
#include "lua/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* REAP_MS  how often a program is looked at that has closed its output and goes on */
enum {
    INPUT_MAX = 1024 * 1024,
    OUTPUT_MAX = 1024 * 1024,
    ERRORS_MAX = 4096,
    TIMEOUT_MAX_MS = 7 * 86400 * 1000,
    REAP_MS = 5,
    ENVIRONMENT_MAX = 64
};

enum { INPUT, OUTPUT, ERRORS, STREAMS };

/* One end of what a program reads or writes; fd is -1 once that is over. */
struct stream {
    int fd;
    struct event *event;
    struct lest_buf bytes;
};

/* How one is started, and where its errors go. argv is NULL where it is the function at index 1 of L. */
struct plan {
    char *const *argv;
    const char *name;
    lua_State *L;
    int keep; /* a descriptor that the function has, too; -1: none */
    char *environment[ENVIRONMENT_MAX + 1];
    bool has_environment;
    int errors; /* -1: a pipe to us */
};

/* pid   0 once it was waited for
 * tail  the last of what it writes is kept */
struct program {
    pid_t pid;
    struct stream streams[STREAMS];
    struct event *timeout, *reaper;
    struct lestL_callback callback;
    bool late, large, tail;
    int wait_status;
};

static void end_stream(struct stream *stream)
{
    if (stream->event)
        event_free(stream->event);
    stream->event = NULL;
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
}

static void end_events(struct program *program)
{
    for (int i = 0; i < STREAMS; i++)
        end_stream(&program->streams[i]);
    if (program->timeout)
        event_free(program->timeout);
    if (program->reaper)
        event_free(program->reaper);
    program->timeout = program->reaper = NULL;
}

/* It cannot refuse: the wait is for the kernel alone. */
static void kill_now(struct program *program)
{
    if (!program->pid)
        return;
    kill(-program->pid, SIGKILL);
    kill(program->pid, SIGKILL); /* in case it has no group of its own yet */
    while (waitpid(program->pid, &program->wait_status, 0) < 0 && errno == EINTR) {
    }
    program->pid = 0;
}

static void close_program(void *h)
{
    struct program *program = h;
    end_events(program);
    kill_now(program);
    for (int i = 0; i < STREAMS; i++)
        lest_buf_wipe(&program->streams[i].bytes);
    lestL_callback_clear(&program->callback);
    free(program);
}

static const struct lestL_class class;

/* program:stop(): SIGTERM, which it may take its time over; nothing once it has ended */
static int stop(lua_State *L)
{
    const struct program *program = lestL_check_object(L, 1, &class);
    if (program->pid)
        kill(program->pid, SIGTERM);
    return 0;
}

static int get_pid(lua_State *L)
{
    const struct program *program = lestL_check_object(L, 1, &class);
    lua_pushinteger(L, program->pid);
    return 1;
}

static const luaL_Reg methods[] = { { "stop", stop }, { NULL, NULL } };
static const luaL_Reg getters[] = { { "pid", get_pid }, { NULL, NULL } };
static const struct lestL_class class = {
    .name = "lest.program", .methods = methods, .getters = getters, .close = close_program
};

static void set_bytes(lua_State *L, const char *key, const struct lest_buf *bytes)
{
    lua_pushlstring(L, bytes->len ? (const char *)bytes->data : "", bytes->len);
    lua_setfield(L, -2, key);
}

static void set_flag(lua_State *L, const char *key, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, key);
}

static int deliver(lua_State *L)
{
    const struct program *program = lua_touserdata(L, 1);
    bool killed = program->late || program->large;
    lua_rawgeti(L, LUA_REGISTRYINDEX, program->callback.ref);
    lua_newtable(L);
    set_bytes(L, "output", &program->streams[OUTPUT].bytes);
    set_bytes(L, "errors", &program->streams[ERRORS].bytes);
    set_flag(L, "late", program->late);
    set_flag(L, "large", program->large);
    lua_pushinteger(L, WIFEXITED(program->wait_status) ? WEXITSTATUS(program->wait_status)
                                                       : WTERMSIG(program->wait_status));
    if (killed)
        lua_pop(L, 1);
    else
        lua_setfield(L, -2, WIFEXITED(program->wait_status) ? "code" : "signal");
    lua_call(L, 1, 0);
    return 0;
}

/* What it has left running ends with it. */
static void finish(struct program *program)
{
    lua_State *L = program->callback.L;
    end_events(program);
    if (!L || !lua_checkstack(L, LUA_MINSTACK))
        return;
    lua_pushcfunction(L, deliver);
    lua_pushlightuserdata(L, program);
    lestL_call(L, 1, 0, "program");
}

/* A piece of what it writes. False: it writes no more. tail: the oldest bytes make room. */
static bool take(struct stream *stream, size_t most, bool tail, bool *large)
{
    char piece[4096];
    ssize_t got = read(stream->fd, piece, most < sizeof piece ? most : sizeof piece);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    size_t room = most - stream->bytes.len;
    if (tail && got > 0 && (size_t)got > room) {
        lest_buf_consume(&stream->bytes, (size_t)got - room);
        room = (size_t)got;
    }
    if (got > 0)
        lest_buf_append(&stream->bytes, piece, (size_t)got < room ? (size_t)got : room);
    *large = (got > 0 && (size_t)got > room) || stream->bytes.failed;
    lest_wipe(piece, sizeof piece);
    return got > 0;
}

/* What was written before the end and not read yet; nobody writes any more. */
static void drain_errors(struct program *program)
{
    struct stream *stream = &program->streams[ERRORS];
    bool large;
    for (size_t pieces = 0; stream->fd >= 0 && pieces < OUTPUT_MAX / ERRORS_MAX; pieces++) {
        struct pollfd ready = { .fd = stream->fd, .events = POLLIN };
        if (poll(&ready, 1, 0) <= 0 || !take(stream, ERRORS_MAX, program->tail, &large))
            return;
    }
}

static void on_reaper(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct program *program = arg;
    siginfo_t ended = { 0 };
    if (waitid(P_PID, (id_t)program->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && !ended.si_pid) {
        static const struct timeval soon = { 0, REAP_MS * 1000 };
        evtimer_add(program->reaper, &soon);
        return;
    }
    kill_now(program);
    drain_errors(program);
    finish(program);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct program *program = arg;
    program->late = true;
    kill_now(program);
    finish(program);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct program *program = arg;
    struct stream *stream = &program->streams[INPUT];
    ssize_t sent = write(fd, stream->bytes.data, stream->bytes.len); /* SIGPIPE is ignored here */
    if (sent > 0)
        lest_buf_consume(&stream->bytes, (size_t)sent);
    /* One that reads no more may all the same do what it is for. */
    if (stream->bytes.len == 0 || (sent < 0 && errno != EAGAIN && errno != EINTR))
        end_stream(stream);
}

static void on_output(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct program *program = arg;
    struct stream *stream = &program->streams[OUTPUT];
    if (take(stream, stream->bytes.max, program->tail, &program->large) && !program->large)
        return;
    end_stream(stream);
    if (program->large)
        kill_now(program);
    if (program->large)
        finish(program);
    else
        on_reaper(-1, 0, program);
}

static void on_errors(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct program *program = arg;
    bool large;
    if (!take(&program->streams[ERRORS], ERRORS_MAX, program->tail, &large))
        end_stream(&program->streams[ERRORS]);
}

static void become(const struct plan *plan, const int ends[STREAMS], pid_t parent)
{
    sigset_t none;
    if (!plan->has_environment)
        setpgid(0, 0);
    else
        setsid();
    host_parent_follow(parent);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int i = 0; i < STREAMS; i++)
        if (dup2(ends[i], i) < 0)
            _exit(126);
    close_range(STDERR_FILENO + 1, UINT_MAX, 0);
    execvpe(plan->argv[0], plan->argv, plan->has_environment ? plan->environment : environ);
    dprintf(STDERR_FILENO, "%s: cannot be run: %s", plan->argv[0], strerror(errno));
    _exit(127);
}

/* The program's ends, plan->errors among them unless it is -1, are closed here in any case. */
static enum lest_status start(struct program *program, const struct plan *plan, struct lest_error *err)
{
    int ends[STREAMS] = { -1, -1, plan->errors };
    enum lest_status status = LEST_OK;
    for (int i = 0; i < STREAMS && !status; i++) {
        int pair[2], ours = i == INPUT; /* a pipe is read at its first end */
        if (ends[i] >= 0)
            continue;
        if (pipe2(pair, O_CLOEXEC) < 0) {
            status = lest_error_set_errno(err, LEST_E_UNAVAILABLE, errno, "%s: cannot be run", plan->name);
            break;
        }
        program->streams[i].fd = pair[ours];
        ends[i] = pair[!ours];
        fcntl(pair[ours], F_SETFL, O_NONBLOCK);
    }
    if (!plan->argv) {
        fflush(NULL);
        lest_log_flush();
    }
    pid_t parent = getpid();
    program->pid = status ? 0 : fork();
    if (program->pid < 0) {
        program->pid = 0;
        status = lest_error_set_errno(err, LEST_E_UNAVAILABLE, errno, "%s: cannot be run", plan->name);
    } else if (!status && program->pid == 0) {
        if (!plan->argv)
            host_apart_run(plan->L, ends, plan->keep, parent);
        become(plan, ends, parent);
    }
    if (program->pid && !plan->has_environment)
        setpgid(program->pid, program->pid);
    for (int i = 0; i < STREAMS; i++)
        if (ends[i] >= 0)
            close(ends[i]);
    return status;
}

static bool watch(struct program *program, struct event_base *base, lua_Integer timeout_ms)
{
    static const event_callback_fn callbacks[STREAMS] = { on_input, on_output, on_errors };
    static const short events[STREAMS] = { EV_WRITE | EV_PERSIST, EV_READ | EV_PERSIST,
                                           EV_READ | EV_PERSIST };
    struct timeval after = { (time_t)(timeout_ms / 1000), (suseconds_t)(timeout_ms % 1000 * 1000) };
    for (int i = 0; i < STREAMS; i++) {
        struct stream *stream = &program->streams[i];
        if (stream->fd < 0)
            continue;
        stream->event = event_new(base, stream->fd, events[i], callbacks[i], program);
        if (!stream->event || event_add(stream->event, NULL) < 0)
            return false;
    }
    program->timeout = evtimer_new(base, on_timeout, program);
    program->reaper = evtimer_new(base, on_reaper, program);
    return program->timeout && program->reaper && evtimer_add(program->timeout, &after) == 0;
}

/* The strings of the list at idx, which keeps them alive; nil: this process's environment. */
static void read_environment(lua_State *L, int idx, struct plan *plan)
{
    plan->has_environment = !lua_isnil(L, idx);
    if (!plan->has_environment)
        return;
    luaL_checktype(L, idx, LUA_TTABLE);
    size_t count = lua_rawlen(L, idx);
    luaL_argcheck(L, count <= ENVIRONMENT_MAX, 2, "the environment has too many variables");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, idx, (lua_Integer)i + 1);
        /* exec does not change it. */
        plan->environment[i] = (char *)(uintptr_t)luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
}

static enum lest_status open_log(const char *path, int *fd, struct lest_error *err)
{
    *fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (path && *fd < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be written", path);
    return LEST_OK;
}

int host_program_start(lua_State *L, char *const *argv)
{
    static const char *const known[] = { "input",    "timeout_ms",  "max",  "log", "keep",
                                         "callback", "environment", "tail", NULL };
    struct plan plan = { .argv = argv, .name = argv ? argv[0] : "a function", .L = L, .errors = -1 };
    struct lest_error err;
    size_t len;
    lua_getfield(L, 2, "callback");
    lua_getfield(L, 2, "input");
    const char *input = luaL_checklstring(L, -1, &len);
    int callback_idx = lua_gettop(L) - 1;
    lua_Integer timeout_ms = lestL_opt_integer(L, 2, "timeout_ms", 0);
    lua_Integer max = lestL_opt_integer(L, 2, "max", OUTPUT_MAX);
    bool tail = lestL_opt_boolean(L, 2, "tail", false);
    lua_getfield(L, 2, "log");
    const char *log = luaL_optstring(L, -1, NULL);
    plan.keep = lua_getfield(L, 2, "keep") == LUA_TNIL ? -1 : lestL_lock_fd(L, -1);
    lestL_check_options(L, 2, known);
    lua_getfield(L, 2, "environment");
    read_environment(L, lua_gettop(L), &plan);
    luaL_argcheck(L, len <= INPUT_MAX, 2, "the input is too large");
    luaL_argcheck(L, timeout_ms > 0 && timeout_ms <= TIMEOUT_MAX_MS, 2, "timeout_ms is up to a week");
    luaL_argcheck(L, max > 0 && max <= OUTPUT_MAX, 2, "max is up to 1 MiB");
    struct lestL_object *object = lestL_new_object(L, &class);
    struct program *program = object->h = calloc(1, sizeof *program);
    if (!program)
        return lestL_no_memory(L);
    program->tail = tail;
    lest_buf_init(&program->streams[INPUT].bytes, INPUT_MAX);
    lest_buf_init(&program->streams[OUTPUT].bytes, (size_t)max);
    lest_buf_init(&program->streams[ERRORS].bytes, ERRORS_MAX);
    for (int i = 0; i < STREAMS; i++)
        program->streams[i].fd = -1;
    lestL_callback_set(L, callback_idx, &program->callback);
    lest_buf_append(&program->streams[INPUT].bytes, input, len);
    struct event_base *base = net_loop_get0_base(lestL_loop(L));
    if (!argv && !log) /* its errors are ours: the log */
        plan.errors = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (lest_buf_status(&program->streams[INPUT].bytes, &err) ||
        (plan.errors < 0 && open_log(log, &plan.errors, &err)) || start(program, &plan, &err))
        return lestL_fail(L, &err);
    if (!watch(program, base, timeout_ms))
        return lestL_no_memory(L);
    return 1;
}

void host_program_register(lua_State *L)
{
    lestL_class_register(L, &class);
}
