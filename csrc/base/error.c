#include "base/error.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int exit_code;
} statuses[] = {
#define X(id, text, exit_code) [LEST_E_##id] = { text, exit_code },
    LEST_STATUSES(X)
#undef X
};
_Static_assert(sizeof statuses / sizeof *statuses == LEST_E_COUNT, "every status has its row");

static void printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

__attribute__((format(printf, 3, 0))) static void set_message(struct lest_error *err, enum lest_status status,
                                                              const char *format, va_list args)
{
    err->status = status;
    err->detail[0] = '\0';
    vsnprintf(err->message, sizeof err->message, format, args);
    printable(err->message);
}

/* The names in parentheses: the header has macros of them for the analyzer. */
enum lest_status(lest_error_set)(struct lest_error *err, enum lest_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        set_message(err, status, format, args);
        va_end(args);
    }
    return status;
}

enum lest_status(lest_error_set_errno)(struct lest_error *err, enum lest_status status, int number,
                                       const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        set_message(err, status, format, args);
        va_end(args);
        lest_error_add_detail(err, strerror(number));
    }
    return status;
}

void lest_error_add_detail(struct lest_error *err, const char *piece)
{
    if (!err)
        return;
    size_t used = strlen(err->detail);
    char *tail = err->detail + used;
    snprintf(tail, sizeof err->detail - used, "%s%s", used ? "; " : "", piece);
    printable(tail);
}

const char *lest_status_name(enum lest_status status)
{
    return (unsigned)status < LEST_E_COUNT ? statuses[status].name : statuses[LEST_E_INTERNAL].name;
}

int lest_status_exit_code(enum lest_status status)
{
    return (unsigned)status < LEST_E_COUNT ? statuses[status].exit_code : 1;
}

enum lest_status lest_status_from_name(const char *name)
{
    for (int i = 0; i < LEST_E_COUNT; i++)
        if (strcmp(statuses[i].name, name) == 0)
            return (enum lest_status)i;
    return LEST_E_INTERNAL;
}
