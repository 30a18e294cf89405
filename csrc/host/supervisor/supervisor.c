#include "host/supervisor/supervisor.h"

#include "base/clock.h"
#include "base/clock_file.h"
#include "base/log.h"
#include "base/meter.h"
#include "host/role/log_wait.h"
#include "host/role/notify.h"
#include "host/role/usage.h"
#include "host/supervisor/generation.h"
#include "host/supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* LAST_WAIT_MS  for who reads the log, at the end */
enum { BUSY_MS = 20, QUIET_MS = 500, LATE_MS = 2000, GRACE_MS = 3000, LAST_WAIT_MS = 1000 };

struct supervisor {
    struct host_options options;
    struct host_listeners listeners;
    struct host_generation *current;
    struct host_generation *next; /* starting */
    struct host_generation *old;  /* draining */
    unsigned generations;
    int signals;
    bool reload;
    bool reload_asked; /* by the control role, which wants to know what comes of it */
    bool is_answer;    /* next is what comes of it */
    bool stopping;
    bool stopped; /* the generations were told */
    int64_t stop_ms;
    int interrupts;
    int64_t last_ms;
    int64_t distrust_until_ms;
};

static bool parse_options(struct host_options *options, const char **clock, int argc, char **argv)
{
    for (int i = 3; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--check") == 0) {
            options->check = true;
            continue;
        }
        if (strcmp(argv[i], "--config") == 0 && value)
            options->config = value;
        else if (strcmp(argv[i], "--clock") == 0 && value)
            *clock = value;
        else if (strcmp(argv[i], "--listen") == 0 && value && options->listen_count < HOST_LISTENERS_MAX)
            options->listen[options->listen_count++] = value;
        else
            return false;
        i++;
    }
    return options->config != NULL;
}

/* Nothing that was open before may reach a child, but for sockets that were passed; 0 to 2 must be something,
 * so that no socket becomes them.
 */
static bool tidy_descriptors(struct host_passed *passed)
{
    int fd, first = host_passed_take(passed);
    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    return fd >= 0 && host_spawn_close_from(first);
}

/* For more connections of a worker; and here for three descriptors of each child, twice in a reload. */
static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* The open pipe or terminal behind standard error is often shared, with a shell or with other services. With
 * one of its own, the supervisor never waits for who reads it, and changes nothing for the others. A socket
 * (journald) cannot be opened again: there, looking before each write has to do. A file stays as it came: no
 * write to it waits for a reader, and all who share it write at one offset, so that none writes over what
 * another has written. No other process of the server writes there, so that nothing is to be appended. */
static void take_standard_error(void)
{
    struct stat info;
    bool is_file = fstat(STDERR_FILENO, &info) == 0 && S_ISREG(info.st_mode);
    int fd = is_file ? -1 : open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0) {
        dup2(fd, STDERR_FILENO);
        close(fd);
    }
    host_log_wait(0);
}

/* Never in production: who can set the clock says which certificates are valid. */
static bool follow_clock(struct host_options *options, const char *path)
{
    struct lest_error err;
    options->clock_fd = -1;
    if (!path)
        return true;
    if (lest_clock_file_open(path, &options->clock_fd, &err) ||
        lest_clock_file_follow(options->clock_fd, &err)) {
        lest_log(LEST_LOG_ERROR, "start failed", "%s %s", err.message, err.detail);
        return false;
    }
    lest_log(LEST_LOG_WARNING, "injected clock",
             "time is what %s says: for simulations, never for a server that others rely on", path);
    return true;
}

/* SIGCHLD and the signals of an operator become readable, so that the loop has one place to wait. */
static int take_signals(void)
{
    sigset_t taken;
    sigemptyset(&taken);
    sigaddset(&taken, SIGTERM);
    sigaddset(&taken, SIGINT);
    sigaddset(&taken, SIGHUP);
    sigaddset(&taken, SIGCHLD);
    sigprocmask(SIG_SETMASK, &taken, NULL);
    /* Ignored (as nohup leaves SIGHUP), a signal would not arrive; and children would reap themselves. */
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    return signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
}

static enum lest_status start_next(struct supervisor *supervisor)
{
    struct lest_error err;
    enum lest_status status = host_generation_new(&supervisor->options, &supervisor->listeners,
                                                  supervisor->generations + 1, &supervisor->next, &err);
    if (status)
        lest_log(LEST_LOG_ERROR, "start failed", "%s %s", err.message, err.detail);
    else
        supervisor->generations++;
    return status;
}

static void stop_all(struct supervisor *supervisor, int64_t now_ms, bool kill_now)
{
    supervisor->stopped = true;
    if (supervisor->next)
        host_generation_stop(supervisor->next, now_ms, kill_now);
    if (supervisor->current) {
        host_listeners_close(supervisor->current->setup.listen, supervisor->current->setup.listen_count);
        host_generation_stop(supervisor->current, now_ms, kill_now);
    }
    if (supervisor->old && kill_now)
        host_generation_stop(supervisor->old, now_ms, true);
}

/* Who asks for its health hears of it at once; a balancer that shall look elsewhere first is given the time
 * to ask. A person at a terminal is not kept waiting. */
static void begin_stop(struct supervisor *supervisor, uint32_t number, int64_t now_ms)
{
    const struct host_generation *current = supervisor->current;
    unsigned delay_s = current && number == SIGTERM ? current->setup.settings.shutdown_delay_s : 0;
    lest_log(LEST_LOG_INFO, "stopping", "received %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
    supervisor->stopping = true;
    supervisor->stop_ms = now_ms + (int64_t)delay_s * 1000;
    lest_meter_set(lest_meter_key(LEST_METER_STOPPING, 0, 0, 0, 0), 1);
    if (supervisor->current)
        supervisor->current->children.copied_ms = 0;
    host_notify_stopping();
}

static void on_signal(struct supervisor *supervisor, uint32_t number, int64_t now_ms)
{
    if (number == SIGHUP)
        supervisor->reload = true;
    if (number != SIGTERM && number != SIGINT)
        return;
    if (number == SIGINT)
        supervisor->interrupts++;
    if (!supervisor->stopping)
        begin_stop(supervisor, number, now_ms);
    else if (number == SIGINT && !supervisor->stopped)
        supervisor->stop_ms = now_ms;
    /* Pressed twice, ^C means now. */
    if (supervisor->interrupts > 1)
        stop_all(supervisor, now_ms, true);
}

static void read_signals(struct supervisor *supervisor, int64_t now_ms)
{
    struct signalfd_siginfo info;
    while (read(supervisor->signals, &info, sizeof info) == (ssize_t)sizeof info)
        on_signal(supervisor, info.ssi_signo, now_ms);
}

static void reap(struct supervisor *supervisor, int64_t now_ms)
{
    struct host_generation *all[] = { supervisor->current, supervisor->next, supervisor->old };
    int wait_status;
    siginfo_t ended;
    for (;;) {
        /* Each child leads a group of its own. What is left in it, as what a policy's spec has started, ends
         * with it, while nobody else can have its number. */
        ended.si_pid = 0;
        if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) < 0 || !ended.si_pid)
            return;
        pid_t pid = ended.si_pid;
        kill(-pid, SIGKILL);
        if (waitpid(pid, &wait_status, WNOHANG) <= 0)
            return;
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            if (all[i] && host_generation_ended(all[i], pid, wait_status, now_ms))
                break;
    }
}

/* The addresses of these sockets, with the ports that they have. Returns the length. */
enum { ADDRESSES_SIZE = HOST_LISTENERS_MAX * (HOST_ADDRESS_MAX + 1) };
static size_t write_addresses(struct host_listener *const *sockets, size_t count, char text[ADDRESSES_SIZE])
{
    size_t used = 0;
    *text = '\0';
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, ADDRESSES_SIZE - used, "%s%s", i ? " " : "", sockets[i]->bound);
    return used;
}

static void say_ready(const struct host_generation *generation)
{
    const struct host_setup *setup = &generation->setup;
    size_t plain = setup->settings.plain_count, others = setup->listen_count - plain, count = 3;
    char listen[ADDRESSES_SIZE], listen_http[ADDRESSES_SIZE];
    size_t listen_len = write_addresses(setup->listen, others, listen);
    size_t http_len = write_addresses(setup->listen + others, plain, listen_http);
    struct lest_log_field fields[5] = {
        lest_log_bytes("listen", listen, listen_len),
        lest_log_integer("generation", setup->number),
        lest_log_integer("workers", generation->children.workers_count),
    };
    if (plain)
        fields[count++] = lest_log_bytes("listen_http", listen_http, http_len);
    if (setup->metrics)
        fields[count++] = lest_log_text("metrics", setup->metrics->bound);
    lest_log_write(LEST_LOG_INFO, "ready", fields, count);
    host_notify_ready(listen);
}

/* What the metrics tell of the last start or reload. */
static void note_reload(bool ok)
{
    lest_meter_set(lest_meter_key(LEST_METER_RELOAD_OK, 0, 0, 0, 0), ok);
    if (ok)
        lest_meter_set(lest_meter_key(LEST_METER_RELOADED_S, 0, 0, 0, 0), (uint64_t)(lest_clock_wall_s()));
}

/* What came of it, to who asked: the control role of the generation that was there. */
static void answer(struct supervisor *supervisor, const struct host_generation *generation, int exit_code,
                   const char *reason)
{
    if (supervisor->is_answer && generation)
        host_generation_tell(generation, exit_code, reason);
    supervisor->is_answer = false;
}

static void say_reload_failed(struct supervisor *supervisor, int exit_code, const char *reason)
{
    answer(supervisor, supervisor->current, exit_code ? exit_code : 1, reason);
    note_reload(false);
    lest_log(LEST_LOG_ERROR, "reload failed", "the configuration before it stays in use");
    host_notify_ready("reload failed: the configuration before it stays in use");
}

/* What follows from the states of the generations. False: nothing is left to run; *exit_code is set. */
static bool settle(struct supervisor *supervisor, int64_t now_ms, int *exit_code)
{
    if (supervisor->next && supervisor->next->state == HOST_GENERATION_SERVING) {
        supervisor->old = supervisor->current;
        supervisor->current = supervisor->next;
        supervisor->next = NULL;
        say_ready(supervisor->current);
        note_reload(true);
        if (supervisor->old)
            host_generation_supersede(supervisor->old, now_ms);
        /* Its workers were told to accept no more. */
        answer(supervisor, supervisor->old, 0, "");
    }
    if (supervisor->next && supervisor->next->state == HOST_GENERATION_GONE) {
        *exit_code = supervisor->stopping ? 0 : supervisor->next->exit_code;
        if (supervisor->current && !supervisor->stopping)
            say_reload_failed(supervisor, supervisor->next->exit_code, supervisor->next->complaint);
        host_generation_free(supervisor->next);
        supervisor->next = NULL;
    }
    if (supervisor->old && supervisor->old->state == HOST_GENERATION_GONE) {
        host_generation_free(supervisor->old);
        supervisor->old = NULL;
    }
    if (supervisor->current && supervisor->current->state == HOST_GENERATION_GONE) {
        host_generation_free(supervisor->current);
        supervisor->current = NULL;
        *exit_code = 0;
    }
    if (supervisor->reload && supervisor->current && !supervisor->next && !supervisor->old &&
        !supervisor->stopping) {
        supervisor->reload = false;
        supervisor->is_answer = supervisor->reload_asked;
        supervisor->reload_asked = false;
        lest_log(LEST_LOG_INFO, "reloading", "%s", supervisor->options.config);
        host_notify_reloading();
        if (start_next(supervisor))
            say_reload_failed(supervisor, 1, "no process could be started");
    }
    return supervisor->current || supervisor->next || supervisor->old;
}

static void step(struct supervisor *supervisor, int64_t now_ms)
{
    struct host_generation *all[] = { supervisor->current, supervisor->next, supervisor->old };
    host_usage_measure(now_ms);
    if (now_ms - supervisor->last_ms > LATE_MS)
        supervisor->distrust_until_ms = now_ms + GRACE_MS;
    supervisor->last_ms = now_ms;
    host_listeners_restore(&supervisor->listeners);
    if (supervisor->current && host_generation_asks(supervisor->current))
        supervisor->reload = supervisor->reload_asked = true;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            host_generation_step(all[i], now_ms, now_ms >= supervisor->distrust_until_ms);
    /* The board has said so by now. */
    if (supervisor->stopping && !supervisor->stopped && now_ms >= supervisor->stop_ms)
        stop_all(supervisor, now_ms, false);
    host_notify_turn(now_ms, supervisor->next && host_generation_is_late(supervisor->next));
}

static bool is_quiet(const struct supervisor *supervisor)
{
    const struct host_generation *generation = supervisor->current;
    if (!generation || supervisor->next || supervisor->old || supervisor->stopping ||
        !generation->children.authority.pid)
        return false;
    for (unsigned i = 0; i < generation->children.workers_count; i++)
        if (!generation->children.workers[i].pid)
            return false;
    return true;
}

static void wait_for_something(const struct supervisor *supervisor)
{
    const struct host_generation *all[] = { supervisor->current, supervisor->next, supervisor->old };
    struct pollfd waits[2 + 3 * HOST_GENERATION_WAITS_MAX] = {
        { .fd = supervisor->signals, .events = POLLIN },
        { .fd = lest_log_is_waiting() ? STDERR_FILENO : -1, .events = POLLOUT },
    };
    size_t count = 2;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            count += host_generation_waits(all[i], waits + count);
    poll(waits, count, is_quiet(supervisor) ? QUIET_MS : BUSY_MS);
    lest_log_flush();
}

static int run(struct supervisor *supervisor)
{
    int exit_code = 0;
    while (settle(supervisor, lest_clock_monotonic_ms(), &exit_code)) {
        wait_for_something(supervisor);
        int64_t now_ms = lest_clock_monotonic_ms();
        read_signals(supervisor, now_ms);
        reap(supervisor, now_ms);
        step(supervisor, now_ms);
    }
    return exit_code;
}

int host_supervisor_main(int argc, char **argv)
{
    struct supervisor supervisor = { .signals = -1 };
    const char *clock = NULL;
    lest_log_set_role("supervisor");
    if (!parse_options(&supervisor.options, &clock, argc, argv)) {
        fputs("usage: lest serve [CONFIG] [--listen ADDRESS:PORT]... [--check]\n", stderr);
        return 2;
    }
    if (supervisor.options.check)
        lest_log_set_level(LEST_LOG_WARNING);
    if (!tidy_descriptors(&supervisor.listeners.passed) || (supervisor.signals = take_signals()) < 0) {
        lest_log(LEST_LOG_ERROR, "start failed", "descriptors cannot be opened or closed: %s",
                 strerror(errno));
        return 1;
    }
    raise_limit();
    take_standard_error();
    host_notify_open();
    if (!follow_clock(&supervisor.options, clock))
        return 1;
    if (geteuid() != 0 && !supervisor.options.check)
        lest_log(LEST_LOG_WARNING, "not separated",
                 "not started as root: all processes have the same user, so that their separation guards "
                 "against bugs only");
    static struct lest_meters meters;
    lest_meters_use(&meters);
    supervisor.last_ms = lest_clock_monotonic_ms();
    if (start_next(&supervisor))
        return 1;
    int exit_code = run(&supervisor);
    close(supervisor.signals);
    host_log_wait(LAST_WAIT_MS);
    lest_log_flush();
    if (supervisor.options.check && exit_code == 0 && !supervisor.stopping)
        puts("ok");
    return exit_code;
}
