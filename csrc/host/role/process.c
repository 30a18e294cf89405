#include "host/role/process.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/meter.h"
#include "host/role/clock.h"
#include "host/role/command.h"
#include "host/role/errand.h"
#include "host/role/inbox.h"
#include "host/role/notify.h"
#include "host/role/parent.h"
#include "host/role/privilege.h"
#include "host/role/program.h"
#include "lua/binding.h"
#include "lua/channel.h"
#include "lua/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* COMMAND_MS  less than the supervisor gives a role to start, so that the reason is told */
enum { COMMAND_OUTPUT_MAX = 4096, COMMAND_MS = 20000 };

/* A process has one role, however many interpreters run in it. */
static struct {
    struct host_watchdog *watchdog;
    pid_t parent;
    bool must_drop;
    bool drop_failed;
    struct event *inbox;
    struct lestL_callback on_channel;
    struct lestL_callback on_reload;
} role;

/* A process in which this or that did not happen for want of memory is not to be relied on. It ends as on
 * SIGTERM, with what is under way, and the supervisor starts another one. */
static void end_without_memory(void)
{
    static bool ends;
    if (!ends)
        lest_log(LEST_LOG_ERROR, "out of memory", "this process ends");
    ends = true;
    kill(getpid(), SIGTERM);
}

void host_process_set_role(struct host_watchdog *watchdog, pid_t parent, bool must_drop)
{
    if (watchdog)
        lestL_on_no_memory(end_without_memory);
    role.watchdog = watchdog;
    role.parent = parent;
    role.must_drop = must_drop;
}

/* Push the list at idx as an argv in a userdata; the list keeps the strings alive. */
static void push_arguments(lua_State *L, int idx, bool with_program)
{
    luaL_checktype(L, idx, LUA_TTABLE);
    size_t count = (size_t)luaL_len(L, idx), first = with_program;
    if (first + count == 0)
        luaL_error(L, "a program is needed");
    char **argv = lua_newuserdatauv(L, (first + count + 1) * sizeof *argv, 0);
    /* exec changes none of them. */
    if (with_program)
        argv[0] = (char *)(uintptr_t) "lest";
    for (size_t i = 0; i < count; i++) {
        if (lua_geti(L, idx, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "argument %d is not a string", (int)i + 1);
        argv[first + i] = (char *)(uintptr_t)lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    argv[first + count] = NULL;
}

static int done(lua_State *L, enum lest_status status, const struct lest_error *err)
{
    if (status)
        return lestL_fail(L, err);
    lua_pushboolean(L, 1);
    return 1;
}

/* process.drop(user or nil): become that user for good. A process that is not root has no rights to give up
 * and stays who it is. After a failure the role will not serve. */
static int drop(lua_State *L)
{
    struct lest_error err;
    struct host_user user;
    const char *name = luaL_optstring(L, 1, NULL);
    enum lest_status status = LEST_OK;
    if (geteuid() == 0) {
        status = name ? host_user_find(name, &user, &err)
                      : lest_error_set(&err, LEST_E_CONFIG, "started as root, a user is needed");
        if (!status)
            status = host_privilege_drop(&user, &err);
        role.drop_failed = status != LEST_OK;
        if (!status && role.parent)
            host_parent_follow(role.parent);
    }
    return done(L, status, &err);
}

/* process.harden(): no new rights, no core, no looking in from outside */
static int harden(lua_State *L)
{
    struct lest_error err;
    return done(L, host_privilege_harden(&err), &err);
}

/* process.own_folder(path, user [, look_only]) -> true | false, where it is not there to be looked at | nil,
 * err: see host_privilege_own_folder() */
static int own_folder(lua_State *L)
{
    struct lest_error err;
    struct host_user user;
    const char *path = luaL_checkstring(L, 1);
    bool look_only = lua_toboolean(L, 3);
    if (host_user_find(luaL_checkstring(L, 2), &user, &err))
        return lestL_fail(L, &err);
    enum lest_status status = host_privilege_own_folder(path, &user, look_only, &err);
    if (look_only && status == LEST_E_NOT_FOUND) {
        lua_pushboolean(L, 0);
        return 1;
    }
    return done(L, status, &err);
}

/* process.read_command{ program, arguments... } -> what it prints, without the last newline */
static int read_command(lua_State *L)
{
    struct lest_error err;
    push_arguments(L, 1, false);
    char *const *argv = lua_touserdata(L, -1);
    struct lest_buf *out = lestL_buf(L, COMMAND_OUTPUT_MAX);
    if (host_command_read(argv, COMMAND_MS, out, &err))
        return lestL_fail(L, &err);
    while (out->len && (out->data[out->len - 1] == '\n' || out->data[out->len - 1] == '\r'))
        out->len--;
    return lestL_push_buf(L, out);
}

/* process.beat([request_id]): alive, and on this request; without one, on none */
static int beat(lua_State *L)
{
    size_t len = 0;
    const char *request = luaL_optlstring(L, 1, "", &len);
    if (!role.watchdog)
        return 0;
    host_watchdog_set_request(role.watchdog, request, len);
    host_watchdog_beat(role.watchdog);
    return 0;
}

/* process.keep(text) -> the first text that this process, or one before it in its role, has kept */
static int keep(lua_State *L)
{
    char kept[HOST_WATCHDOG_KEPT_MAX + 1];
    const char *text = luaL_checkstring(L, 1);
    luaL_argcheck(L, *text && strlen(text) <= HOST_WATCHDOG_KEPT_MAX, 1, "the text is empty or too long");
    if (!role.watchdog)
        return luaL_error(L, "only a role keeps anything");
    host_watchdog_kept(role.watchdog, kept);
    if (!*kept)
        host_watchdog_keep(role.watchdog, text);
    lua_pushstring(L, *kept ? kept : text);
    return 1;
}

/* process.ready(): from now on the role serves, and is watched */
static int ready(lua_State *L)
{
    struct lest_error err;
    if (role.must_drop && (role.drop_failed || geteuid() == 0 || getuid() == 0))
        return luaL_error(L, "a role must not serve as root");
    if (role.watchdog && host_privilege_harden(&err))
        return luaL_error(L, "%s", err.message);
    if (role.watchdog)
        host_watchdog_set_ready(role.watchdog);
    lest_meter_set(lest_meter_key(LEST_METER_READY, 0, 0, 0, 0), 1);
    return 0;
}

/* process.notify("ready" | "status", sentence), ("stopping"), ("turn"): tell the service manager that has
 * started this process; "turn" is for its watchdog, and told as often as that wants. Without one, nothing
 * happens. */
static int notify(lua_State *L)
{
    static const char *const states[] = { "ready", "status", "stopping", "turn", NULL };
    enum { READY, STATUS, STOPPING };
    static bool is_open;
    int state = luaL_checkoption(L, 1, NULL, states);
    const char *text = state <= STATUS ? luaL_checkstring(L, 2) : NULL;
    luaL_argcheck(L, !text || !strchr(text, '\n'), 2, "a sentence has no line end");
    if (!is_open)
        host_notify_open();
    is_open = true;
    if (state == READY)
        host_notify_ready(text);
    else if (state == STATUS)
        host_notify_status(text);
    else if (state == STOPPING)
        host_notify_stopping();
    else
        host_notify_turn(lest_clock_monotonic_ms(), false);
    return 0;
}

/* process.out_of_memory(): a role ends, and with what is under way. */
static int out_of_memory(lua_State *L)
{
    (void)L;
    if (role.watchdog)
        end_without_memory();
    return 0;
}

struct delivery {
    int fd;
    struct host_inbox_label label;
};

/* fn(channel, worker, pid, role), inside a protected call: making the channel may raise */
static int deliver(lua_State *L)
{
    struct lest_error err;
    struct delivery *delivery = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, role.on_channel.ref);
    if (lestL_channel_push(L, &delivery->fd, &err))
        return luaL_error(L, "%s", err.message);
    lua_pushinteger(L, delivery->label.worker);
    lua_pushinteger(L, delivery->label.pid);
    lua_pushstring(L, delivery->label.role == HOST_INBOX_CONTROL   ? "control"
                      : delivery->label.role == HOST_INBOX_BACKEND ? "backend"
                                                                   : "authority");
    lua_call(L, 4, 0);
    return 0;
}

/* fn(exit_code, reason), likewise */
static int deliver_outcome(lua_State *L)
{
    const struct host_inbox_outcome *outcome = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, role.on_reload.ref);
    lua_pushinteger(L, outcome->exit_code);
    lua_pushlstring(L, outcome->reason, strnlen(outcome->reason, HOST_INBOX_REASON_MAX));
    lua_call(L, 2, 0);
    return 0;
}

static void on_inbox(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    lua_State *L = arg;
    struct delivery delivery = { .fd = -1 };
    struct host_inbox_outcome outcome = { 0 };
    enum host_inbox_kind kind = host_inbox_take(fd, &delivery.label, &delivery.fd, &outcome);
    if (kind == HOST_INBOX_END)
        event_del(role.inbox);
    if (kind == HOST_INBOX_OUTCOME && role.on_reload.L && lua_checkstack(L, LUA_MINSTACK)) {
        lua_pushcfunction(L, deliver_outcome);
        lua_pushlightuserdata(L, &outcome);
        lestL_call(L, 1, 0, "reload");
    }
    if (kind != HOST_INBOX_SOCKET)
        return;
    if (lua_checkstack(L, LUA_MINSTACK)) {
        lua_pushcfunction(L, deliver);
        lua_pushlightuserdata(L, &delivery);
        lestL_call(L, 1, 0, "new channel");
    }
    if (delivery.fd >= 0)
        close(delivery.fd);
}

/* process.on_channel(fn): fn(channel, worker, pid, role) for each channel that the supervisor hands out; role
 * says who is at its other end than the worker's, or that it is the backend's */
static int on_channel(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (!role.watchdog || role.inbox)
        return luaL_error(L, "only a role gets channels, and says so once");
    lestL_callback_set(L, 1, &role.on_channel);
    role.inbox = event_new(net_loop_get0_base(lestL_loop(L)), HOST_FD_INBOX, EV_READ | EV_PERSIST, on_inbox,
                           lestL_main(L));
    if (!role.inbox || event_add(role.inbox, NULL) < 0)
        return lestL_no_memory(L);
    return 0;
}

/* process.ask_channel(): the last one has ended */
static int ask_channel(lua_State *L)
{
    (void)L;
    if (role.inbox)
        host_inbox_ask(HOST_FD_INBOX);
    return 0;
}

/* process.reload(fn): have the supervisor read the configuration again; fn(exit_code, reason) is called each
 * time that something came of what was asked for */
static int reload(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (!role.inbox)
        return luaL_error(L, "only a role that gets channels asks for a reload");
    lestL_callback_set(L, 1, &role.on_reload);
    host_inbox_ask(HOST_FD_INBOX);
    return 0;
}

void host_process_end(void)
{
    if (role.inbox)
        event_free(role.inbox);
    role.inbox = NULL;
}

/* process.exec{ "serve", ... }: replace this process by lest with these arguments; returns only on failure */
static int exec(lua_State *L)
{
    struct lest_error err;
    push_arguments(L, 1, true);
    fflush(NULL);
    execve("/proc/self/exe", lua_touserdata(L, -1), environ);
    lest_error_set_errno(&err, LEST_E_IO, errno, "the program cannot be started again");
    return lestL_fail(L, &err);
}

static void leave_role(void)
{
    host_process_set_role(NULL, 0, false);
}

/* process.errand(channel, seconds, fn): see host_errand_start() */
static int errand(lua_State *L)
{
    return host_errand_start(L, leave_role);
}

/* process.program(arguments, options): see program.h */
static int program(lua_State *L)
{
    lua_settop(L, 2);
    luaL_checktype(L, 2, LUA_TTABLE);
    if (lua_isfunction(L, 1) && role.watchdog)
        return luaL_error(L, "a role works in one process");
    if (lua_isfunction(L, 1))
        return host_program_start(L, NULL);
    push_arguments(L, 1, false);
    return host_program_start(L, lua_touserdata(L, -1));
}

/* process.make_clock(path, wall_us): see clock.h */
static int make_clock(lua_State *L)
{
    if (role.watchdog)
        return luaL_error(L, "a role makes no clock");
    return host_clock_make(L);
}

static int get_field(lua_State *L)
{
    struct rlimit limit;
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "pid") == 0) {
        lua_pushinteger(L, getpid());
    } else if (strcmp(key, "uid") == 0) {
        lua_pushinteger(L, geteuid());
    } else if (strcmp(key, "rlimit_nofile") == 0) {
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
            limit.rlim_cur = 0;
        lua_pushinteger(L, limit.rlim_cur > INT32_MAX ? INT32_MAX : (lua_Integer)limit.rlim_cur);
    } else {
        return luaL_error(L, "lest.process has no field '%s'", key);
    }
    return 1;
}

int host_open_process(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "drop", drop },
        { "harden", harden },
        { "own_folder", own_folder },
        { "read_command", read_command },
        { "beat", beat },
        { "keep", keep },
        { "ready", ready },
        { "notify", notify },
        { "on_channel", on_channel },
        { "ask_channel", ask_channel },
        { "reload", reload },
        { "out_of_memory", out_of_memory },
        { "errand", errand },
        { "reap", host_errand_reap },
        { "end_errand", host_errand_end },
        { "exec", exec },
        { "program", program },
        { "make_clock", make_clock },
        { "set_clock", host_clock_set },
        { "clock", host_clock_get },
        { NULL, NULL },
    };
    host_program_register(L);
    luaL_newlib(L, functions);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, get_field);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    return 1;
}
