/* Log lines of one kind that strangers can cause: only some of them are written. */
#ifndef LEST_NET_LINES_H
#define LEST_NET_LINES_H

#include "base/log.h"

#include <event2/event_struct.h>

/** A few lines are written in each period; the others are counted, and one line at the end of the period says
 *  how many they were. At level debug all are written. The members belong to this file. */
struct net_lines {
    const char *event;
    struct event timer; /* pending during a period */
    int written, left_out;
};

void net_lines_init(struct net_lines *lines, struct event_base *base, const char *event);

/** Write a line, or count it. */
void net_lines_write(struct net_lines *lines, const struct lest_log_field *fields, size_t count);

/** The end: write what was counted. */
void net_lines_close(struct net_lines *lines);

#endif
