/* The log: one line an event on standard error, JSON where it is no terminal, readable where it is.
 * A server does not wait for a reader that has stopped: lines are dropped then, and one line says how many,
 * once there is a reader again. Values are escaped, so that bytes from outside cannot forge a line; no caller
 * passes a secret. For one thread of a process only. */
#ifndef LEST_BASE_LOG_H
#define LEST_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The most bytes that lest_log_hold() keeps back. */
enum { LEST_LOG_HELD_MAX = 4096 };

enum lest_log_level { LEST_LOG_DEBUG, LEST_LOG_INFO, LEST_LOG_WARNING, LEST_LOG_ERROR };

enum lest_log_kind { LEST_LOG_TEXT, LEST_LOG_INTEGER, LEST_LOG_BOOLEAN };

/** One field of a line. key is a literal; text is borrowed and may hold any bytes. */
struct lest_log_field {
    const char *key;
    enum lest_log_kind kind;
    const char *text;
    size_t text_len;
    int64_t integer;
};

/** One field; of a text that ends with NUL, or of len bytes. */
struct lest_log_field lest_log_text(const char *key, const char *text);
struct lest_log_field lest_log_bytes(const char *key, const char *bytes, size_t len);
struct lest_log_field lest_log_integer(const char *key, int64_t value);

/** Say which process this is; the name ("worker 2") stands in every line from now on. */
void lest_log_set_role(const char *role);

/** Lines below this level are left out; LEST_LOG_INFO at the start. */
void lest_log_set_level(enum lest_log_level level);

/** Whether lines of this level are written. */
bool lest_log_shows(enum lest_log_level level);

/** Whether lines are written for people to read; unless it was set, as standard error is a terminal. */
bool lest_log_is_readable(void);
void lest_log_set_readable(bool readable);

/** Ask may_write() before each write from now on; while it says no, lines are kept back, and those dropped
 *  that there is no room for. NULL, as at the start: write, and wait as long as that takes. */
void lest_log_set_gate(bool (*may_write)(void));

/** Whether lines wait for standard error. */
bool lest_log_is_waiting(void);

/** Keep lines back from now on (hold), to write many with one write(2), or write them at once again,
 *  beginning with those that are held. At most LEST_LOG_HELD_MAX bytes are held, and none behind a line of
 *  level error; the normal end of the process writes them. A crash, or SIGKILL, loses what is held: with
 *  net_loop_hold_log() at most the lines of the turn that it ends. */
void lest_log_hold(bool hold);

/** Write what waits; also before an _exit or exec, which would lose it. */
void lest_log_flush(void);

/** Write a line as it is, that another process made: len bytes (at most 8 KiB, or it is left out) without a
 *  newline. What could do something to a terminal is shown as "?". */
void lest_log_add_line(const char *line, size_t len);

/** Write one line, cut at 8 KiB; up to 4 KiB (PIPE_BUF) no line of another process comes into it.
 *  event   a few words that stay the same, as "request" or "role started"
 *  fields  may be NULL when count is 0 */
void lest_log_write(enum lest_log_level level, const char *event, const struct lest_log_field *fields,
                    size_t count);

/** A line whose only field is a formatted message. */
void lest_log(enum lest_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
