#include "host/role/role.h"

#include "base/clock.h"
#include "base/clock_file.h"
#include "base/log.h"
#include "base/meter.h"
#include "host/role/interpreter.h"
#include "host/role/log_wait.h"
#include "host/role/memory.h"
#include "host/role/page.h"
#include "host/role/parent.h"
#include "host/role/process.h"
#include "host/role/snapshot.h"
#include "host/role/usage.h"
#include "lua/binding.h"
#include "lua/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* LOG_WAIT_MS  for the supervisor, which always reads: the wait is for one that is stopped or very busy */
enum { BEAT_MS = 500, LOG_WAIT_MS = 250, ORPHAN_MARGIN_MS = 5000, ALARM_MARGIN_S = 5 };

struct role {
    const char *name;
    const char *module;
    const char *const *fields; /* of lest.core */
    bool listens;
    const char *config; /* path, for the config role */
    const char *listen[HOST_LISTENERS_MAX];
    unsigned listen_count;
    const char *user;
    unsigned parent, generation, index, listeners, workers, watchdog_s, drain_s;
    bool check;
    bool readable; /* the log is for people */
    bool clock;    /* there is an injected one */
    struct host_watchdog *watchdog;
    struct event *heartbeat;
    int64_t orphan_since_ms;
};

/* What each role's Lua can reach of lest.core: the code of the table in SECURITY.md. The configuration's own
 * Lua gets what its schema asks; the authority has no network; a worker, with a policy in it, has no ledger,
 * no issuer and no pool; the monitor has neither these nor a key; the backend has what a client of CAs takes;
 * the control role has what operators'
 * commands take, no issuer and no network. What runs the policies' specs has all: these make keys and
 * certificates of their own, and there is nothing else for them to use. */
static const char *const config_fields[] = { "base64", "csrattrs", "error", "est", "file",   "json", "jose",
                                             "key",    "log",      "name",  "san", "server", NULL };
static const char *const authority_fields[] = {
    "base64", "cert",           "channel", "clock", "cmc",    "crl",    "csr",   "envelope", "error", "file",
    "issuer", "jose",           "json",    "key",   "ledger", "log",    "loop",  "message",  "meter", "name",
    "ocsp",   "ocsp_responder", "pool",    "san",   "sealed", "secret", "store", "system",   "utf8",  NULL
};
static const char *const worker_fields[] = { "base64", "cert",        "channel",  "clock",  "cmc",    "crl",
                                             "csr",    "csrattrs",    "envelope", "error",  "est",    "file",
                                             "http",   "http_client", "json",     "key",    "limit",  "log",
                                             "lookup", "loop",        "message",  "meter",  "name",   "ocsp",
                                             "pkcs7",  "san",         "sealed",   "secret", "server", "store",
                                             "tls",    "utf8",        NULL };
static const char *const backend_fields[] = { "base64", "cert",  "channel", "clock",   "cmc",         "crl",
                                              "csr",    "error", "file",    "http",    "http_client", "json",
                                              "key",    "log",   "loop",    "message", "meter",       "name",
                                              "pem",    "pkcs7", "san",     "secret",  "store",       "est",
                                              "tls",    "utf8",  NULL };
static const char *const monitor_fields[] = { "cert", "clock", "crl",   "error",  "file", "json",
                                              "log",  "loop",  "meter", "server", "utf8", NULL };

static const char *const control_fields[] = { "base64",   "cert",   "channel", "clock", "crl",    "csr",
                                              "csrattrs", "error",  "file",    "json",  "key",    "ledger",
                                              "door",     "log",    "loop",    "meter", "name",   "ocsp",
                                              "pem",      "pkcs7",  "pool",    "san",   "secret", "show",
                                              "store",    "system", "utf8",    NULL };

static const struct {
    const char *name;
    const char *module;
    const char *const *fields;
    bool listens; /* has sockets, and the board */
} roles[] = { { "config", "lest.server.config.role", config_fields, false },
              { "authority", "lest.server.authority.role", authority_fields, false },
              { "backend", "lest.server.backend.role", backend_fields, false },
              { "control", "lest.server.control.role", control_fields, true },
              { "monitor", "lest.server.monitor.role", monitor_fields, true },
              { "tests", "lest.server.tests.role", NULL, false },
              { "worker", "lest.server.worker.role", worker_fields, true } };

static bool parse_number(const char *text, unsigned *out)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *out = (unsigned)value;
    return *text >= '0' && *text <= '9' && !*end && !errno && value == *out;
}

static bool set_option(struct role *role, const char *name, const char *value)
{
    const struct {
        const char *name;
        unsigned *number;
        const char **text;
    } options[] = {
        { "--parent", &role->parent, NULL },       { "--generation", &role->generation, NULL },
        { "--index", &role->index, NULL },         { "--listeners", &role->listeners, NULL },
        { "--watchdog", &role->watchdog_s, NULL }, { "--drain", &role->drain_s, NULL },
        { "--config", NULL, &role->config },       { "--user", NULL, &role->user },
        { "--workers", &role->workers, NULL },
    };
    if (strcmp(name, "--listen") == 0 && role->listen_count < HOST_LISTENERS_MAX) {
        role->listen[role->listen_count++] = value;
        return true;
    }
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (strcmp(options[i].name, name) != 0)
            continue;
        if (options[i].number)
            return parse_number(value, options[i].number);
        if (options[i].text)
            *options[i].text = value;
        return true;
    }
    return false;
}

static bool parse(struct role *role, int argc, char **argv)
{
    memset(role, 0, sizeof *role);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (argc > 2 && strcmp(argv[2], roles[i].name) == 0) {
            role->name = roles[i].name;
            role->module = roles[i].module;
            role->fields = roles[i].fields;
            role->listens = roles[i].listens;
        }
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0)
            role->check = true;
        else if (strcmp(argv[i], "--readable") == 0)
            role->readable = true;
        else if (strcmp(argv[i], "--clock") == 0)
            role->clock = true;
        else if (i + 1 == argc || !set_option(role, argv[i], argv[i + 1]))
            return false;
        else
            i++;
    }
    return role->name && role->parent && role->listeners <= HOST_LISTENERS_MAX;
}

static bool is_worker(const struct role *role)
{
    return role->index > 0;
}

static bool is_config(const struct role *role)
{
    return role->config != NULL;
}

/* While there is a supervisor, its watchdog judges; a role that is stuck when there is none ends here. */
static pid_t followed;
static unsigned alarm_s;

static void on_alarm(int number)
{
    (void)number;
    if (getppid() != followed)
        _exit(1);
    alarm(alarm_s);
}

/* A turning loop is a living one. */
static void on_heartbeat(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct role *role = arg;
    host_watchdog_beat(role->watchdog);
    host_memory_trim();
    host_usage_measure(lest_clock_monotonic_ms());
    if (alarm_s)
        alarm(alarm_s);
    if (getppid() == followed)
        return;
    int64_t now_ms = lest_clock_monotonic_ms();
    if (!role->orphan_since_ms)
        role->orphan_since_ms = now_ms;
    if (now_ms - role->orphan_since_ms > (int64_t)role->drain_s * 1000 + ORPHAN_MARGIN_MS) {
        lest_log_flush();
        _exit(1);
    }
}

static void start_heartbeat(lua_State *L, struct role *role)
{
    struct timeval every = { 0, BEAT_MS * 1000 };
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    followed = (pid_t)role->parent;
    alarm_s = role->watchdog_s ? role->watchdog_s * 2 + ALARM_MARGIN_S : 0;
    sigaction(SIGALRM, &action, NULL);
    host_usage_measure(lest_clock_monotonic_ms());
    role->heartbeat = event_new(net_loop_get0_base(lestL_loop(L)), -1, EV_PERSIST, on_heartbeat, role);
    net_loop_hold_log(lestL_loop(L));
    if (!role->heartbeat || event_add(role->heartbeat, &every) < 0)
        lestL_no_memory(L);
    if (alarm_s)
        alarm(alarm_s); /* it may be stuck before its first beat */
}

static void set_integer(lua_State *L, const char *key, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, key);
}

static void set_string(lua_State *L, const char *key, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

static void push_config_launch(lua_State *L, const struct role *role)
{
    set_string(L, "path", role->config);
    lua_newtable(L);
    for (unsigned i = 0; i < role->listen_count; i++) {
        lua_pushstring(L, role->listen[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "listen");
    if (!lestL_open_stream(lestL_push_stream(L), HOST_FD_OUTPUT, "w"))
        luaL_error(L, "nobody waits for the configuration");
    lua_setfield(L, -2, "output");
}

/* config: the JSON; files: the texts that it names, by their paths */
static void push_config(lua_State *L)
{
    struct lest_error err;
    struct host_snapshot_file file;
    const char *data, *at = NULL;
    size_t size;
    if (host_snapshot_attach(HOST_FD_CONFIG, &data, &size, &err))
        luaL_error(L, "%s", err.message);
    set_string(L, "config", data);
    lua_newtable(L);
    while (host_snapshot_next(data, size, &at, &file)) {
        lua_pushlstring(L, file.bytes, file.size);
        lua_setfield(L, -2, file.path);
    }
    lua_setfield(L, -2, "files");
    host_snapshot_free(data, size);
}

static void push_server_launch(lua_State *L, const struct role *role)
{
    push_config(L);
    set_integer(L, "workers", role->workers);
    if (!role->listens)
        return;
    lua_newtable(L);
    for (unsigned i = 0; i < role->listeners; i++) {
        lua_pushinteger(L, HOST_FD_LISTEN + (lua_Integer)i);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "listen_fds");
}

static int run(lua_State *L)
{
    struct role *role = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushstring(L, role->module);
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "main");
    lua_newtable(L);
    set_string(L, "role", role->name);
    set_integer(L, "generation", role->generation);
    set_integer(L, "index", role->index);
    lua_pushboolean(L, role->check);
    lua_setfield(L, -2, "check");
    set_string(L, "user", role->user);
    if (is_config(role)) {
        push_config_launch(L, role);
    } else {
        push_server_launch(L, role);
        start_heartbeat(L, role);
    }
    lua_call(L, 1, 1);
    if (!lua_isinteger(L, -1))
        return luaL_error(L, "%s.main returned no exit code", role->module);
    return 1;
}

static int traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static int interpret(struct role *role)
{
    int code = 1;
    lua_State *L = host_interpreter_new(NULL, role->fields);
    if (!L)
        return 1;
    lua_pushcfunction(L, traceback);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, role);
    if (lua_pcall(L, 1, 1, -3) == LUA_OK)
        code = (int)lua_tointeger(L, -1);
    else
        lest_log(LEST_LOG_ERROR, "role failed", "%s", lua_tostring(L, -1));
    if (role->heartbeat)
        event_free(role->heartbeat);
    role->heartbeat = NULL;
    host_process_end();
    lua_close(L);
    return code;
}

/* What the supervisor passed is for this process alone, not for what a policy starts. */
static bool take_descriptors(const struct role *role)
{
    int last = is_config(role) ? HOST_FD_OUTPUT
               : role->listens ? HOST_FD_LISTEN + (int)role->listeners - 1
                               : HOST_FD_METERS;
    for (int fd = HOST_FD_OUTPUT; fd <= last; fd++)
        if (fd != HOST_FD_CLOCK && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            return false;
    return true;
}

/* Before anything is dated. */
static enum lest_status follow_clock(const struct role *role, struct lest_error *err)
{
    enum lest_status status = role->clock ? lest_clock_file_follow(HOST_FD_CLOCK, err) : LEST_OK;
    if (role->clock)
        close(HOST_FD_CLOCK);
    return status;
}

/* The memory that it shares with the supervisor. */
static enum lest_status attach(struct role *role, struct lest_error *err)
{
    void *page;
    size_t size = 0;
    enum lest_status status = host_watchdog_attach(HOST_FD_WATCHDOG, &role->watchdog, err);
    if (!status)
        status = host_page_attach(HOST_FD_METERS, false, &page, &size, err);
    if (!status)
        lest_meters_use(page);
    if (!status && role->listens)
        status = host_page_attach(HOST_FD_BOARD, true, &page, &size, err);
    if (!status && role->listens)
        lest_board_use(page, size / sizeof(struct lest_meters));
    return status;
}

int host_role_main(int argc, char **argv)
{
    struct role role;
    struct lest_error err;
    char name[32];
    host_memory_tune();
    if (!parse(&role, argc, argv) || !take_descriptors(&role)) {
        fputs("lest: roles are started by lest serve\n", stderr);
        return 2;
    }
    host_parent_follow((pid_t)role.parent);
    snprintf(name, sizeof name, is_worker(&role) ? "%s %u" : "%s", role.name, role.index);
    lest_log_set_role(name);
    lest_log_set_readable(role.readable);
    host_log_wait(LOG_WAIT_MS);
    if (role.check)
        lest_log_set_level(LEST_LOG_WARNING);
    if (follow_clock(&role, &err)) {
        lest_log(LEST_LOG_ERROR, "role failed", "%s", err.message);
        return 1;
    }
    if (!is_config(&role) && attach(&role, &err)) {
        lest_log(LEST_LOG_ERROR, "role failed", "%s", err.message);
        return 1;
    }
    host_process_set_role(role.watchdog, (pid_t)role.parent, geteuid() == 0);
    int code = interpret(&role);
    fflush(NULL);
    lest_log_flush();
    /* Not exit(): a hardened process cannot be traced, which the leak checker of a sanitizer build needs. */
    _exit(code);
}
