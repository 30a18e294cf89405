/* How much a transfer takes in.
 *
 * libcurl reads on inside one call while there is more on the socket, and shows an answer but not all that it
 * has read for it: interim answers, extensions of chunks, trailers, records without data. The kernel has
 * counted all of it. */
#ifndef LEST_NET_INTAKE_H
#define LEST_NET_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** max     bytes from the socket
 *  before  that had come on this socket when the transfer began to use it */
struct net_intake {
    uint64_t max, before;
    int fd;
};

/** Begin, for an answer whose body has at most body_max bytes: the rest is far less than that again. */
void net_intake_init(struct net_intake *intake, size_t body_max);

/** Whether more has come than can be needed. fd: the socket that is used now, -1 for none yet. */
bool net_intake_is_over(struct net_intake *intake, int fd);

#endif
