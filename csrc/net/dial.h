/* One connection of a client that is driven by hand: whatever bytes one likes are sent, and answers are read
 * when one asks for them. It is opened and verified as every connection of the client, and shared with no
 * request. One operation at a time. */
#ifndef LEST_NET_DIAL_H
#define LEST_NET_DIAL_H

#include "net/client.h"
#include "net/incoming.h"

struct net_dial;

/** The end of an operation, from the loop; never from inside a function of this file, and it may free the
 *  dial. err is NULL on success; else as net_transfer_done()'s: LEST_E_TRUST, LEST_E_TIMEOUT, LEST_E_CLOSED
 *  and so on. */
typedef void net_dial_done(void *arg, const struct lest_error *err);

/** Connect. url: only its origin counts. arg is that of every operation.
 *  Errors: LEST_E_USAGE, LEST_E_NOMEM, LEST_E_INTERNAL */
enum lest_status net_dial_open(struct net_client *client, const char *url, int64_t timeout_ms,
                               net_dial_done *done, void *arg, struct net_dial **out,
                               struct lest_error *err) LEST_MUST_USE;

/** Send bytes, of which a copy is kept. Errors: LEST_E_USAGE (another operation is under way, or there is no
 *  connection), LEST_E_NOMEM */
enum lest_status net_dial_send(struct net_dial *dial, const void *data, size_t len, int64_t timeout_ms,
                               net_dial_done *done, struct lest_error *err) LEST_MUST_USE;

/** Read the next answer. head_only: it is one to HEAD. body_max: bytes of its body.
 *  Errors: LEST_E_USAGE */
enum lest_status net_dial_receive(struct net_dial *dial, bool head_only, size_t body_max, int64_t timeout_ms,
                                  net_dial_done *done, struct lest_error *err) LEST_MUST_USE;

/** The answer that is read, or was read last; its raw bytes also where it is none. Borrowed until the next
 *  net_dial_receive(). */
const struct net_incoming *net_dial_get0_incoming(const struct net_dial *dial);

/** What its handshake came to, also where that failed. Borrowed. */
const struct net_client_peer *net_dial_get0_peer(const struct net_dial *dial);

/** "192.0.2.1" of the server or a proxy, and its port; "" and 0 without a connection. */
const char *net_dial_address(struct net_dial *dial, long *port);

/** Close the connection; an operation under way does not end. NULL is fine. */
void net_dial_free(struct net_dial *dial);

#endif
