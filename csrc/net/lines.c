#include "net/lines.h"

#include <event2/event.h>

/* LINES_MAX  in LINES_S */
enum { LINES_MAX = 20, LINES_S = 10 };

static void report(struct net_lines *lines)
{
    if (lines->left_out)
        lest_log(LEST_LOG_WARNING, "lines left out", "%s: %d more within %d seconds", lines->event,
                 lines->left_out, (int)LINES_S);
    lines->written = lines->left_out = 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    report(arg);
}

void net_lines_init(struct net_lines *lines, struct event_base *base, const char *event)
{
    lines->event = event;
    lines->written = lines->left_out = 0;
    evtimer_assign(&lines->timer, base, on_timer, lines);
}

void net_lines_write(struct net_lines *lines, const struct lest_log_field *fields, size_t count)
{
    static const struct timeval delay = { LINES_S, 0 };
    if (!evtimer_pending(&lines->timer, NULL))
        evtimer_add(&lines->timer, &delay);
    if (lines->written >= LINES_MAX && !lest_log_shows(LEST_LOG_DEBUG)) {
        lines->left_out++;
        return;
    }
    lines->written++;
    lest_log_write(LEST_LOG_INFO, lines->event, fields, count);
}

void net_lines_close(struct net_lines *lines)
{
    report(lines);
    event_del(&lines->timer);
}
