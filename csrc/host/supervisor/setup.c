#include "host/supervisor/setup.h"

#include "base/log.h"
#include "host/role/page.h"
#include "host/role/snapshot.h"
#include "host/supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static void begin_command(struct command *command, const char *role, const struct host_setup *setup)
{
    memset(command, 0, sizeof *command);
    add(command, "lest");
    add_option(command, "--role", role);
    add_number(command, "--parent", (unsigned)getpid());
    add_number(command, "--generation", setup->number);
    if (setup->options->check)
        add(command, "--check");
    if (lest_log_is_readable())
        add(command, "--readable");
    if (setup->options->clock_fd >= 0)
        add(command, "--clock");
}

void host_setup_init(struct host_setup *setup, const struct host_options *options,
                     struct host_listeners *listeners, unsigned number)
{
    *setup = (struct host_setup){
        .options = options, .listeners = listeners, .number = number, .config_fd = -1, .board_fd = -1
    };
}

void host_setup_free(struct host_setup *setup)
{
    host_listeners_release(setup->listeners, setup->listen, setup->listen_count);
    host_listeners_release(setup->listeners, &setup->metrics, setup->metrics != NULL);
    if (setup->control && host_control_release(setup->control) && setup->listeners->control == setup->control)
        setup->listeners->control = NULL;
    host_page_free(setup->board, setup->board_count * sizeof *setup->board);
    if (setup->board_fd >= 0)
        close(setup->board_fd);
    if (setup->config_fd >= 0)
        close(setup->config_fd);
}

static enum lest_status no_configuration(struct lest_error *err)
{
    return lest_error_set_errno(err, LEST_E_IO, errno, "the configuration cannot be read");
}

enum lest_status host_setup_start_config(const struct host_setup *setup, int *output,
                                         struct host_relay *relay, pid_t *pid, struct lest_error *err)
{
    const struct host_options *options = setup->options;
    struct command command;
    int ends[2], child_end;
    *output = -1;
    begin_command(&command, "config", setup);
    add_option(&command, "--config", options->config);
    for (size_t i = 0; i < options->listen_count; i++)
        add_option(&command, "--listen", options->listen[i]);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return no_configuration(err);
    *output = ends[0];
    enum lest_status status = fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0
                                  ? no_configuration(err)
                                  : host_relay_open(relay, &child_end, err);
    if (!status) {
        const int fds[] = { ends[1], -1, -1, -1, options->clock_fd };
        status = host_spawn(command.argv, fds, sizeof fds / sizeof *fds, child_end, pid, err);
        close(child_end);
        relay->pid = *pid;
        relay->complaint = setup->complaint;
        if (status)
            host_relay_close(relay);
    }
    close(ends[1]);
    return status;
}

/* What asks CAs and issuers elsewhere has credentials for them, and runs what a configuration names: it is
 * neither a worker nor the authority. */
static enum lest_status find_backend_user(const struct host_settings *settings, uid_t user, uid_t authority,
                                          struct lest_error *err)
{
    struct host_user backend;
    if (!settings->backend_user[0])
        return lest_error_set(err, LEST_E_CONFIG,
                              "started as root with a CA or keys of tokens elsewhere, the configuration "
                              "needs backend_user");
    if (host_user_find(settings->backend_user, &backend, err))
        return err->status = LEST_E_CONFIG;
    if (backend.uid == user || backend.uid == authority || backend.uid == 0)
        return lest_error_set(err, LEST_E_CONFIG,
                              "backend_user must be neither user, nor authority_user, nor root");
    return LEST_OK;
}

static enum lest_status find_users(struct host_settings *settings, struct lest_error *err)
{
    struct host_user user, authority;
    if (geteuid() != 0) {
        settings->user[0] = settings->authority_user[0] = settings->backend_user[0] = '\0';
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
    return settings->backend ? find_backend_user(settings, user.uid, authority.uid, err) : LEST_OK;
}

static enum lest_status listen_all(struct host_setup *setup, struct lest_error *err)
{
    struct host_settings *settings = &setup->settings;
    enum lest_status status = host_listeners_acquire(setup->listeners, settings->listen,
                                                     settings->listen_count, setup->listen, err);
    if (status)
        return status;
    setup->listen_count = settings->listen_count;
    if (*settings->metrics)
        status = host_listeners_acquire(setup->listeners, &settings->metrics, 1, &setup->metrics, err);
    if (status)
        setup->metrics = NULL;
    return status;
}

static enum lest_status open_control(struct host_setup *setup, struct lest_error *err)
{
    const struct host_settings *settings = &setup->settings;
    struct host_user owner = { .uid = geteuid() };
    if (host_control_is_idle(&settings->control))
        return LEST_OK;
    if (*settings->authority_user && host_user_find(settings->authority_user, &owner, err))
        return err->status = LEST_E_CONFIG;
    if (setup->options->check)
        return host_control_check(&settings->control, owner.uid, err);
    return host_control_acquire(&settings->control, owner.uid, setup->listeners->control, &setup->control,
                                err);
}

enum lest_status host_setup_publish(struct host_setup *setup, struct lest_error *err)
{
    enum lest_status status = setup->control ? host_control_publish(setup->control, err) : LEST_OK;
    if (!status && setup->control)
        setup->listeners->control = setup->control;
    return status;
}

static enum lest_status make_board(struct host_setup *setup, struct lest_error *err)
{
    void *page;
    setup->board_count = LEST_BOARD_WORKER + setup->settings.workers;
    enum lest_status status = host_page_new("lest-board", setup->board_count * sizeof *setup->board, true,
                                            &page, &setup->board_fd, err);
    setup->board = page;
    return status;
}

enum lest_status host_setup_prepare(struct host_setup *setup, const struct lest_buf *text,
                                    struct lest_error *err)
{
    struct host_settings *settings = &setup->settings;
    enum lest_status status = lest_buf_status(text, err);
    if (!status)
        status = host_settings_parse(text, settings, err);
    if (!status)
        status = find_users(settings, err);
    if (!status)
        status = host_snapshot_new(text->data + settings->config_offset, text->len - settings->config_offset,
                                   &setup->config_fd, err);
    if (!status)
        host_listeners_compare(setup->listeners, settings->listen, settings->listen_count);
    if (!status && !setup->options->check)
        status = listen_all(setup, err);
    if (!status)
        status = open_control(setup, err);
    if (!status)
        status = make_board(setup, err);
    return status;
}

static void add_common(struct command *command, const struct host_setup *setup, const char *user)
{
    add_number(command, "--watchdog", setup->settings.watchdog_s);
    add_number(command, "--drain", setup->settings.drain_s);
    add_number(command, "--workers", setup->settings.workers);
    if (*user)
        add_option(command, "--user", user);
}

static enum lest_status start_child(const struct host_setup *setup, struct command *command, int *fds,
                                    size_t fds_count, struct host_child *child, struct lest_error *err)
{
    enum lest_status status = host_child_start(child, command->argv, fds, fds_count, err);
    /* In a check, to end is what it shall do. */
    child->stopping = setup->options->check;
    if (!setup->options->check)
        child->relay.speaker = child->name;
    child->relay.pid = child->pid;
    child->relay.complaint = setup->complaint;
    if (child->stopping)
        child->kill_ms = child->started_ms + HOST_START_MS;
    return status;
}

enum lest_status host_setup_start_authority(const struct host_setup *setup, struct host_child *child,
                                            struct lest_error *err)
{
    struct command command;
    int fds[] = { -1, setup->config_fd, -1, -1, setup->options->clock_fd };
    begin_command(&command, "authority", setup);
    add_common(&command, setup, setup->settings.authority_user);
    return start_child(setup, &command, fds, sizeof fds / sizeof *fds, child, err);
}

enum lest_status host_setup_start_backend(const struct host_setup *setup, struct host_child *child,
                                          struct lest_error *err)
{
    struct command command;
    int fds[] = { -1, setup->config_fd, -1, -1, setup->options->clock_fd };
    begin_command(&command, "backend", setup);
    add_common(&command, setup, setup->settings.backend_user);
    return start_child(setup, &command, fds, sizeof fds / sizeof *fds, child, err);
}

enum lest_status host_setup_start_tests(const struct host_setup *setup, struct host_child *child,
                                        struct lest_error *err)
{
    struct command command;
    int fds[] = { -1, setup->config_fd, -1, -1, setup->options->clock_fd };
    begin_command(&command, "tests", setup);
    add_common(&command, setup, setup->settings.user);
    enum lest_status status = start_child(setup, &command, fds, sizeof fds / sizeof *fds, child, err);
    /* To end is what it shall do. */
    child->stopping = true;
    child->kill_ms = child->started_ms + HOST_TESTS_MS;
    return status;
}

/* One that listens, and reads the board. */
static enum lest_status start_listening(const struct host_setup *setup, struct command *command,
                                        const char *user, const int *sockets, size_t count,
                                        struct host_child *child, struct lest_error *err)
{
    enum { BEFORE = HOST_FD_LISTEN - HOST_FD_WATCHDOG };
    int fds[BEFORE + HOST_LISTENERS_MAX] = { -1, setup->config_fd,         -1,
                                             -1, setup->options->clock_fd, setup->board_fd };
    add_number(command, "--listeners", (unsigned)count);
    add_common(command, setup, user);
    for (size_t i = 0; i < count; i++)
        fds[BEFORE + i] = sockets[i];
    return start_child(setup, command, fds, BEFORE + count, child, err);
}

enum lest_status host_setup_start_monitor(const struct host_setup *setup, struct host_child *child,
                                          struct lest_error *err)
{
    struct command command;
    begin_command(&command, "monitor", setup);
    return start_listening(setup, &command, setup->settings.user, &setup->metrics->fd, 1, child, err);
}

enum lest_status host_setup_start_control(const struct host_setup *setup, struct host_child *child,
                                          struct lest_error *err)
{
    struct command command;
    begin_command(&command, "control", setup);
    return start_listening(setup, &command, setup->settings.authority_user, &setup->control->fd, 1, child,
                           err);
}

enum lest_status host_setup_start_worker(const struct host_setup *setup, unsigned index,
                                         struct host_child *child, struct lest_error *err)
{
    struct command command;
    int sockets[HOST_LISTENERS_MAX];
    begin_command(&command, "worker", setup);
    add_number(&command, "--index", index + 1);
    for (size_t i = 0; i < setup->listen_count; i++)
        sockets[i] = setup->listen[i]->fd;
    return start_listening(setup, &command, setup->settings.user, sockets, setup->listen_count, child, err);
}
