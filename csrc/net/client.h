/* A client of HTTPS servers: whom it trusts, what it shows, and its connections.
 *
 * A client has one setting of trust and identity; its connections are kept and used again for its own
 * requests only (net/transfer.h). */
#ifndef LEST_NET_CLIENT_H
#define LEST_NET_CLIENT_H

#include "net/client_tls.h"
#include "net/multi.h"

/** tls         borrowed for the call to net_client_new(), which keeps references
 *  plain_http  URLs may be http:// as well
 *  idle_ms     kept connections are closed after this time without a request
 *  proxy       "http://host:port" (CONNECT), "socks5h://host:port" or "socks5://host:port" in place of what
 *              the environment names, with a user name and a password or without (NULL); "" is no proxy, and
 *              NULL leaves it to the environment (https_proxy, all_proxy, no_proxy as libcurl reads them).
 *              All three are borrowed for the call */
struct net_client_config {
    struct net_client_tls_config tls;
    bool plain_http;
    int64_t idle_ms;
    const char *proxy, *proxy_username, *proxy_password;
};

/** To be read only, by the files of this layer.
 *  references  the owner's, and one for each transfer */
struct net_client {
    struct net_client_tls *tls;
    struct net_multi *multi;
    char *proxy, *proxy_username, *proxy_password;
    bool plain_http;
    unsigned references;
};

/** A client on this loop. *out: net_client_free(), before the loop goes. LEST_E_USAGE for a proxy of another
 *  kind too: one that is spoken to by TLS could not be told from the server by who verifies.
 *  Errors: LEST_E_USAGE, LEST_E_CRYPTO, LEST_E_INTERNAL (no fitting libcurl), LEST_E_NOMEM */
enum lest_status net_client_new(struct net_loop *loop, const struct net_client_config *config,
                                struct net_client **out, struct lest_error *err) LEST_MUST_USE;

/** One more reference. */
struct net_client *net_client_ref(struct net_client *client);

/** Let go of a client: its connections are closed when its last transfer has been freed. NULL is fine. */
void net_client_free(struct net_client *client);

#endif
