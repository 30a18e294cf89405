/* One exchange of a client as it was on the wire, for who looks on: a trace, a record. */
#ifndef LEST_NET_SEEN_H
#define LEST_NET_SEEN_H

#include "base/buf.h"
#include "net/client_peer.h"
#include "net/curl.h"

enum { NET_SEEN_MAX = 8 * 1024 * 1024 };

/** sent, received  the request and its answer, byte by byte, without TLS; at most NET_SEEN_MAX of each. sent
 *                  has passwords
 *  peer            borrowed; without TLS there was no handshake
 *  address, port   of the server, or of a proxy; "" before there was a connection
 *  reused          an earlier request has opened the connection
 *  *_us            microseconds from the start: name resolved, connected, handshake done, first byte of the
 *                  answer, end; 0 for what did not happen */
struct net_seen {
    struct lest_buf sent;
    struct lest_buf received;
    const struct net_client_peer *peer;
    bool reused;
    char address[64];
    long port;
    curl_off_t resolved_us, connected_us, secured_us, answered_us, ended_us;
};

/** Let libcurl say what it sends, and which body it receives. The lines of the head are appended to received
 *  by who takes them, since libcurl says nothing of one that is refused. NULL: no memory. */
struct net_seen *net_seen_new(CURL *easy);

/** The request has ended. peer: borrowed as long as seen is used. */
void net_seen_finish(struct net_seen *seen, CURL *easy, const struct net_client_peer *peer);

/** NULL is fine. */
void net_seen_free(struct net_seen *seen);

#endif
