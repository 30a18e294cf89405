#include "net/curl.h"

#include "base/library.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

struct net_curl net_curl;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static enum lest_status result;
static struct lest_error why;

static const char *const functions[] = {
#define X(name) "curl_" #name,
    NET_CURL_FUNCTIONS(X)
#undef X
        NULL
};
_Static_assert(sizeof functions == sizeof net_curl + sizeof *functions, "a pointer a function");

static bool is_usable(const struct net_curl *curl)
{
    const curl_version_info_data *info = curl->version_info(CURLVERSION_NOW);
    return curl->global_init(CURL_GLOBAL_ALL) == CURLE_OK && info->version_num >= 0x075700 &&
           info->ssl_version && strncmp(info->ssl_version, "OpenSSL/", 8) == 0;
}

/* It stays loaded: OpenSSL and libcurl keep pointers into each other. */
static void load(void)
{
    struct net_curl found;
    result = lest_library_load("libcurl", LEST_LIBCURL, functions, &found, &why);
    if (!result && !is_usable(&found))
        result = lest_error_set(&why, LEST_E_INTERNAL, "libcurl >= 7.87 with OpenSSL is needed");
    if (!result)
        net_curl = found;
}

enum lest_status net_curl_load(struct lest_error *err)
{
    pthread_once(&once, load);
    if (result)
        *err = why;
    return result;
}
