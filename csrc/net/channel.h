/* Message sockets between processes: AF_UNIX, SOCK_SEQPACKET, one message a packet, on the event loop.
 *
 * The descriptors that a peer may attach to a packet are not received, so the kernel drops them; but a
 * channel may take sealed files, one with a packet. Nothing else here judges the peer: who has the other end
 * is up to how it came there. In a server the supervisor makes both ends and hands them out. */
#ifndef LEST_NET_CHANNEL_H
#define LEST_NET_CHANNEL_H

#include "base/sealed.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>

/* The kernel's own limit is near 212,960 bytes. */
enum { NET_CHANNEL_MESSAGE_MAX = 200000, NET_CHANNEL_BATCH = 64 };

struct net_channel;

/** How much may wait to be sent; 0 means the default. */
struct net_channel_limits {
    size_t messages_max; /* 1024 */
    size_t bytes_max;    /* 8 MiB */
};

/** Called from the loop; each may free the channel. data is borrowed for the call, and so is sealed, which is
 *  NULL where none came that the channel takes.
 *  closed is called once at most, and not after net_channel_free(). */
struct net_channel_handlers {
    void (*message)(void *arg, const void *data, size_t len, struct lest_sealed *sealed);
    void (*closed)(void *arg);
    void *arg;
};

/** A channel over a connected descriptor, which is the channel's from now on, even on failure. */
enum lest_status net_channel_adopt(struct net_loop *loop, int fd, struct net_channel **out,
                                   struct lest_error *err) LEST_MUST_USE;

/** Set how much may wait to be sent. */
void net_channel_set_limits(struct net_channel *channel, struct net_channel_limits limits);

/** Set what is called. Nothing is read, and so no end is noticed, while handlers.message is NULL. */
void net_channel_set_handlers(struct net_channel *channel, struct net_channel_handlers handlers);

/** Take a sealed file with a packet from now on, of at most max bytes; what a peer gives besides is closed,
 *  and said in the log. Only for a channel whose other end is trusted with this process's memory. */
void net_channel_take_sealed(struct net_channel *channel, size_t max);

/** Send one message of 1 to NET_CHANNEL_MESSAGE_MAX bytes; it is copied if it must wait. Messages keep
 *  their order. sealed, with its descriptor, goes with it, unless it is NULL; it is not copied.
 *  Errors: LEST_E_TOO_LARGE, LEST_E_UNAVAILABLE (the queue is full), LEST_E_CLOSED, LEST_E_NOMEM */
enum lest_status net_channel_send(struct net_channel *channel, const void *data, size_t len,
                                  struct lest_sealed *sealed, struct lest_error *err) LEST_MUST_USE;

/** The same, but wait up to timeout_ms for room, without the loop. For a process that has nothing else to do;
 *  nothing may wait in the queue. Errors: LEST_E_TOO_LARGE, LEST_E_TIMEOUT, LEST_E_CLOSED */
enum lest_status net_channel_send_wait(struct net_channel *channel, const void *data, size_t len,
                                       int timeout_ms, struct lest_error *err) LEST_MUST_USE;

/** Its descriptor, which stays its own; -1 at its end. */
int net_channel_fd(const struct net_channel *channel);

/** Messages that wait to be sent. */
size_t net_channel_queued(const struct net_channel *channel);

/** Close without a callback; what waits is dropped. NULL is fine; may be called from its handlers. */
void net_channel_free(struct net_channel *channel);

#endif
