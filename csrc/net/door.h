/* A door: a Unix socket with a name (SOCK_SEQPACKET: a message is a packet, as in net/channel.h), through
 * which processes of this machine come in. The kernel says who is at the other end. */
#ifndef LEST_NET_DOOR_H
#define LEST_NET_DOOR_H

#include "net/loop.h"

#include <sys/types.h>

/** Who is at the other end: as of its connect(), or of its listen(). groups: the supplementary ones; a peer
 *  that has more than fit counts as a member of none of them. */
enum { NET_PEER_GROUPS_MAX = 256 };
struct net_door_peer {
    pid_t pid;
    uid_t uid;
    gid_t gid;
    gid_t groups[NET_PEER_GROUPS_MAX];
    size_t groups_count;
};

struct net_door;

/** Called from the loop with a connected socket, which is the handler's; it may free the door. */
typedef void net_door_handler(void *arg, int fd, const struct net_door_peer *peer);

/** Accept at a listening socket, which stays the caller's. *out is the caller's, free with net_door_free().
 *  Errors: LEST_E_NOMEM */
enum lest_status net_door_open(struct net_loop *loop, int fd, net_door_handler *handler, void *arg,
                               struct net_door **out, struct lest_error *err) LEST_MUST_USE;
void net_door_free(struct net_door *door);

/** Connect to the door of this path, however long that is; waits up to timeout_ms where it has many visitors.
 *  *fd is the caller's, -1 on failure. Errors: LEST_E_NOT_FOUND (there is none), LEST_E_CLOSED (one, of a
 *  process that has ended), LEST_E_REFUSED (this account may not, or
 *  who listens is neither root, nor this account, nor the owner of the folder), LEST_E_TIMEOUT, LEST_E_IO */
enum lest_status net_door_enter(const char *path, int timeout_ms, int *fd, struct net_door_peer *peer,
                                struct lest_error *err) LEST_MUST_USE;

#endif
