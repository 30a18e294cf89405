#include "host/supervisor/settings.h"

#include "host/supervisor/processors.h"

#include <stdio.h>
#include <string.h>

enum { WATCHDOG_S = 10, DRAIN_S = 30, SECONDS_MAX = 86400 };

static bool is_printable(const char *value)
{
    for (; *value; value++)
        if (*value <= ' ' || *value > '~')
            return false;
    return true;
}

static enum lest_status set_text(char *out, size_t size, const char *key, const char *value,
                                 struct lest_error *err)
{
    if (!*value || strlen(value) >= size || !is_printable(value))
        return lest_error_set(err, LEST_E_CONFIG, "%s: \"%s\" is not 1 to %zu printable characters", key,
                              value, size - 1);
    snprintf(out, size, "%s", value);
    return LEST_OK;
}

static enum lest_status set_number(unsigned *out, unsigned min, unsigned max, const char *key,
                                   const char *value, struct lest_error *err)
{
    unsigned long number = 0;
    const char *digit = value;
    while (*digit >= '0' && *digit <= '9' && number <= max)
        number = number * 10 + (unsigned)(*digit++ - '0');
    if (digit == value || *digit || number < min || number > max)
        return lest_error_set(err, LEST_E_CONFIG, "%s: \"%s\" is not a whole number from %u to %u", key,
                              value, min, max);
    *out = (unsigned)number;
    return LEST_OK;
}

/* What is joined to the folder is one name. */
static enum lest_status set_control(struct host_control_wish *control, const char *key, const char *value,
                                    struct lest_error *err)
{
    const char *name = strrchr(value, '/');
    size_t len = name ? strlen(name + 1) : 0;
    if (*value != '/' || strlen(value) >= sizeof control->path || len == 0 || len > HOST_CONTROL_NAME_MAX)
        return lest_error_set(err, LEST_E_CONFIG,
                              "%s: its path has at most %zu bytes, and its name 1 to %d of them", key,
                              sizeof control->path - 1, (int)HOST_CONTROL_NAME_MAX);
    snprintf(control->path, sizeof control->path, "%s", value);
    control->is_beside_ledger = strcmp(key, "control") != 0;
    return LEST_OK;
}

/* An address of TLS, or after all of those one of plain HTTP: a worker tells them apart by their place. */
static enum lest_status add_listen(struct host_settings *settings, bool is_plain, const char *key,
                                   const char *value, struct lest_error *err)
{
    if (settings->listen_count == HOST_LISTENERS_MAX)
        return lest_error_set(err, LEST_E_CONFIG, "%s: at most %d addresses in all", key,
                              (int)HOST_LISTENERS_MAX);
    for (size_t i = 0; i < settings->listen_count; i++)
        if (strcmp(settings->listen[i], value) == 0)
            return lest_error_set(err, LEST_E_CONFIG, "%s: %s is there twice", key, value);
    if (settings->plain_count && !is_plain)
        return lest_error_set(err, LEST_E_CONFIG, "%s: stands behind listen_http", key);
    settings->plain_count += is_plain;
    return set_text(settings->listen[settings->listen_count++], HOST_ADDRESS_MAX, key, value, err);
}

static enum lest_status set(struct host_settings *settings, const char *key, const char *value,
                            struct lest_error *err)
{
    if (strcmp(key, "listen") == 0 || strcmp(key, "listen_http") == 0)
        return add_listen(settings, strcmp(key, "listen") != 0, key, value, err);
    if (strcmp(key, "metrics") == 0)
        return set_text(settings->metrics, sizeof settings->metrics, key, value, err);
    if (strcmp(key, "control") == 0 || strcmp(key, "control_beside_ledger") == 0)
        return set_control(&settings->control, key, value, err);
    if (strcmp(key, "control_mode") == 0)
        return set_number(&settings->control.mode, 0600, 0777, key, value, err);
    if (strcmp(key, "control_group") == 0)
        return set_text(settings->control.group, sizeof settings->control.group, key, value, err);
    if (strcmp(key, "user") == 0)
        return set_text(settings->user, sizeof settings->user, key, value, err);
    if (strcmp(key, "authority_user") == 0)
        return set_text(settings->authority_user, sizeof settings->authority_user, key, value, err);
    if (strcmp(key, "backend_user") == 0)
        return set_text(settings->backend_user, sizeof settings->backend_user, key, value, err);
    if (strcmp(key, "backend") == 0)
        return set_number(&settings->backend, 0, 1, key, value, err);
    if (strcmp(key, "workers") == 0)
        return set_number(&settings->workers, 1, HOST_WORKERS_MAX, key, value, err);
    if (strcmp(key, "watchdog_s") == 0)
        return set_number(&settings->watchdog_s, 0, SECONDS_MAX, key, value, err);
    if (strcmp(key, "drain_s") == 0)
        return set_number(&settings->drain_s, 0, SECONDS_MAX, key, value, err);
    if (strcmp(key, "shutdown_delay_s") == 0)
        return set_number(&settings->shutdown_delay_s, 0, SECONDS_MAX, key, value, err);
    if (strcmp(key, "policy_tests") == 0)
        return set_number(&settings->policy_tests, 0, 1, key, value, err);
    return lest_error_set(err, LEST_E_CONFIG, "the supervisor has no setting \"%s\"", key);
}

static unsigned default_workers(void)
{
    unsigned count = host_processors_count();
    return count < HOST_WORKERS_MAX ? count : HOST_WORKERS_MAX;
}

enum lest_status host_settings_parse(const struct lest_buf *text, struct host_settings *out,
                                     struct lest_error *err)
{
    memset(out, 0, sizeof *out);
    out->workers = default_workers();
    out->watchdog_s = WATCHDOG_S;
    out->drain_s = DRAIN_S;
    for (size_t at = 0; at < text->len && at < HOST_SETTINGS_MAX;) {
        char line[HOST_CONTROL_PATH_MAX + 32];
        const char *start = (const char *)text->data + at;
        const char *newline = memchr(start, '\n', text->len - at);
        size_t len = newline ? (size_t)(newline - start) : 0;
        if (!newline || len >= sizeof line || memchr(start, '\0', len))
            break;
        at += len + 1;
        if (len == 0) {
            out->config_offset = at;
            return out->listen_count > out->plain_count
                       ? LEST_OK
                       : lest_error_set(err, LEST_E_CONFIG, "listen: at least one address is needed");
        }
        memcpy(line, start, len);
        line[len] = '\0';
        char *equals = strchr(line, '=');
        if (!equals)
            break;
        *equals = '\0';
        enum lest_status status = set(out, line, equals + 1, err);
        if (status)
            return status;
    }
    return lest_error_set(err, LEST_E_CONFIG,
                          "the configuration's settings for the supervisor are malformed");
}
