#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log_queue.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 8192, TAIL_BYTES = 16 };

static char role_name[32];
static enum lest_log_level lowest = LEST_LOG_INFO;
static bool holding;
static enum { BY_STDERR, READABLE, JSON } form;
static const char *const level_names[] = { "debug", "info", "warning", "error" };

struct lest_log_field lest_log_bytes(const char *key, const char *bytes, size_t len)
{
    return (struct lest_log_field){ key, LEST_LOG_TEXT, bytes, len, 0 };
}

struct lest_log_field lest_log_text(const char *key, const char *text)
{
    return lest_log_bytes(key, text, strlen(text));
}

struct lest_log_field lest_log_integer(const char *key, int64_t value)
{
    return (struct lest_log_field){ .key = key, .kind = LEST_LOG_INTEGER, .integer = value };
}

void lest_log_set_role(const char *role)
{
    snprintf(role_name, sizeof role_name, "%s", role);
}

void lest_log_set_level(enum lest_log_level level)
{
    lowest = level;
}

bool lest_log_shows(enum lest_log_level level)
{
    return level >= lowest;
}

static void append_value(struct lest_buf *line, const struct lest_log_field *field)
{
    if (field->kind == LEST_LOG_INTEGER)
        lest_buf_append_number(line, field->integer);
    else if (field->kind == LEST_LOG_BOOLEAN)
        lest_buf_append_str(line, field->integer ? "true" : "false");
    else
        lest_json_append_string(line, field->text, field->text_len);
}

/* ".000042" */
static void append_fraction(struct lest_buf *line, int us)
{
    char text[] = ".000000";
    for (size_t i = sizeof text - 2; us; us /= 10)
        text[i--] = (char)('0' + us % 10);
    lest_buf_append_str(line, text);
}

static void append_time(struct lest_buf *line, bool for_people)
{
    int64_t now = lest_clock_wall_us();
    time_t seconds = (time_t)(now / 1000000);
    struct tm parts;
    char text[32];
    if (for_people) {
        localtime_r(&seconds, &parts);
        strftime(text, sizeof text, "%H:%M:%S", &parts);
        lest_buf_append_str(line, text);
    } else {
        gmtime_r(&seconds, &parts);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
        lest_buf_append_str(line, text);
        append_fraction(line, (int)(now % 1000000));
        lest_buf_append_byte(line, 'Z');
    }
}

static bool is_plain(const char *text, size_t len)
{
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == '"' || text[i] == '\\' ||
            (unsigned char)text[i] >= 0x7f)
            return false;
    return true;
}

static void append_readable(struct lest_buf *line, enum lest_log_level level, const char *event,
                            const struct lest_log_field *fields, size_t count)
{
    append_time(line, true);
    lest_buf_append_fmt(line, " %-7s %s%s%s", level_names[level], role_name, *role_name ? ": " : "", event);
    for (size_t i = 0; i < count; i++) {
        lest_buf_append_fmt(line, " %s=", fields[i].key);
        if (fields[i].kind == LEST_LOG_TEXT && is_plain(fields[i].text, fields[i].text_len))
            lest_buf_append(line, fields[i].text, fields[i].text_len);
        else
            append_value(line, &fields[i]);
    }
}

static void append_json(struct lest_buf *line, enum lest_log_level level, const char *event,
                        const struct lest_log_field *fields, size_t count)
{
    lest_buf_append_str(line, "{\"time\":\"");
    append_time(line, false);
    lest_buf_append_str(line, "\",\"level\":\"");
    lest_buf_append_str(line, level_names[level]);
    if (*role_name) {
        lest_buf_append_str(line, "\",\"role\":\"");
        lest_buf_append_str(line, role_name);
    }
    lest_buf_append_str(line, "\",\"pid\":");
    lest_buf_append_number(line, getpid());
    lest_buf_append_str(line, ",\"event\":");
    lest_json_append_string(line, event, strlen(event));
    for (size_t i = 0; i < count; i++) {
        /* A field that does not fit is left out whole, so that the line stays JSON. */
        size_t before = line->len;
        lest_buf_append_byte(line, ',');
        lest_json_append_string(line, fields[i].key, strlen(fields[i].key));
        lest_buf_append_byte(line, ':');
        append_value(line, &fields[i]);
        if (line->failed) {
            line->failed = line->too_large = false;
            line->len = before;
        }
    }
    line->max += TAIL_BYTES;
    lest_buf_append_byte(line, '}');
}

bool lest_log_is_readable(void)
{
    /* Asked once: standard error does not change. */
    if (form == BY_STDERR)
        form = isatty(STDERR_FILENO) ? READABLE : JSON;
    return form == READABLE;
}

void lest_log_set_readable(bool readable)
{
    form = readable ? READABLE : JSON;
}

void lest_log_flush(void)
{
    lest_log_queue_write();
    size_t dropped = lest_log_queue_take_dropped();
    if (!dropped)
        return;
    struct lest_log_field field = { .key = "lines", .kind = LEST_LOG_INTEGER, .integer = (int64_t)dropped };
    lest_log_write(LEST_LOG_ERROR, "log lines dropped", &field, 1);
}

void lest_log_set_gate(bool (*may_write)(void))
{
    lest_log_queue_set_gate(may_write);
}

bool lest_log_is_waiting(void)
{
    return lest_log_queue_length() > 0;
}

void lest_log_hold(bool hold)
{
    static bool at_exit;
    if (hold && !at_exit)
        at_exit = atexit(lest_log_flush) == 0;
    holding = hold && at_exit;
    if (!holding)
        lest_log_flush();
}

static void add(const void *lines, size_t len, bool at_once)
{
    lest_log_queue_add(lines, len);
    if (!holding || at_once || lest_log_queue_length() > LEST_LOG_HELD_MAX)
        lest_log_flush();
}

/* Whether what comes next, of so many bytes, is written as it is. */
static bool is_shown(const char *at, size_t len, size_t *size)
{
    uint32_t code;
    *size = lest_utf8_plain_length(at, len);
    if (*size)
        return true;
    *size = lest_utf8_decode(at, len, &code);
    bool shown = *size && (code == '\t' || !lest_utf8_is_unseen(code));
    if (!*size)
        *size = 1;
    return shown;
}

void lest_log_add_line(const char *line, size_t len)
{
    struct lest_buf shown;
    lest_buf_init(&shown, LINE_MAX_BYTES);
    for (size_t i = 0, size; i < len; i += size) {
        if (is_shown(line + i, len - i, &size))
            lest_buf_append(&shown, line + i, size);
        else
            lest_buf_append_byte(&shown, '?');
    }
    lest_buf_append_byte(&shown, '\n');
    if (!shown.failed)
        add(shown.data, shown.len, false);
    lest_buf_free(&shown);
}

void lest_log_write(enum lest_log_level level, const char *event, const struct lest_log_field *fields,
                    size_t count)
{
    if (!lest_log_shows(level))
        return;
    struct lest_buf line;
    lest_buf_init(&line, LINE_MAX_BYTES - TAIL_BYTES);
    if (lest_log_is_readable())
        append_readable(&line, level, event, fields, count);
    else
        append_json(&line, level, event, fields, count);
    line.failed = line.too_large = false;
    line.max = LINE_MAX_BYTES;
    lest_buf_append_byte(&line, '\n');
    if (line.data)
        add(line.data, line.len, level == LEST_LOG_ERROR);
    lest_buf_free(&line);
}

void lest_log(enum lest_log_level level, const char *event, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct lest_log_field field = { "message", LEST_LOG_TEXT, message, strlen(message), 0 };
    lest_log_write(level, event, &field, 1);
}
