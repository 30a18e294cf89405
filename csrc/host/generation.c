#include "host/generation.h"

#include "base/log.h"
#include "host/child.h"
#include "host/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    START_MS = 30000,     /* for each child to become ready */
    STOP_MS = 5000,       /* for an authority to finish */
    ABANDON_MS = 2000,    /* for the children of a generation that failed to start */
    DRAIN_MARGIN_MS = 500 /* a worker ends by itself at drain_s */
};

enum { ARGUMENTS_MAX = 32, ARGUMENT_MAX = 16 };

/* The words of a child's command line. */
struct command {
    char *argv[ARGUMENTS_MAX + 2 * HOST_LISTENERS_MAX];
    size_t count;
    char numbers[ARGUMENTS_MAX][ARGUMENT_MAX];
    size_t numbers_count;
};

static void add(struct command *command, const char *word)
{
    /* exec changes none of them. */
    command->argv[command->count++] = (char *)(uintptr_t)word;
}

static void add_option(struct command *command, const char *name, const char *value)
{
    add(command, name);
    add(command, value);
}

static void add_number(struct command *command, const char *name, unsigned value)
{
    char *number = command->numbers[command->numbers_count++];
    snprintf(number, ARGUMENT_MAX, "%u", value);
    add_option(command, name, number);
}

static void begin_command(struct command *command, const char *role, const struct host_generation *generation)
{
    memset(command, 0, sizeof *command);
    add(command, "lest");
    add_option(command, "--role", role);
    add_number(command, "--parent", (unsigned)getpid());
    add_number(command, "--generation", generation->number);
    if (generation->options->check)
        add(command, "--check");
}

static void failed(struct host_generation *generation, int exit_code)
{
    if (!generation->exit_code)
        generation->exit_code = exit_code == 2 ? 2 : 1;
}

static void failed_because(struct host_generation *generation, const struct lest_error *err)
{
    const char *colon = *err->detail ? ": " : "";
    if (generation->options->check)
        fprintf(stderr, "lest serve: %s%s%s\n", err->message, colon, err->detail);
    else
        lest_log(LEST_LOG_ERROR, "start failed", "%s%s%s", err->message, colon, err->detail);
    failed(generation, lest_status_exit_code(err->status));
}

/* --- the config child --- */

static enum lest_status start_config(struct host_generation *generation, struct lest_error *err)
{
    const struct host_options *options = generation->options;
    struct command command;
    int ends[2];
    begin_command(&command, "config", generation);
    add_option(&command, "--config", options->config);
    for (size_t i = 0; i < options->listen_count; i++)
        add_option(&command, "--listen", options->listen[i]);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "the configuration cannot be read");
    generation->output = ends[0];
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
        close(ends[1]);
        return lest_error_set_errno(err, LEST_E_IO, errno, "the configuration cannot be read");
    }
    enum lest_status status = host_child_start(command.argv, &ends[1], 1, &generation->config_pid, err);
    close(ends[1]);
    return status;
}

enum lest_status host_generation_new(const struct host_options *options, struct host_listeners *listeners,
                                     unsigned number, struct host_generation **out, struct lest_error *err)
{
    *out = NULL;
    struct host_generation *generation = calloc(1, sizeof *generation);
    if (!generation)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    generation->options = options;
    generation->listeners = listeners;
    generation->number = number;
    generation->output = generation->config_fd = generation->authority_fd = -1;
    lest_buf_init(&generation->text, HOST_SETTINGS_MAX + HOST_CONFIG_MAX);
    enum lest_status status = start_config(generation, err);
    if (status) {
        host_generation_free(generation);
        return status;
    }
    *out = generation;
    return LEST_OK;
}

static void read_output(struct host_generation *generation)
{
    while (generation->output >= 0) {
        uint8_t *room = lest_buf_reserve(&generation->text, 4096);
        ssize_t got = room ? read(generation->output, room, 4096) : 0;
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got > 0) {
            generation->text.len += (size_t)got;
            continue;
        }
        close(generation->output);
        generation->output = -1;
    }
}

/* --- what the children get --- */

static enum lest_status find_users(struct host_generation *generation, struct lest_error *err)
{
    struct host_settings *settings = &generation->settings;
    struct host_user user, authority;
    generation->worker_uid = generation->authority_uid = geteuid();
    if (geteuid() != 0) {
        settings->user[0] = settings->authority_user[0] = '\0';
        return LEST_OK;
    }
    if (!settings->user[0] || !settings->authority_user[0])
        return lest_error_set(err, LEST_E_CONFIG,
                              "started as root, the configuration needs both user and authority_user");
    if (host_user_find(settings->user, &user, err) ||
        host_user_find(settings->authority_user, &authority, err))
        return err->status = LEST_E_CONFIG;
    if (user.uid == authority.uid)
        return lest_error_set(err, LEST_E_CONFIG, "user and authority_user must differ");
    if (user.uid == 0 || authority.uid == 0)
        return lest_error_set(err, LEST_E_CONFIG, "user and authority_user must not be root");
    generation->worker_uid = user.uid;
    generation->authority_uid = authority.uid;
    return LEST_OK;
}

/* Bound here, so that it outlives an authority that dies; the authority itself calls listen(). The kernel
 * chooses a free abstract name, since nothing is left behind by one. */
static enum lest_status bind_authority(struct host_generation *generation, struct lest_error *err)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    socklen_t len = sizeof name.sun_family;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    generation->authority_fd = fd;
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, len) < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "the authority's socket cannot be made");
    len = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "the authority's socket cannot be made");
    int size = (int)(len - offsetof(struct sockaddr_un, sun_path)) - 1;
    snprintf(generation->authority_address, sizeof generation->authority_address, "@%.*s", size,
             name.sun_path + 1);
    return LEST_OK;
}

static void add_common(struct command *command, const struct host_generation *generation, const char *user,
                       uid_t peer)
{
    add_option(command, "--authority", generation->authority_address);
    add_number(command, "--peer-uid", (unsigned)peer);
    add_number(command, "--watchdog", generation->settings.watchdog_s);
    add_number(command, "--drain", generation->settings.drain_s);
    add_number(command, "--workers", generation->settings.workers);
    if (*user)
        add_option(command, "--user", user);
}

static enum lest_status start_member(struct host_generation *generation, struct host_member *member,
                                     struct command *command, int *fds, size_t fds_count,
                                     struct lest_error *err)
{
    enum lest_status status = host_member_start(member, command->argv, fds, fds_count, err);
    /* In a check, to end is what it shall do. */
    member->stopping = generation->options->check;
    if (member->stopping)
        member->kill_ms = member->started_ms + START_MS;
    return status;
}

static enum lest_status start_authority(struct host_generation *generation, struct lest_error *err)
{
    struct command command;
    int fds[] = { -1, generation->config_fd, generation->authority_fd };
    begin_command(&command, "authority", generation);
    add_common(&command, generation, generation->settings.authority_user, generation->worker_uid);
    return start_member(generation, &generation->authority, &command, fds, 3, err);
}

static enum lest_status start_worker(struct host_generation *generation, unsigned index,
                                     struct lest_error *err)
{
    struct command command;
    int fds[3 + HOST_LISTENERS_MAX] = { -1, generation->config_fd, -1 };
    begin_command(&command, "worker", generation);
    add_number(&command, "--index", index + 1);
    add_number(&command, "--listeners", (unsigned)generation->listen_count);
    add_common(&command, generation, generation->settings.user, generation->authority_uid);
    for (size_t i = 0; i < generation->listen_count; i++)
        fds[3 + i] = generation->listen[i]->fd;
    return start_member(generation, &generation->workers[index], &command, fds, 3 + generation->listen_count,
                        err);
}

static enum lest_status prepare(struct host_generation *generation, struct lest_error *err)
{
    struct host_settings *settings = &generation->settings;
    enum lest_status status = lest_buf_status(&generation->text, err);
    if (status || (status = host_settings_parse(&generation->text, settings, err)) ||
        (status = find_users(generation, err)) ||
        (status =
             host_sealed_new(generation->text.data + settings->config_offset,
                             generation->text.len - settings->config_offset, &generation->config_fd, err)) ||
        (status = bind_authority(generation, err)))
        return status;
    if (!generation->options->check) {
        status = host_listeners_acquire(generation->listeners, settings->listen, settings->listen_count,
                                        generation->listen, err);
        if (status)
            return status;
        generation->listen_count = settings->listen_count;
    }
    snprintf(generation->authority.name, sizeof generation->authority.name, "authority");
    return start_authority(generation, err);
}

static void step_configuring(struct host_generation *generation, int64_t now_ms)
{
    struct lest_error err;
    if (!generation->deadline_ms)
        generation->deadline_ms = now_ms + START_MS;
    read_output(generation);
    if (generation->config_pid && now_ms >= generation->deadline_ms) {
        lest_error_set(&err, LEST_E_CONFIG, "the configuration took too long");
        failed_because(generation, &err);
        host_generation_stop(generation, now_ms, true);
    }
    if (generation->config_pid || (generation->output >= 0 && now_ms < generation->deadline_ms))
        return;
    if (!WIFEXITED(generation->config_status) || WEXITSTATUS(generation->config_status) != 0) {
        /* It has said why. */
        failed(generation, WIFEXITED(generation->config_status) ? WEXITSTATUS(generation->config_status) : 1);
        host_generation_stop(generation, now_ms, true);
        return;
    }
    generation->state = HOST_GENERATION_STARTING;
    if (prepare(generation, &err)) {
        failed_because(generation, &err);
        host_generation_stop(generation, now_ms, true);
    }
}

/* --- starting and serving --- */

static void start_workers(struct host_generation *generation, int64_t now_ms)
{
    struct lest_error err;
    unsigned wanted = generation->options->check ? 1 : generation->settings.workers;
    for (unsigned i = 0; i < wanted; i++) {
        struct host_member *worker = &generation->workers[i];
        snprintf(worker->name, sizeof worker->name, "worker %u", i + 1);
        generation->workers_count = i + 1;
        if (!start_worker(generation, i, &err))
            continue;
        failed_because(generation, &err);
        host_generation_stop(generation, now_ms, false);
        return;
    }
}

static void step_starting(struct host_generation *generation, int64_t now_ms)
{
    /* A check ends with its children: see host_generation_ended(). */
    if (generation->options->check || !host_member_is_ready(&generation->authority))
        return;
    if (!generation->workers_count) {
        start_workers(generation, now_ms);
        return;
    }
    for (unsigned i = 0; i < generation->workers_count; i++)
        if (!host_member_is_ready(&generation->workers[i]))
            return;
    generation->state = HOST_GENERATION_SERVING;
}

static void restart(struct host_generation *generation, int64_t now_ms)
{
    struct lest_error err;
    struct host_member *authority = &generation->authority;
    if (!authority->pid && now_ms >= authority->restart_ms && start_authority(generation, &err)) {
        lest_log(LEST_LOG_ERROR, "restart failed", "authority: %s %s", err.message, err.detail);
        authority->restart_ms = now_ms + 1000;
    }
    for (unsigned i = 0; generation->state == HOST_GENERATION_SERVING && i < generation->workers_count; i++) {
        struct host_member *worker = &generation->workers[i];
        if (!worker->pid && now_ms >= worker->restart_ms && start_worker(generation, i, &err)) {
            lest_log(LEST_LOG_ERROR, "restart failed", "%s: %s %s", worker->name, err.message, err.detail);
            worker->restart_ms = now_ms + 1000;
        }
    }
}

static bool workers_are_gone(const struct host_generation *generation)
{
    for (unsigned i = 0; i < generation->workers_count; i++)
        if (generation->workers[i].pid)
            return false;
    return true;
}

static void step_stopping(struct host_generation *generation, int64_t now_ms)
{
    if (generation->state == HOST_GENERATION_DRAINING && workers_are_gone(generation)) {
        generation->state = HOST_GENERATION_STOPPING;
        host_member_stop(&generation->authority, now_ms + (generation->exit_code ? ABANDON_MS : STOP_MS));
    }
    if (generation->state == HOST_GENERATION_STOPPING && !generation->authority.pid &&
        !generation->config_pid && workers_are_gone(generation))
        generation->state = HOST_GENERATION_GONE;
}

static void watch_members(struct host_generation *generation, int64_t now_ms, bool trusted)
{
    int64_t watchdog_ms = trusted ? (int64_t)generation->settings.watchdog_s * 1000 : 0;
    int64_t start_ms = trusted ? START_MS : INT64_MAX;
    host_member_watch(&generation->authority, now_ms, start_ms, watchdog_ms);
    for (unsigned i = 0; i < generation->workers_count; i++)
        host_member_watch(&generation->workers[i], now_ms, start_ms, watchdog_ms);
}

void host_generation_step(struct host_generation *generation, int64_t now_ms, bool trusted)
{
    watch_members(generation, now_ms, trusted);
    if (generation->state == HOST_GENERATION_CONFIGURING)
        step_configuring(generation, now_ms);
    if (generation->state == HOST_GENERATION_STARTING)
        step_starting(generation, now_ms);
    step_stopping(generation, now_ms);
    if (generation->state == HOST_GENERATION_SERVING ||
        (generation->state == HOST_GENERATION_DRAINING && !generation->exit_code))
        restart(generation, now_ms);
}

static struct host_member *find_member(struct host_generation *generation, pid_t pid)
{
    if (generation->authority.pid == pid)
        return &generation->authority;
    for (unsigned i = 0; i < generation->workers_count; i++)
        if (generation->workers[i].pid == pid)
            return &generation->workers[i];
    return NULL;
}

static void ended_while_starting(struct host_generation *generation, const struct host_member *member,
                                 int exit_code, int64_t now_ms)
{
    if (generation->options->check && exit_code == 0) {
        if (member == &generation->authority)
            start_workers(generation, now_ms);
        else
            host_generation_stop(generation, now_ms, false);
        return;
    }
    failed(generation, exit_code);
    host_generation_stop(generation, now_ms, false);
}

bool host_generation_ended(struct host_generation *generation, pid_t pid, int wait_status, int64_t now_ms)
{
    if (pid == generation->config_pid) {
        generation->config_pid = 0;
        generation->config_status = wait_status;
        return true;
    }
    struct host_member *member = find_member(generation, pid);
    if (!member)
        return false;
    int exit_code = host_member_ended(member, wait_status, now_ms);
    if (generation->state == HOST_GENERATION_STARTING)
        ended_while_starting(generation, member, exit_code, now_ms);
    return true;
}

void host_generation_stop(struct host_generation *generation, int64_t now_ms, bool kill_now)
{
    int64_t drain_ms = kill_now ? 0
                       : generation->exit_code
                           ? ABANDON_MS
                           : (int64_t)generation->settings.drain_s * 1000 + DRAIN_MARGIN_MS;
    if (generation->config_pid)
        kill(generation->config_pid, SIGKILL);
    if (generation->state < HOST_GENERATION_DRAINING)
        generation->state = HOST_GENERATION_DRAINING;
    for (unsigned i = 0; i < generation->workers_count; i++) {
        host_member_stop(&generation->workers[i], now_ms + drain_ms);
        if (kill_now)
            generation->workers[i].kill_ms = now_ms;
    }
    if (kill_now && generation->state == HOST_GENERATION_DRAINING)
        generation->state = HOST_GENERATION_STOPPING;
    if (generation->state == HOST_GENERATION_STOPPING)
        host_member_stop(&generation->authority, now_ms + (kill_now ? ABANDON_MS : STOP_MS));
}

void host_generation_free(struct host_generation *generation)
{
    if (!generation)
        return;
    host_listeners_release(generation->listeners, generation->listen, generation->listen_count);
    if (generation->output >= 0)
        close(generation->output);
    if (generation->config_fd >= 0)
        close(generation->config_fd);
    if (generation->authority_fd >= 0)
        close(generation->authority_fd);
    lest_buf_free(&generation->text);
    free(generation);
}
