/* TLS over one non-blocking socket, driven by the event loop; or the socket alone, where ssl is NULL.
 *
 * Not libevent's bufferevent_openssl, which owns session and socket: to tell a client that only closed its
 * side from one that has gone, to linger after close_notify, and to read no more than is wanted, both are
 * needed between its operations. Here an operation is tried at once; if it would block, the stream knows for
 * what, and calls `ready` when it is worth trying again. */
#ifndef LEST_NET_STREAM_H
#define LEST_NET_STREAM_H

#include "net/loop.h"
#include "net/records.h"

#include <event2/event_struct.h>
#include <openssl/ssl.h>

/** What became of an operation.
 *  NET_IO_DONE    some of it was done
 *  NET_IO_WAIT    nothing yet; net_stream_watch() for it
 *  NET_IO_END     the peer sends no more (close_notify, or the end of the TCP stream)
 *  NET_IO_FAILED  the connection is broken, or the peer has sent too much (records.why) */
enum net_io { NET_IO_DONE, NET_IO_WAIT, NET_IO_END, NET_IO_FAILED };

/** ready  called from the loop, never from inside a function of this file
 *  records  what the peer has sent besides data; net_records_start_again() is the user's
 *  The other members belong to this file. */
struct net_stream {
    void (*ready)(void *arg);
    void *arg;
    int fd;
    SSL *ssl;
    struct net_records records;
    struct event read_event;
    struct event write_event;
    bool read_on, write_on, edge;
    bool wants_read, wants_write;
};

/** Begin with the socket alone; takes fd. */
void net_stream_init(struct net_stream *s, struct event_base *base, int fd, void (*ready)(void *arg),
                     void *arg);

/** Look at what has come before TLS, without taking it; then take so much of it, into room for it. */
enum net_io net_stream_peek(struct net_stream *s, void *out, size_t size, size_t *got);
enum net_io net_stream_skip(struct net_stream *s, void *scratch, size_t count);

/** From here on it is TLS; takes ssl. */
void net_stream_secure(struct net_stream *s, SSL *ssl);

/** Go on with one step; what it came to, and never blocking. */
enum net_io net_stream_handshake(struct net_stream *s);
enum net_io net_stream_read(struct net_stream *s, void *out, size_t size, size_t *got);
enum net_io net_stream_write(struct net_stream *s, const void *data, size_t len, size_t *done);

/** Call ready when what waited since the last call of this function may go on; with nothing waiting, only
 *  watch nothing. */
void net_stream_watch(struct net_stream *s);

/** After NET_IO_END: call ready when the peer has reset the connection (net_stream_is_reset). */
void net_stream_watch_reset(struct net_stream *s);
bool net_stream_is_reset(const struct net_stream *s);

/** After NET_IO_END: send something that only a peer that is really gone will answer, with a reset. False
 *  where TLS has nothing of the kind (before 1.3). */
bool net_stream_probe(struct net_stream *s);

/** Send close_notify and end our side of the TCP connection. What the peer has under way is to be read with
 *  net_stream_discard, or its answer may be lost to a reset. */
void net_stream_shutdown(struct net_stream *s);

/** Throw away what comes, at most *left bytes (reduced by it). NET_IO_DONE: *left is 0. */
enum net_io net_stream_discard(struct net_stream *s, size_t *left);

/** Close the socket and free the session. */
void net_stream_close(struct net_stream *s);

#endif
