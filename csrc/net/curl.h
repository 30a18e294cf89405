/* libcurl, loaded when the first client is made. It brings some thirty libraries along, which most processes
 * never need: not the authority, nor a command that sends nothing. */
#ifndef LEST_NET_CURL_H
#define LEST_NET_CURL_H

#include "base/error.h"

#include <curl/curl.h>

/** Every function of libcurl that is used, without "curl_" before its name. */
#define NET_CURL_FUNCTIONS(X)                                                                                \
    X(easy_cleanup)                                                                                          \
    X(easy_getinfo)                                                                                          \
    X(easy_init)                                                                                             \
    X(easy_recv)                                                                                             \
    X(easy_send)                                                                                             \
    X(easy_setopt)                                                                                           \
    X(easy_strerror)                                                                                         \
    X(free)                                                                                                  \
    X(global_init)                                                                                           \
    X(multi_add_handle)                                                                                      \
    X(multi_assign)                                                                                          \
    X(multi_cleanup)                                                                                         \
    X(multi_info_read)                                                                                       \
    X(multi_init)                                                                                            \
    X(multi_remove_handle)                                                                                   \
    X(multi_setopt)                                                                                          \
    X(multi_socket_action)                                                                                   \
    X(slist_append)                                                                                          \
    X(slist_free_all)                                                                                        \
    X(url)                                                                                                   \
    X(url_cleanup)                                                                                           \
    X(url_get)                                                                                               \
    X(url_set)                                                                                               \
    X(url_strerror)                                                                                          \
    X(version_info)

struct net_curl {
#define X(name) __typeof__(curl_##name) *(name);
    NET_CURL_FUNCTIONS(X)
#undef X
};

/** The functions; NULL until net_curl_load() has succeeded. */
extern struct net_curl net_curl;

/** Load libcurl, under the name that it had when lest was built, and initialise it; once a process. It is
 *  looked for where the system has its libraries, so that a process without rights can do so, too.
 *  Errors: LEST_E_INTERNAL (it is not there, is older than 7.87 or is not made with OpenSSL) */
enum lest_status net_curl_load(struct lest_error *err) LEST_MUST_USE;

#endif
