/* Lines of one kind in the log, of which strangers may cause any number. */
#ifndef LEST_NET_LINES_H
#define LEST_NET_LINES_H

#include "base/log.h"

#include <event2/event_struct.h>

/** Past a few lines in a while the rest is only counted, in one line at the end of that while. At level debug
 *  there are all. The members belong to this file. */
struct net_lines {
    const char *event;
    struct event timer; /* pending during the while */
    int written, left_out;
};

void net_lines_init(struct net_lines *lines, struct event_base *base, const char *event);

/** Write a line, or count it. */
void net_lines_write(struct net_lines *lines, const struct lest_log_field *fields, size_t count);

/** The end: write what was counted. */
void net_lines_close(struct net_lines *lines);

#endif
